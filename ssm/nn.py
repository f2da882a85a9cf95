r"""State-space layers for torch networks.

Each maps signals (batch, length, channels) to signals of that shape, and does the same one sample
at a time, which is what a stream needs:

.. math:: y = \texttt{layer}(u) \qquad\Longleftrightarrow\qquad
          (y_t, x_t) = \texttt{layer.step}(u_t, x_{t-1}), \quad
          x_{-1} = \texttt{layer.initial\_state}(batch)

Between the two, ``layer.advance(u, x)`` takes a piece of a signal and gives the state after it, and
``layer.stepper()`` is ``step`` with all that depends on parameters only computed before.

* :class:`S4`, diagonal plus low-rank systems (arXiv 2111.00396);
* :class:`S4D`, diagonal systems (arXiv 2206.11893);
* :class:`CompanionSSM`, companion systems with a closed loop (arXiv 2303.09489);
* :class:`DeltaProduct`, heads with matrix states that follow groups (arXiv 2502.10297);
* :func:`optimizer_groups`, which keeps the parameters of the dynamics apart for an optimiser.
"""

from ssm._companion_layer import CompanionSSM
from ssm._delta_product_layer import DeltaProduct
from ssm._optimizer_groups import optimizer_groups
from ssm._s4_layer import S4
from ssm._s4d_layer import S4D

# As sorted() has them; S4 is no constant.
__all__ = ["CompanionSSM", "DeltaProduct", "S4", "S4D", "optimizer_groups"]  # noqa: RUF022
