r"""Batch normalisation layers for networks of positive definite matrices (arXiv 2504.00660).

.. math:: X' = \operatorname{Exp}_W \Bigl( \frac{s}{\sqrt{v + \varepsilon}} \,
          \Gamma_{I \to W} \Gamma_{B \to I} \operatorname{Log}_B X \Bigr)

* :class:`SPDBatchNorm`, under any of the metrics, with parameters that stay in their sets under any
  optimiser;
* :class:`DomainSPDBatchNorm`, with statistics for each session or subject;
* :class:`SPDParametrization` and :class:`Positive`, the parametrisations they use.
"""

from geometry.spd._batch_norm_layer import SPDBatchNorm
from geometry.spd._domain_batch_norm_layer import DomainSPDBatchNorm
from geometry.spd._parametrizations import Positive, SPDParametrization

__all__ = ["DomainSPDBatchNorm", "Positive", "SPDBatchNorm", "SPDParametrization"]
