r"""Functions of Hermitian matrices, :math:`f(A) = U f(\Lambda) U^H`, and their derivatives.

With the divided differences :math:`F_{ij} = f[\lambda_i, \lambda_j]` of the eigenvalues,

.. math:: D f_A[E] = U (F \circ U^H E U) U^H,

and this map is its own adjoint, so that gradients are the same formula. An eigendecomposition is
never differentiated: its own gradient has the gaps between eigenvalues in the denominator.
"""

from __future__ import annotations

from typing import Any

from geometry.spd._arguments import as_spd, check_positive_eigenvalues
from geometry.spd._divided_differences import divided_differences, spectral_values
from geometry.spd._linear_algebra import adjoint, broadcast_together, hermitian_part
from numerics.arrays import Array, Frame

Eigen = tuple[Array, Array]  # eigenvalues (..., n) and eigenvectors (..., n, n)


def sqrtm(A: Array, *, check: bool = True) -> Array:
    r"""Principal square root of symmetric or Hermitian positive definite matrices.

    .. math:: A^{1/2} = U \Lambda^{1/2} U^H

    Parameters
    ----------
    A : array, shape (..., n, n)
        Real or complex, NumPy or torch.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., n, n)
        Kind and precision of ``A``. Torch results are twice differentiable, whatever the gaps
        between eigenvalues; gradients are Hermitian matrices.

    Raises
    ------
    ValueError
        For matrices that are not positive definite, with their batch index.

    Examples
    --------
    >>> import numpy as np
    >>> sqrtm(np.array([[5.0, 4.0], [4.0, 5.0]]))
    array([[2., 1.], [1., 2.]])
    """
    frame, A = as_spd(A=A, hermitian=("A",), check=check)
    return _of_positive(frame, A, "sqrt", None, check)


def invsqrtm(A: Array, *, check: bool = True) -> Array:
    r"""Inverse of the principal square root, :math:`A^{-1/2} = U \Lambda^{-1/2} U^H`.

    Parameters
    ----------
    A : array, shape (..., n, n)
        Symmetric or Hermitian positive definite, NumPy or torch.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., n, n)
        Kind and precision of ``A``. Torch results are twice differentiable.

    Raises
    ------
    ValueError
        For matrices that are not positive definite, with their batch index.

    Examples
    --------
    It makes A white.

    >>> import numpy as np
    >>> A = np.array([[5.0, 4.0], [4.0, 5.0]])
    >>> np.allclose(invsqrtm(A) @ A @ invsqrtm(A), np.eye(2))
    True
    """
    frame, A = as_spd(A=A, hermitian=("A",), check=check)
    return _of_positive(frame, A, "invsqrt", None, check)


def logm(A: Array, *, check: bool = True) -> Array:
    r"""Principal logarithm of positive definite matrices, :math:`U \log(\Lambda) U^H`.

    Parameters
    ----------
    A : array, shape (..., n, n)
        Symmetric or Hermitian positive definite, NumPy or torch.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., n, n)
        Symmetric or Hermitian, kind and precision of ``A``. Torch results are twice differentiable.

    Raises
    ------
    ValueError
        For matrices that are not positive definite, with their batch index.

    Examples
    --------
    The trace of the logarithm is the logarithm of the determinant.

    >>> import numpy as np
    >>> A = np.array([[5.0, 4.0], [4.0, 5.0]])
    >>> np.isclose(np.trace(logm(A)), np.log(9))
    np.True_
    """
    frame, A = as_spd(A=A, hermitian=("A",), check=check)
    return _of_positive(frame, A, "log", None, check)


def expm(S: Array, *, check: bool = True) -> Array:
    r"""Exponential of symmetric or Hermitian matrices, :math:`U \exp(\Lambda) U^H`.

    Parameters
    ----------
    S : array, shape (..., n, n)
        Symmetric or Hermitian, NumPy or torch.
    check : bool
        Refuse values that are not finite or not Hermitian.

    Returns
    -------
    array, shape (..., n, n)
        Positive definite, kind and precision of ``S``. Torch results are twice differentiable.

    Raises
    ------
    ValueError
        For matrices that are not Hermitian, with their batch index.

    See Also
    --------
    numerics.expm : of any square matrix.

    Examples
    --------
    >>> import numpy as np
    >>> np.allclose(expm(np.array([[0.0, 1.0], [1.0, 0.0]]))[0], [np.cosh(1), np.sinh(1)])
    True
    """
    frame, S = as_spd(S=S, hermitian=("S",), check=check)
    return frame.cast(spectral_functions(frame, S, "exp")[0])


def powm(A: Array, theta: Any, *, check: bool = True) -> Array:
    r"""Real power of positive definite matrices, :math:`A^\theta = U \Lambda^\theta U^H`.

    Parameters
    ----------
    A : array, shape (..., n, n)
        Symmetric or Hermitian positive definite, NumPy or torch.
    theta : float or array, shape (...)
        Exponent, one for all or one for each matrix.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., n, n)
        Kind and precision of ``A``. Torch results are twice differentiable in ``A`` and ``theta``.

    Raises
    ------
    TypeError
        If ``theta`` is complex.
    ValueError
        For matrices that are not positive definite, with their batch index.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[5.0, 4.0], [4.0, 5.0]])
    >>> np.allclose(powm(A, 0.3) @ powm(A, 0.7), A)
    True
    """
    frame, A, theta = as_spd(A=A, theta=theta, hermitian=("A",), scalars=("theta",), check=check)
    return _of_positive(frame, A, "power", theta, check)


def eigen(frame: Frame, A: Array) -> Eigen:
    """Eigenvalues (..., n), ascending, and eigenvectors, outside of any gradient.

    What is computed once here can be handed to all functions below and to the Lyapunov solver.
    """
    values, vectors = frame.xp.linalg.eigh(A.detach() if frame.is_torch else A)
    return values, vectors


def spectral_functions(
    frame: Frame, A: Array, *names: str, theta: Array | None = None, eigen_of_A: Eigen | None = None
) -> tuple[Array, ...]:
    """Several functions of trusted Hermitian matrices from one eigendecomposition.

    Parameters
    ----------
    frame : Frame
    A : array, shape (..., n, n)
        Hermitian. Eigenvalues that rounding made negative count as zero.
    *names : {"sqrt", "invsqrt", "log", "exp", "power"}
    theta : array, shape (...), optional
        Exponent of "power"; batch axes broadcast.
    eigen_of_A : tuple, optional
        What :func:`eigen` gave for ``A``.

    Returns
    -------
    tuple of array
        One for each name.
    """
    decomposition = eigen(frame, A) if eigen_of_A is None else eigen_of_A
    A, theta, (w, U) = _with_exponent(frame, A, theta, decomposition)
    if frame.is_torch:
        from geometry.spd._torch import SpectralFunctions

        return tuple(SpectralFunctions.apply(A, theta, w, U, names))
    return tuple(compose(frame, U, spectral_values(frame, w, name, theta)) for name in names)


def spectral_derivative(
    frame: Frame,
    A: Array,
    E: Array,
    name: str,
    *,
    theta: Array | None = None,
    eigen_of_A: Eigen | None = None,
) -> Array:
    """Frechet derivative of a function at trusted Hermitian ``A`` in the Hermitian direction ``E``.

    Torch results are once differentiable in ``A``, ``E`` and ``theta``.
    """
    decomposition = eigen(frame, A) if eigen_of_A is None else eigen_of_A
    A, theta, (w, U) = _with_exponent(frame, A, theta, decomposition)
    if frame.is_torch:
        from geometry.spd._torch import SpectralDerivative

        if theta is None:
            A, E, U, w = broadcast_together(frame, (A, E, U), (w,))
        else:
            A, E, U, w, theta = broadcast_together(frame, (A, E, U), (w,), (theta,))
        return SpectralDerivative.apply(A, theta, w, U, (name,), E)
    return rotated(frame, U, divided_differences(frame, w, name, theta), E)


def gram_function(frame: Frame, C: Array, name: str, *, theta: Array | None = None) -> Array:
    r"""Function of :math:`C C^H` from the singular values of C, without forming the product.

    Small singular values keep the digits that squaring would lose. Torch results are twice
    differentiable in ``C`` and ``theta``.
    """
    if theta is not None:
        C, theta = broadcast_together(frame, (C,), (), (theta,))
    if frame.is_torch:
        from geometry.spd._torch import GramFunction

        return GramFunction.apply(C, theta, *frame.xp.linalg.svd(C.detach()), name)
    U, s, _ = frame.xp.linalg.svd(C)
    return compose(frame, U, spectral_values(frame, s * s, name, theta))


def compose(frame: Frame, U: Array, values: Array) -> Array:
    r""":math:`U \operatorname{diag}(v) U^H`."""
    return hermitian_part(frame, (U * values[..., None, :]) @ adjoint(frame, U))


def rotated(frame: Frame, U: Array, F: Array, E: Array) -> Array:
    r""":math:`U (F \circ U^H E U) U^H` for Hermitian E."""
    inner = F * (adjoint(frame, U) @ E @ U)
    return hermitian_part(frame, U @ inner @ adjoint(frame, U))


def _of_positive(frame: Frame, A: Array, name: str, theta: Array | None, check: bool) -> Array:
    """Function of a Hermitian matrix, positive definite by the eigenvalues that it takes anyway."""
    decomposition = eigen(frame, A)
    if check:
        check_positive_eigenvalues("A", decomposition[0], frame)
    result = spectral_functions(frame, A, name, theta=theta, eigen_of_A=decomposition)
    return frame.cast(result[0])


def _with_exponent(
    frame: Frame, A: Array, theta: Array | None, decomposition: Eigen
) -> tuple[Array, Array | None, Eigen]:
    w, U = decomposition
    if theta is None:
        return A, None, (w, U)
    A, U, w, theta = broadcast_together(frame, (A, U), (w,), (theta,))
    return A, theta, (w, U)
