"""The warning of iterations that stop before their tolerance is met."""

from __future__ import annotations


class ConvergenceWarning(UserWarning):
    """An iteration stopped before its tolerance was met; the result is its last iterate.

    Results that carry a field ``converged`` hold False there as well.

    Examples
    --------
    It can be made an error where a doubtful number is worse than none.

    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("error", ConvergenceWarning)
    ...     warnings.warn("10 iterations were not enough", ConvergenceWarning)
    Traceback (most recent call last):
    ...
    numerics.convergence.ConvergenceWarning: 10 iterations were not enough
    """
