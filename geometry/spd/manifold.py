r"""Positive definite matrices as a Riemannian manifold, under any of the metrics of this package.

===================== =========================================================================
metric                squared distance
===================== =========================================================================
"affine_invariant"    :math:`\lVert \log A^{-1/2} B A^{-1/2} \rVert_F^2`
"log_euclidean"       :math:`\lVert \log A - \log B \rVert_F^2`
"log_cholesky"        that of Cholesky factors, their diagonals by logarithms
"bures_wasserstein"   :math:`\operatorname{tr} A + \operatorname{tr} B
                      - 2 \operatorname{tr} (A^{1/2} B A^{1/2})^{1/2}`
===================== =========================================================================

The last one takes a positive definite ``M``, for whose congruence
:math:`X \mapsto M^{-1/2} X M^{-1/2}` it is the same metric (arXiv 2110.10464), and an exponent
``theta``: the metric of :math:`A^\theta`, divided by :math:`\theta^2` (arXiv 2504.00660). The
formulas are in the files of the metrics.
"""

from __future__ import annotations

from typing import Any

from geometry.spd._arguments import as_spd
from geometry.spd._linear_algebra import square_root
from geometry.spd._metric import DOMAINS, resolve_metric
from numerics.arrays import Array, check_choice


def inner(
    P: Array,
    V: Array,
    W: Array,
    *,
    metric: str = "affine_invariant",
    M: Array | None = None,
    theta: Any = None,
    check: bool = True,
) -> Array:
    r"""Inner product :math:`g_P(V, W)` of tangent vectors.

    Parameters
    ----------
    P : array, shape (..., n, n)
        Positive definite: base points; NumPy or torch. Batch axes of all arguments broadcast.
    V, W : array, shape (..., n, n)
        Symmetric or Hermitian: tangent vectors at ``P``.
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : array, shape (..., n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float or array, shape (...), optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite. Shapes and
        dtypes are always checked.

    Returns
    -------
    array, shape (...)
        Real. Torch results are differentiable in all arguments.

    Raises
    ------
    ValueError
        For matrices that are not positive definite, with their batch index; for ``M`` or ``theta``
        with a metric that has none.

    Examples
    --------
    The affine-invariant product does not feel a change of scale.

    >>> import numpy as np
    >>> P, V = np.diag([2.0, 3.0]), np.array([[1.0, 2.0], [2.0, 4.0]])
    >>> np.isclose(inner(P, V, V), inner(10 * P, 10 * V, 10 * V))
    np.True_
    """
    frame, P, V, W, M, theta = as_spd(
        P=P, V=V, W=W, M=M, theta=theta, hermitian=("V", "W"), scalars=("theta",), check=check
    )
    return frame.cast(resolve_metric(frame, metric, M, theta).inner(P, V, W))


def norm(
    P: Array,
    V: Array,
    *,
    metric: str = "affine_invariant",
    M: Array | None = None,
    theta: Any = None,
    check: bool = True,
) -> Array:
    r"""Norm :math:`\sqrt{g_P(V, V)}` of tangent vectors.

    Parameters
    ----------
    P : array, shape (..., n, n)
        Positive definite: base points; NumPy or torch. Batch axes of all arguments broadcast.
    V : array, shape (..., n, n)
        Symmetric or Hermitian: tangent vectors at ``P``.
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : array, shape (..., n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float or array, shape (...), optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (...)
        Real. Torch results are differentiable, with gradient zero at ``V = 0``.

    Raises
    ------
    ValueError
        As for :func:`inner`.

    Examples
    --------
    At the identity it is the Frobenius norm.

    >>> import numpy as np
    >>> V = np.array([[0.0, 3.0], [3.0, 4.0]])
    >>> np.isclose(norm(np.eye(2), V, metric="log_euclidean"), np.linalg.norm(V))
    np.True_
    """
    frame, P, V, M, theta = as_spd(
        P=P, V=V, M=M, theta=theta, hermitian=("V",), scalars=("theta",), check=check
    )
    squared = resolve_metric(frame, metric, M, theta).inner(P, V, V)
    return frame.cast(square_root(frame, squared))


def distance(
    A: Array,
    B: Array,
    *,
    metric: str = "affine_invariant",
    M: Array | None = None,
    theta: Any = None,
    squared: bool = False,
    check: bool = True,
) -> Array:
    r"""Geodesic distance :math:`d(A, B)` of positive definite matrices.

    Parameters
    ----------
    A, B : array, shape (..., n, n)
        Positive definite, NumPy or torch. Batch axes of all arguments broadcast.
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : array, shape (..., n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float or array, shape (...), optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero.
    squared : bool
        Return :math:`d^2`, which is smooth where the two are equal.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (...)
        Real. Torch results are differentiable, whatever eigenvalues coincide; the gradient of the
        distance is zero where ``A`` and ``B`` are equal.

    Raises
    ------
    ValueError
        As for :func:`inner`.

    Examples
    --------
    Inversion is an isometry of the affine-invariant metric.

    >>> import numpy as np
    >>> A, B = np.array([[2.0, 1.0], [1.0, 2.0]]), np.diag([1.0, 4.0])
    >>> np.isclose(distance(A, B), distance(np.linalg.inv(A), np.linalg.inv(B)))
    np.True_
    """
    frame, A, B, M, theta = as_spd(A=A, B=B, M=M, theta=theta, scalars=("theta",), check=check)
    result = resolve_metric(frame, metric, M, theta).squared_distance(A, B)
    return frame.cast(result if squared else square_root(frame, result))


def exp(
    P: Array,
    V: Array,
    *,
    metric: str = "affine_invariant",
    M: Array | None = None,
    theta: Any = None,
    domain: str = "raise",
    check: bool = True,
) -> Array:
    r"""Exponential map: the end of the geodesic that leaves ``P`` with velocity ``V``.

    Parameters
    ----------
    P : array, shape (..., n, n)
        Positive definite: base points; NumPy or torch. Batch axes of all arguments broadcast.
    V : array, shape (..., n, n)
        Symmetric or Hermitian: tangent vectors at ``P``.
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : array, shape (..., n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float or array, shape (...), optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero.
    domain : {"raise", "clip", "fold"}
        What to do where a Bures-Wasserstein geodesic has left the manifold before its end: refuse,
        stop short of the boundary, or take the formula's value. The other metrics' geodesics never
        leave.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., n, n)
        Positive definite. Torch results are differentiable in all arguments.

    Raises
    ------
    ValueError
        As for :func:`inner`; for ``domain="raise"`` also where a geodesic leaves the manifold.

    Examples
    --------
    Commuting matrices are multiplied by exponentials.

    >>> import numpy as np
    >>> np.allclose(exp(np.diag([1.0, 4.0]), np.diag([0.0, 4.0])), np.diag([1.0, 4 * np.e]))
    True
    """
    frame, P, V, M, theta = as_spd(
        P=P, V=V, M=M, theta=theta, hermitian=("V",), scalars=("theta",), check=check
    )
    check_choice("domain", domain, DOMAINS)
    return frame.cast(resolve_metric(frame, metric, M, theta).exp(P, V, domain))


def log(
    P: Array,
    Q: Array,
    *,
    metric: str = "affine_invariant",
    M: Array | None = None,
    theta: Any = None,
    check: bool = True,
) -> Array:
    r"""Logarithm: the velocity with which the geodesic leaves ``P`` that ends in ``Q``.

    Parameters
    ----------
    P, Q : array, shape (..., n, n)
        Positive definite, NumPy or torch. Batch axes of all arguments broadcast.
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : array, shape (..., n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float or array, shape (...), optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., n, n)
        Symmetric or Hermitian: tangent vectors at ``P``. Torch results are differentiable.

    Raises
    ------
    ValueError
        As for :func:`inner`.

    Examples
    --------
    Its length is the distance.

    >>> import numpy as np
    >>> P, Q = np.array([[2.0, 1.0], [1.0, 2.0]]), np.diag([1.0, 4.0])
    >>> np.isclose(norm(P, log(P, Q)), distance(P, Q))
    np.True_
    """
    frame, P, Q, M, theta = as_spd(P=P, Q=Q, M=M, theta=theta, scalars=("theta",), check=check)
    return frame.cast(resolve_metric(frame, metric, M, theta).log(P, Q))


def geodesic(
    A: Array,
    B: Array,
    t: Any,
    *,
    metric: str = "affine_invariant",
    M: Array | None = None,
    theta: Any = None,
    check: bool = True,
) -> Array:
    r"""Points :math:`\gamma(t)` of the geodesic from :math:`A = \gamma(0)` to
    :math:`B = \gamma(1)`.

    Parameters
    ----------
    A, B : array, shape (..., n, n)
        Positive definite, NumPy or torch. Batch axes of all arguments broadcast.
    t : float or array, shape (...)
        Parameters, one for all or one for each matrix of the batch.
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : array, shape (..., n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float or array, shape (...), optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., n, n)
        Positive definite. Torch results are differentiable in all arguments.

    Raises
    ------
    ValueError
        As for :func:`inner`.

    Examples
    --------
    >>> import numpy as np
    >>> A, B = np.diag([1.0, 4.0]), np.diag([4.0, 9.0])
    >>> geodesic(A, B, 0.5)
    array([[2., 0.], [0., 6.]])
    """
    frame, A, B, t, M, theta = as_spd(
        A=A, B=B, t=t, M=M, theta=theta, scalars=("t", "theta"), check=check
    )
    return frame.cast(resolve_metric(frame, metric, M, theta).geodesic(A, B, t))


def parallel_transport(
    V: Array,
    P: Array,
    Q: Array,
    *,
    metric: str = "affine_invariant",
    M: Array | None = None,
    theta: Any = None,
    rtol: float = 1e-10,
    check: bool = True,
) -> Array:
    r"""Tangent vectors ``V`` moved in parallel along the geodesic from ``P`` to ``Q``.

    Parameters
    ----------
    V : array, shape (..., n, n)
        Symmetric or Hermitian: tangent vectors at ``P``.
    P, Q : array, shape (..., n, n)
        Positive definite, NumPy or torch. Batch axes of all arguments broadcast.
    metric : {"affine_invariant", "log_euclidean", "log_cholesky", "bures_wasserstein"}
        Metric.
    M : array, shape (..., n, n), optional
        Positive definite matrix of the generalised Bures-Wasserstein metric.
    theta : float or array, shape (...), optional
        Exponent of the power-deformed Bures-Wasserstein metric, not zero.
    rtol : float
        Relative tolerance of the Bures-Wasserstein transport, which is the solution of a
        differential equation. The others have closed forms.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., n, n)
        Tangent vectors at ``Q``. Torch results are differentiable.

    Raises
    ------
    ValueError
        As for :func:`inner`.

    Warns
    -----
    ConvergenceWarning
        If rounding keeps the Bures-Wasserstein transport from ``rtol``, as it does where matrices
        are very ill-conditioned.

    Examples
    --------
    Transport is an isometry, and takes a geodesic's first velocity to its last.

    >>> import numpy as np
    >>> P, Q = np.array([[2.0, 1.0], [1.0, 2.0]]), np.diag([1.0, 4.0])
    >>> V = np.array([[1.0, 2.0], [2.0, 0.0]])
    >>> np.isclose(norm(Q, parallel_transport(V, P, Q)), norm(P, V))
    np.True_
    >>> np.allclose(parallel_transport(log(P, Q), P, Q), -log(Q, P))
    True
    """
    frame, V, P, Q, M, theta = as_spd(
        V=V, P=P, Q=Q, M=M, theta=theta, hermitian=("V",), scalars=("theta",), check=check
    )
    return frame.cast(resolve_metric(frame, metric, M, theta).transport(V, P, Q, rtol))
