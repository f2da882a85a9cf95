r"""Convolution kernels of linear state-space models.

The kernel of a discrete system is its impulse response :math:`K_l = C \bar A^l \bar B`. For a
diagonal system it is a Vandermonde product, :math:`K_l = \sum_n w_n z_n^l`, which is computed as
matrix products without an array of shape (systems, modes, length).

References: S4D (arXiv 2206.11893), DSS (arXiv 2203.14343).
"""

from __future__ import annotations

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_float,
    as_integer,
    broadcast_batch,
    check_choice,
    check_positive,
    check_shape,
)
from ssm._vandermonde import chosen_algorithm, expand, expand_compiled
from ssm.discretization import discretize_double, phi1_double

_DISCRETIZATIONS = ("zoh", "bilinear", "euler", "backward", "impulse")


def vandermonde_kernel(
    Lambda: Array,
    w: Array,
    L: int,
    *,
    dt: Array,
    discretization: str = "zoh",
    conj: bool = True,
    algorithm: str = "auto",
) -> Array:
    r"""Kernel of diagonal state-space models, discretised and expanded in one go.

    .. math:: K_l = \sum_n C_n \bar B_n \bar z_n^{\,l}, \qquad
              \bar z = e^{\Delta\lambda},\ \bar B = \Delta\varphi_1(\Delta\lambda) B
              \quad\text{(zero-order hold)}

    and twice the real part of it when ``conj``.

    Parameters
    ----------
    Lambda : array, shape (..., N)
        Eigenvalues of the continuous systems. When ``conj``, one of each conjugate pair.
    w : array, shape (..., N)
        ``C * B``, with the continuous ``B``.
    L : int
        Length, at least 1.
    dt : float or array, shape (...)
        Step; a scalar or one value a system, shaped like the batch axes.
    discretization : {"zoh", "bilinear", "euler", "backward", "impulse"}
        Rule; see :func:`ssm.discretize`.
    conj : bool
        Return twice the real part. Needs complex ``Lambda``.
    algorithm : {"auto", "matmul", "numba", "triton"}
        ``matmul`` is the array-API form: any library and device, differentiable. ``numba`` fills
        the same factors by compiled code, in cache, for NumPy arrays and for CPU tensors that need
        no gradient, with ``conj``. ``triton`` forms and multiplies them in one kernel, for CUDA
        tensors where Triton is installed, with ``conj``, differentiable. ``auto`` takes one of the
        two where it can.

    Returns
    -------
    array, shape (..., L)
        Real when ``conj`` or when all input is real; else complex. Parameters are handled in double
        precision; the product is done in the precision of the input.

    Raises
    ------
    TypeError
        For arrays that hold no numbers or mix libraries, and for ``L`` not an integer.
    ValueError
        For wrong shapes, ``L < 1``, ``dt`` not positive, unknown names, real ``Lambda`` with
        ``conj``, or an ``algorithm`` for arrays it cannot take.

    References
    ----------
    Gu, Gupta, Goel, Re, arXiv 2206.11893 (S4D).

    Examples
    --------
    A damped oscillator: eigenvalues :math:`-1/2 \pm 2\pi i` and ``w`` = 1/2 each.

    >>> import numpy as np
    >>> K = vandermonde_kernel(
    ...     np.array([-0.5 + 2j * np.pi]), np.array([0.5]), 4, dt=0.25, discretization="impulse"
    ... )
    >>> t = 0.25 * np.arange(4)
    >>> np.allclose(K, 0.25 * np.exp(-t / 2) * np.cos(2 * np.pi * t), atol=1e-15)
    True
    """
    frame, Lambda, w, dt = as_arrays(Lambda=Lambda, w=w, dt=dt)
    L = as_integer("L", L, minimum=1)
    check_choice("discretization", discretization, _DISCRETIZATIONS)
    check_positive("dt", dt, frame)
    _check_modes("Lambda", Lambda, w, conj, frame)
    broadcast_batch(Lambda=tuple(Lambda.shape[:-1]), w=tuple(w.shape[:-1]), dt=tuple(dt.shape))
    algorithm = chosen_algorithm(frame, algorithm, conj, Lambda, w, dt)
    home = frame
    if algorithm == "numba":
        frame, (Lambda, w, dt) = frame.to_host(Lambda, w, dt)
    Lambda, w, dt = frame.double(Lambda), frame.double(w), frame.double(dt)
    step = dt[..., None]
    nodes: dict[str, Array] = {}
    if discretization == "zoh":
        nodes["exponent"] = step * Lambda
        w = step * phi1_double(frame, nodes["exponent"]) * w
    elif discretization == "impulse":
        nodes["exponent"] = step * Lambda
        w = step * w
    else:
        nodes["z"], w = discretize_double(
            frame, Lambda, w, dt, method=discretization, diagonal=True
        )
    if algorithm == "numba":
        return expand_compiled(home, w, L, **nodes)
    if algorithm == "triton":
        from ssm._torch_vandermonde import expand_on_device

        return expand_on_device(frame, w, L, **nodes)
    return expand(frame, w, L, conj=conj, **nodes)


def vandermonde_matvec(z: Array, w: Array, L: int) -> Array:
    r"""Vandermonde matrix times a vector, :math:`K_l = \sum_n w_n z_n^l` for :math:`0 \le l < L`.

    Parameters
    ----------
    z : array, shape (..., N)
        Nodes; zero is allowed (:math:`0^0 = 1`).
    w : array, shape (..., N)
        Weights.
    L : int
        Number of powers, at least 1.

    Returns
    -------
    array, shape (..., L)
        Complex when ``z`` or ``w`` is, else real.

    Raises
    ------
    TypeError, ValueError
        As :func:`vandermonde_kernel`.

    Examples
    --------
    A geometric series, and a node at zero.

    >>> import numpy as np
    >>> vandermonde_matvec(np.array([0.5, 0.0]), np.array([1.0, 3.0]), 4)
    array([4.   , 0.5  , 0.25 , 0.125])
    """
    frame, z, w = as_arrays(z=z, w=w)
    L = as_integer("L", L, minimum=1)
    _check_modes("z", z, w, False, frame)
    broadcast_batch(z=tuple(z.shape[:-1]), w=tuple(w.shape[:-1]))
    return expand(frame, frame.double(w), L, conj=False, z=frame.double(z))


def dss_kernel(
    Lambda: Array, w: Array, L: int, *, dt: Array, conj: bool = True, epsilon: float = 1e-7
) -> Array:
    r"""Kernel of DSS, whose rows are normalised over the length by a complex softmax.

    .. math:: K_l = \sum_n \frac{w_n}{\lambda_n}\,
              \frac{e^{l\Delta\lambda_n}}{\sum_{j<L} e^{j\Delta\lambda_n}},
              \qquad \sum_{j<L} e^{jx} = L\,\varphi_1(Lx) / \varphi_1(x).

    For :math:`\operatorname{Re}\lambda_n > 0` the largest exponent is divided out, which runs the
    same row from its other end, so growing modes do not overflow.

    Parameters
    ----------
    Lambda : array, shape (..., N)
        Eigenvalues, none zero.
    w : array, shape (..., N)
        Output weights.
    L : int
        Length, at least 1.
    dt : float or array, shape (...)
        Step.
    conj : bool
        Return twice the real part (``Lambda`` holds one of each conjugate pair).
    epsilon : float
        The reciprocal of the sum s is taken as :math:`\bar s / (|s|^2 + \epsilon)`, since s
        vanishes at the L-th roots of unity; 1e-7 is the published value, 0 the exact quotient.

    Returns
    -------
    array, shape (..., L)

    Raises
    ------
    TypeError, ValueError
        As :func:`vandermonde_kernel`; also for a zero in ``Lambda`` and a negative ``epsilon``.

    References
    ----------
    Gupta, Gu, Berant, arXiv 2203.14343 (DSS, softmax form).

    Examples
    --------
    Each row sums to its weight over its eigenvalue.

    >>> import numpy as np
    >>> K = dss_kernel(np.array([-0.5]), np.array([2.0]), 64, dt=0.1, conj=False, epsilon=0.0)
    >>> bool(np.isclose(K.sum(), 2.0 / -0.5))
    True
    """
    frame, Lambda, w, dt = as_arrays(Lambda=Lambda, w=w, dt=dt)
    xp = frame.xp
    L = as_integer("L", L, minimum=1)
    epsilon = as_float("epsilon", epsilon)
    if epsilon < 0:
        raise ValueError(f"epsilon must not be negative, got {epsilon}")
    check_positive("dt", dt, frame)
    _check_modes("Lambda", Lambda, w, conj, frame)
    if bool(xp.any(Lambda == 0)):
        raise ValueError("Lambda must have no zero entry, got one")
    broadcast_batch(Lambda=tuple(Lambda.shape[:-1]), w=tuple(w.shape[:-1]), dt=tuple(dt.shape))
    Lambda, w = frame.double(Lambda), frame.double(w)
    exponent = frame.double(dt)[..., None] * Lambda
    growing = (xp.real(exponent) if frame.is_complex(exponent) else exponent) > 0
    decaying = xp.where(growing, -exponent, exponent)
    total = _geometric_sum(frame, decaying, L)
    squared = xp.real(total * xp.conj(total)) if frame.is_complex(total) else total * total
    conjugate = xp.conj(total) if frame.is_complex(total) else total
    weights = w / Lambda * conjugate / (squared + epsilon)
    nothing = xp.zeros_like(weights)
    down, up = xp.where(growing, nothing, weights), xp.where(growing, weights, nothing)
    forward = expand(frame, down, L, conj=conj, exponent=decaying)
    backward = expand(frame, up, L, conj=conj, exponent=decaying)
    return forward + xp.flip(backward, axis=-1)


def dense_kernel(A: Array, B: Array, C: Array, L: int) -> Array:
    r"""Kernel of dense discrete systems, :math:`K_l = C A^l B` for :math:`0 \le l < L`.

    The Krylov vectors are doubled by repeated squaring, :math:`O(N^2 (L + N \log L))` operations in
    matrix products.

    Parameters
    ----------
    A : array, shape (..., N, N)
        Discrete state matrices.
    B, C : array, shape (..., N)
        Input and output vectors.
    L : int
        Length, at least 1.

    Returns
    -------
    array, shape (..., L)

    Raises
    ------
    TypeError, ValueError
        For wrong types, shapes and lengths.

    Examples
    --------
    The Fibonacci numbers are the kernel of their companion matrix.

    >>> import numpy as np
    >>> fibonacci = np.array([[1.0, 1.0], [1.0, 0.0]])
    >>> dense_kernel(fibonacci, np.array([1.0, 0.0]), np.array([1.0, 0.0]), 7)
    array([ 1.,  1.,  2.,  3.,  5.,  8., 13.])
    """
    frame, A, B, C = as_arrays(A=A, B=B, C=C)
    L = as_integer("L", L, minimum=1)
    check_shape("A", A, "N", "N")
    check_shape("B", B, A.shape[-1])
    check_shape("C", C, A.shape[-1])
    broadcast_batch(A=tuple(A.shape[:-2]), B=tuple(B.shape[:-1]), C=tuple(C.shape[:-1]))
    A, B, C = frame.common_dtype(A, B, C)
    return (C[..., None, :] @ krylov(frame, A, B, L))[..., 0, :]


def krylov(frame: Frame, A: Array, B: Array, L: int) -> Array:
    """Trusted Krylov vectors [B, A B, ..., A^(L-1) B] as columns, shape (..., N, L)."""
    xp = frame.xp
    batch = broadcast_batch(A=tuple(A.shape[:-2]), B=tuple(B.shape[:-1]))
    columns = xp.broadcast_to(B, (*batch, B.shape[-1]))[..., None]
    power = A
    while columns.shape[-1] < L:
        needed = L - columns.shape[-1]
        columns = xp.concat((columns, power @ columns[..., :needed]), axis=-1)
        if columns.shape[-1] < L:
            power = power @ power
    return columns


def _check_modes(name: str, modes: Array, w: Array, conj: bool, frame: Frame) -> None:
    check_shape(name, modes, "N")
    check_shape("w", w, modes.shape[-1])
    if modes.shape[-1] == 0:
        raise ValueError(f"{name} must hold at least one mode, got shape {tuple(modes.shape)}")
    if conj and not frame.is_complex(modes):
        raise ValueError(
            f"{name} must be complex when conj=True, got dtype {modes.dtype}: a real mode is"
            " its own conjugate, pass conj=False"
        )


def _geometric_sum(frame: Frame, x: Array, L: int) -> Array:
    return L * phi1_double(frame, L * x) / phi1_double(frame, x)
