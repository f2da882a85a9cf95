r"""From continuous to discrete time.

A continuous system :math:`x' = A x + B u` sampled with step :math:`\Delta` becomes

.. math:: x_k = \bar A x_{k-1} + \bar B u_k, \qquad y_k = C x_k,

the convention of the deep-learning literature in which the output sees :math:`u_k` at once. The
rules differ in how the input is held between samples: zero-order hold is exact for inputs that are
constant over each step, and the generalised bilinear transform (GBT) is the
:math:`\alpha`-weighted mean of an explicit and an implicit Euler step. ``C`` is never changed;
:func:`scipy.signal.cont2discrete` changes it for GBT, which is another realisation of the same
transfer function. :func:`ssm.delayed_form` translates to SciPy's convention.
"""

from __future__ import annotations

import math
import warnings

from numerics.arrays import (
    Array,
    Frame,
    as_arrays,
    as_float,
    broadcast_batch,
    check_choice,
    check_positive,
    check_shape,
)
from numerics.matrix_functions import expm_double

_GBT_ALPHA = {"euler": 0.0, "bilinear": 0.5, "backward": 1.0}
METHODS = ("zoh", "bilinear", "gbt", "euler", "backward", "foh", "impulse")


def discretize(
    A: Array,
    B: Array,
    dt: Array,
    *,
    method: str = "zoh",
    alpha: float | None = None,
    diagonal: bool = False,
) -> tuple[Array, Array]:
    r"""Discretise :math:`x' = A x + B u` with step ``dt``.

    ============= ======================================== =======================================
    method        :math:`\bar A`                           :math:`\bar B`
    ============= ======================================== =======================================
    ``zoh``       :math:`e^{\Delta A}`                     :math:`\Delta\,\varphi_1(\Delta A) B`
    ``gbt``       :math:`(I-\alpha\Delta A)^{-1}           :math:`(I-\alpha\Delta A)^{-1}\Delta B`
                  (I+(1-\alpha)\Delta A)`
    ``euler``     GBT with :math:`\alpha = 0`
    ``bilinear``  GBT with :math:`\alpha = 1/2`
    ``backward``  GBT with :math:`\alpha = 1`
    ``foh``       :math:`e^{\Delta A}`                     :math:`\Delta\,(\varphi_1 - \varphi_2 +
                                                           \bar A \varphi_2)(\Delta A) B`
    ``impulse``   :math:`e^{\Delta A}`                     :math:`\Delta B`
    ============= ======================================== =======================================

    with :math:`\varphi_1(x) = (e^x - 1)/x` and :math:`\varphi_2(x) = (e^x - 1 - x)/x^2`; neither
    needs an inverse of ``A``. The first-order hold (``foh``) is SciPy's pair: its state is
    :math:`x_k - \Gamma u_k` in the delayed convention, with the direct term
    :math:`C\Gamma` where :math:`\Gamma` is :func:`foh_gain`.

    Parameters
    ----------
    A : array, shape (..., N, N), or (..., N) when ``diagonal``
        State matrices, real or complex.
    B : array, shape (..., N)
        Input vectors.
    dt : float or array, shape (...)
        Step, in the unit of time of ``A``: a scalar, or one value a system, shaped like the batch
        axes.
    method : str
        One of the table.
    alpha : float, optional
        Weight of the implicit part, in [0, 1]; for ``gbt`` only.
    diagonal : bool
        Whether ``A`` holds the diagonals of diagonal matrices.

    Returns
    -------
    Ad : array, shape (..., N, N), or (..., N) when ``diagonal``
    Bd : array, shape (..., N)
        In the kind and precision of the input; computed in double precision.

    Raises
    ------
    TypeError
        For arrays that hold no numbers or mix libraries, and a complex ``dt``.
    ValueError
        For wrong shapes, ``dt`` not positive, an unknown ``method``, or a missing, superfluous or
        out-of-range ``alpha``.

    Warns
    -----
    RuntimeWarning
        When a rule with :math:`\alpha < 1/2` makes an unstable system out of a stable one.

    References
    ----------
    Gu, Goel, Re, arXiv 2111.00396 (bilinear rule for S4); Gu, Dao, Ermon, Rudra, Re,
    arXiv 2008.07669, appendix on discretisation (GBT).

    Examples
    --------
    Zero-order hold is exact for a constant input: the state of :math:`x' = -x + u` under
    :math:`u = 1` is :math:`1 - e^{-t}`.

    >>> import numpy as np
    >>> Ad, Bd = discretize(np.array([[-1.0]]), np.array([1.0]), 0.5)
    >>> x = np.zeros(1)
    >>> for _ in range(4):
    ...     x = Ad @ x + Bd
    >>> bool(np.isclose(x[0], 1 - np.exp(-2.0), rtol=1e-15))
    True
    """
    frame, A, B, dt = _checked_system(A, B, dt, diagonal)
    check_choice("method", method, METHODS)
    alpha = _checked_alpha(method, alpha)
    if alpha is not None and alpha < 0.5:
        _warn_if_destabilised(frame, A, dt, alpha, diagonal)
    Ad, Bd = discretize_double(frame, A, B, dt, method=method, alpha=alpha, diagonal=diagonal)
    return frame.cast(Ad), frame.cast(Bd)


def foh_gain(A: Array, B: Array, dt: Array, *, diagonal: bool = False) -> Array:
    r"""Share of :math:`u_k` in the state at step k when inputs are joined by straight lines.

    .. math:: \Gamma = \Delta\,\varphi_2(\Delta A) B, \qquad
              \varphi_2(x) = (e^x - 1 - x) / x^2.

    Parameters
    ----------
    A, B, dt, diagonal
        As in :func:`discretize`.

    Returns
    -------
    array, shape (..., N)

    Raises
    ------
    TypeError, ValueError
        As :func:`discretize`.

    Examples
    --------
    An integrator under a ramp from 0 to 1 ends at half the step.

    >>> import numpy as np
    >>> foh_gain(np.zeros((1, 1)), np.ones(1), 0.2)
    array([0.1])
    """
    frame, A, B, dt = _checked_system(A, B, dt, diagonal)
    if diagonal:
        step = dt[..., None]
        return frame.cast(step * _phi2(frame, step * A) * B)
    return frame.cast(_hold_blocks(frame, A, B, dt, order=2)[2])


def phi1(x: Array) -> Array:
    r"""The function :math:`\varphi_1(x) = (e^x - 1)/x`, with :math:`\varphi_1(0) = 1`.

    Parameters
    ----------
    x : array
        Real or complex, any shape.

    Returns
    -------
    array
        Same shape, kind and precision; relative error of a few units in the last place for every
        ``x``, and a derivative that does not cancel near zero.

    Raises
    ------
    TypeError, ValueError
        If ``x`` holds no finite numbers.

    Examples
    --------
    >>> import numpy as np
    >>> phi1(np.array([0.0, 1e-9, 1.0]))
    array([1.        , 1.        , 1.71828183])
    """
    frame, x = as_arrays(x=x)
    return frame.cast(phi1_double(frame, frame.double(x)))


def discretize_double(
    frame: Frame,
    A: Array,
    B: Array,
    dt: Array,
    *,
    method: str,
    alpha: float | None = None,
    diagonal: bool = False,
) -> tuple[Array, Array]:
    """Discretise trusted double-precision arrays."""
    xp = frame.xp
    weight = _GBT_ALPHA.get(method, alpha)
    if diagonal:
        step = dt[..., None]
        x = step * A
        if weight is not None:
            denominator = 1 - weight * x
            return (1 + (1 - weight) * x) / denominator, step * B / denominator
        Ad = xp.exp(x)
        if method == "zoh":
            return Ad, step * phi1_double(frame, x) * B
        if method == "impulse":
            return Ad, _full(frame, step * B, Ad)
        phi2 = _phi2(frame, x)
        return Ad, step * (phi1_double(frame, x) - phi2 + Ad * phi2) * B
    if weight is not None:
        x = dt[..., None, None] * A
        identity = xp.eye(A.shape[-1], dtype=A.dtype, device=frame.device)
        columns = dt[..., None] * B
        batch = broadcast_batch(A=tuple(x.shape[:-2]), B=tuple(columns.shape[:-1]))
        x = xp.broadcast_to(x, (*batch, *x.shape[-2:]))
        columns = xp.broadcast_to(columns, (*batch, columns.shape[-1]))
        right = xp.concat((identity + (1 - weight) * x, columns[..., None]), axis=-1)
        solved = xp.linalg.solve(identity - weight * x, right)
        return solved[..., :-1], solved[..., -1]
    if method == "impulse":
        Ad = expm_double(frame, dt[..., None, None] * A)
        return Ad, _full(frame, dt[..., None] * B, Ad[..., 0])
    if method == "zoh":
        return _hold_blocks(frame, A, B, dt, order=1)
    Ad, constant, ramp = _hold_blocks(frame, A, B, dt, order=2)
    return Ad, constant - ramp + (Ad @ ramp[..., None])[..., 0]


def phi1_double(frame: Frame, x: Array) -> Array:
    """:math:`(e^x - 1)/x` of trusted double-precision values."""
    return _phi(frame, x, 1)


def _phi2(frame: Frame, x: Array) -> Array:
    return _phi(frame, x, 2)


def _phi(frame: Frame, x: Array, order: int) -> Array:
    """Taylor series inside the unit disc, where the quotient or its derivative would cancel."""
    xp = frame.xp
    near = xp.abs(x) < 1
    inside = xp.where(near, x, xp.zeros_like(x))
    series = xp.zeros_like(x)
    for k in range(17, -1, -1):
        series = series * inside + 1 / math.factorial(k + order)
    outside = xp.where(near, xp.ones_like(x), x)
    quotient = (xp.exp(outside) - 1) / outside
    if order == 2:
        quotient = (quotient - 1) / outside
    return xp.where(near, series, quotient)


def _hold_blocks(frame: Frame, A: Array, B: Array, dt: Array, *, order: int) -> tuple[Array, ...]:
    r"""Blocks of the exponential of :math:`\Delta` times the generator of the held input.

    With the input and its derivatives appended to the state, the top rows are
    :math:`e^{\Delta A}, \Delta\varphi_1 B, \ldots` (Van Loan 1978).
    """
    xp = frame.xp
    N = A.shape[-1]
    batch = broadcast_batch(A=tuple(A.shape[:-2]), B=tuple(B.shape[:-1]), dt=tuple(dt.shape))
    top = xp.concat(
        (
            xp.broadcast_to(dt[..., None, None] * A, (*batch, N, N)),
            xp.broadcast_to((dt[..., None] * B)[..., None], (*batch, N, 1)),
            xp.zeros((*batch, N, order - 1), dtype=A.dtype, device=frame.device),
        ),
        axis=-1,
    )
    chain = xp.concat(
        (
            xp.zeros((order, N + 1), dtype=A.dtype, device=frame.device),
            xp.eye(order, order - 1, dtype=A.dtype, device=frame.device),
        ),
        axis=-1,
    )
    bottom = xp.broadcast_to(chain, (*batch, order, N + order))
    exponential = expm_double(frame, xp.concat((top, bottom), axis=-2))
    held = tuple(exponential[..., :N, N + j] for j in range(order))
    return exponential[..., :N, :N], *held


def _checked_system(
    A: Array, B: Array, dt: Array, diagonal: bool
) -> tuple[Frame, Array, Array, Array]:
    frame, A, B, dt = as_arrays(A=A, B=B, dt=dt)
    trailing = ("N",) if diagonal else ("N", "N")
    check_shape("A", A, *trailing)
    N = A.shape[-1]
    if N == 0:
        raise ValueError(f"A must have order N of at least 1, got shape {tuple(A.shape)}")
    check_shape("B", B, N)
    check_positive("dt", dt, frame)
    broadcast_batch(A=tuple(A.shape[: -len(trailing)]), B=tuple(B.shape[:-1]), dt=tuple(dt.shape))
    A, B = frame.double(A), frame.double(B)
    if frame.is_complex(A) or frame.is_complex(B):
        A, B = (frame.xp.astype(array, frame.xp.complex128, copy=False) for array in (A, B))
    return frame, A, B, frame.double(dt)


def _checked_alpha(method: str, alpha: float | None) -> float | None:
    if method != "gbt":
        if alpha is not None:
            raise ValueError(f"alpha is for method='gbt' only, got {alpha} with {method!r}")
        return _GBT_ALPHA.get(method)
    if alpha is None:
        raise ValueError("alpha must be given for method='gbt', a number in [0, 1]; got None")
    alpha = as_float("alpha", alpha)
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha}")
    return alpha


def _warn_if_destabilised(frame: Frame, A: Array, dt: Array, alpha: float, diagonal: bool) -> None:
    xp = frame.xp
    if diagonal:
        x = dt[..., None] * A
    elif frame.is_torch:
        x = dt[..., None] * xp.linalg.eigvals(A.detach())
    else:
        x = dt[..., None] * xp.linalg.eigvals(A)
    radius = xp.max(xp.abs((1 + (1 - alpha) * x) / (1 - alpha * x)), axis=-1)
    stable = xp.all(xp.real(x) <= 0, axis=-1) if frame.is_complex(x) else xp.all(x <= 0, axis=-1)
    if bool(xp.any(stable & (radius > 1))):
        warnings.warn(
            "dt is too large for this rule: the spectral radius reaches"
            f" {float(xp.max(radius)):.3g} although A is stable; take a smaller dt, or method"
            " 'bilinear' or 'zoh'",
            RuntimeWarning,
            stacklevel=3,
        )


def _full(frame: Frame, vectors: Array, pattern: Array) -> Array:
    """``vectors`` broadcast to the batch axes of ``pattern``."""
    return vectors + frame.xp.zeros_like(pattern)
