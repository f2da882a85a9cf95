r"""The Bures-Wasserstein metric and its generalisation by M, by aligned square roots.

.. math:: g_P(V, W) = \tfrac12 \operatorname{tr} \mathcal L_P[V] W, \qquad
          d(A, B)^2 = \operatorname{tr} A + \operatorname{tr} B
          - 2 \operatorname{tr} (A^{1/2} B A^{1/2})^{1/2},

with the solution :math:`X = \mathcal L_P[V]` of :math:`P X + X P = V`. The metric of M (arXiv
2110.10464) is that of :math:`C^{-1} A C^{-H}` for any factor :math:`M = C C^H`.

The traces cancel: their relative error is the unit roundoff times
:math:`\operatorname{tr}(A + B) / d^2`. With Cholesky factors :math:`A = L L^H`, :math:`B = K K^H`
and the unitary polar factor Q of :math:`(C^{-1} K)^H C^{-1} L`, which aligns them, all maps are
those of a flat space of square roots, with :math:`D = K Q - L`:

.. math:: d(A, B) = \lVert C^{-1} D \rVert_F, \qquad
          \operatorname{Log}_A B = D L^H + L D^H = B - A - D D^H, \qquad
          \gamma(t) = H H^H, \; H = L + t D,

.. math:: T_{A \to B} = K Q L^{-1}, \qquad
          \operatorname{Exp}_A V = H H^H, \; H = L + M \mathcal L_{A, M}[V] L .

For B near A the second form of the logarithm keeps its digits, and
:math:`d^2 = g_A(\operatorname{Log}_A B, \operatorname{Log}_A B)` those of the distance. The
exponential is the end of a geodesic while :math:`I + C^H \mathcal L_{A, M}[V] C` is positive
definite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geometry.spd._arguments import as_spd
from geometry.spd._linear_algebra import (
    adjoint,
    broadcast_together,
    cholesky,
    congruence,
    gram,
    hermitian_part,
    real_inner,
    solve_lower,
    solve_lower_adjoint,
    whiten,
)
from geometry.spd.lyapunov_equation import lyapunov_solution
from geometry.spd.polar import polar_factor
from numerics.arrays import Array, Frame

_MARGIN = 1e-3  # what domain="clip" leaves of the smallest eigenvalue's square root


def optimal_transport_map(
    A: Array, B: Array, *, M: Array | None = None, check: bool = True
) -> Array:
    r"""Symmetric positive definite T with :math:`T A T = B`, or with :math:`T A T^H = B` for M.

    The map :math:`x \mapsto T x` takes the normal distribution of covariance A to that of
    covariance B at the least mean squared displacement, measured by :math:`M^{-1}`:

    .. math:: T = A^{-1/2} (A^{1/2} B A^{1/2})^{1/2} A^{-1/2} .

    Parameters
    ----------
    A, B : array, shape (..., n, n)
        Positive definite, NumPy or torch. Batch axes of all arguments broadcast.
    M : array, shape (..., n, n), optional
        Positive definite. With it, :math:`T M` is symmetric instead of T.
    check : bool
        Refuse values that are not finite, not Hermitian or not positive definite.

    Returns
    -------
    array, shape (..., n, n)
        Torch results are differentiable in all arguments.

    Raises
    ------
    ValueError
        For matrices that are not positive definite, with their batch index.

    References
    ----------
    A. Han, B. Mishra, P. Jawanpuria, J. Gao, arXiv 2110.10464.

    Examples
    --------
    >>> import numpy as np
    >>> A, B = np.array([[2.0, 1.0], [1.0, 2.0]]), np.diag([1.0, 4.0])
    >>> T = optimal_transport_map(A, B)
    >>> np.allclose(T @ A @ T, B), np.allclose(T, T.T)
    (True, True)
    """
    frame, A, B, M = as_spd(A=A, B=B, M=M, check=check)
    return frame.cast(BuresWasserstein(frame, M).transport_map(A, B))


@dataclass(frozen=True)
class BuresWasserstein:
    """Verbs of the metric for trusted matrices of one frame; M is the identity when None."""

    frame: Frame
    M: Array | None = None

    def inner(self, P: Array, V: Array, W: Array) -> Array:
        """Inner product of tangent vectors, shape (...)."""
        frame, C = self.frame, self.metric_factor()
        K = whitened_factor(frame, C, cholesky(frame, P))
        X = whitened_vector(frame, C, V)
        Y = X if W is V else whitened_vector(frame, C, W)
        return real_inner(frame, factored_lyapunov(frame, K, X), Y) / 2

    def squared_distance(self, A: Array, B: Array) -> Array:
        """Squared distance of aligned square roots, shape (...)."""
        frame = self.frame
        if not frame.is_torch:
            return self.difference(A, B).squared_distance()
        from geometry.spd._torch_bures_wasserstein import SquaredDistance

        given = (A, B) if self.M is None else (A, B, self.M)
        A, B, *rest = broadcast_together(frame, given)
        M = rest[0] if rest else None
        constant = BuresWasserstein(frame, None if M is None else M.detach())
        difference = constant.difference(A.detach(), B.detach())
        gradients = (None, None, None)
        if not frame.has_values(A) or any(array.requires_grad for array in given):
            gradients = difference.gradients()
        return SquaredDistance.apply(A, B, M, difference.squared_distance(), *gradients)

    def exp(self, P: Array, V: Array, domain: str = "raise") -> Array:
        """End of the geodesic that starts with V, or what ``domain`` says where it has none."""
        frame, C = self.frame, self.metric_factor()
        L = cholesky(frame, P)
        K = whitened_factor(frame, C, L)
        X = factored_lyapunov(frame, K, whitened_vector(frame, C, V))
        if domain != "fold":
            X = X * self._reach(X, domain)[..., None, None]
        H = K + X @ K
        return gram(frame, H if C is None else C @ H)

    def log(self, P: Array, Q: Array) -> Array:
        """Tangent vector at P whose geodesic ends in Q."""
        return self.difference(P, Q).log()

    def geodesic(self, A: Array, B: Array, t: Array) -> Array:
        """Point at the parameters t, shape (...)."""
        difference = self.difference(A, B)
        return gram(self.frame, difference.L + t[..., None, None] * difference.D)

    def transport(self, V: Array, P: Array, Q: Array, rtol: float = 1e-10) -> Array:
        """Parallel transport of V from P to Q, to the relative tolerance in the norm of Q."""
        from geometry.spd.bures_wasserstein_transport import (
            transport_along_geodesic,
            transport_of_commuting,
        )

        frame, C = self.frame, self.metric_factor()
        V = whitened_vector(frame, C, V)
        moved = None
        ends = (P, Q) if self.M is None else (P, Q, self.M)
        if all(map(self._is_constant, ends)):
            start, end = (whitened_vector(frame, C, A) for A in (P, Q))
            moved = transport_of_commuting(frame, start, end, V)
        if moved is None:
            difference = self.difference(P, Q)
            K, D = (whitened_factor(frame, C, X) for X in (difference.L, difference.D))
            moved = transport_along_geodesic(frame, K, D, V, rtol)
        return moved if C is None else congruence(frame, C, moved)

    def transport_map(self, A: Array, B: Array) -> Array:
        """Optimal transport map from A to B, not Hermitian for M."""
        frame, difference = self.frame, self.difference(A, B)
        S = difference.L + difference.D
        T = adjoint(frame, solve_lower_adjoint(frame, difference.L, adjoint(frame, S)))
        return hermitian_part(frame, T) if self.M is None else T

    def metric_factor(self) -> Array | None:
        """Cholesky factor of M."""
        return None if self.M is None else cholesky(self.frame, self.M)

    def difference(self, A: Array, B: Array) -> AlignedDifference:
        """Align the square roots of B with those of A."""
        frame, C = self.frame, self.metric_factor()
        L, K = cholesky(frame, A), cholesky(frame, B)
        whitened = adjoint(frame, whitened_factor(frame, C, K)) @ whitened_factor(frame, C, L)
        Q = polar_factor(frame, whitened)
        differ = frame.xp.any(A != B, axis=(-2, -1), keepdims=True)
        D = frame.xp.where(differ, K @ Q - L, 0.0 * L)
        return AlignedDifference(frame, A, B, C, L, K, Q, D)

    def _is_constant(self, A: Array) -> bool:
        """Whether A has values and no gradient is wanted, which leads away from commuting pairs."""
        return self.frame.is_numpy or (self.frame.has_values(A) and not A.requires_grad)

    def _reach(self, X: Array, domain: str) -> Array:
        """Part of the way along a geodesic that stays in the manifold, 1 where all of it does."""
        frame, xp = self.frame, self.frame.xp
        constant = X.detach() if frame.is_torch else X
        if domain == "raise":
            smallest = xp.linalg.eigvalsh(constant)[..., 0]
            if frame.has_values(X) and bool(xp.any(smallest <= -1)):
                raise ValueError(_outside(frame, smallest))
            return xp.ones_like(smallest)
        u = xp.linalg.eigh(constant)[1][..., :, :1]
        # The eigenvalue as a Rayleigh quotient, for the sake of its gradient.
        smallest = real_inner(frame, X, u @ adjoint(frame, u))
        beyond = smallest < _MARGIN - 1
        return xp.where(beyond, (_MARGIN - 1) / xp.where(beyond, smallest, -1.0 + 0 * smallest), 1)


@dataclass(frozen=True)
class AlignedDifference:
    """Square roots L of A and K Q = L + D of B, aligned in the metric with factor C."""

    frame: Frame
    A: Array
    B: Array
    C: Array | None
    L: Array
    K: Array
    Q: Array
    D: Array

    def log(self) -> Array:
        """Tangent vector at A, from the difference of the two matrices where they are near."""
        frame, xp = self.frame, self.frame.xp
        squared = real_inner(frame, self.D, self.D)
        near = squared < real_inner(frame, self.L, self.L) / 4
        direct = 2 * hermitian_part(frame, self.D @ adjoint(frame, self.L))
        corrected = self.B - self.A - gram(frame, self.D)
        return xp.where(near[..., None, None], corrected, direct)

    def squared_distance(self) -> Array:
        """Squared norm of the difference, or of the logarithm where the two are near."""
        frame, xp = self.frame, self.frame.xp
        H = whitened_factor(frame, self.C, self.D)
        squared = real_inner(frame, H, H)
        root = whitened_factor(frame, self.C, self.L)
        if frame.has_values(H):
            # The smallest eigenvalue is below their mean, so this holds wherever any are near.
            mean = real_inner(frame, root, root) / H.shape[-1]
            if not bool(xp.any(squared < mean)):
                return squared
        near, X, V = self._near(root, squared, self.D, self.B - self.A)
        return xp.where(near, real_inner(frame, X, V) / 2, squared)

    def gradients(self) -> tuple[Array, Array, Array | None]:
        """Gradients of the squared distance in A, B and M."""
        frame = self.frame
        H = whitened_factor(frame, self.C, self.D)
        grad_A = self._gradient(self.L, self.D, self.B - self.A)
        back = -self.D @ adjoint(frame, self.Q)
        grad_B = self._gradient(self.K, back, self.A - self.B)
        if self.C is None:
            return grad_A, grad_B, None
        half = solve_lower_adjoint(frame, self.C, H)
        return grad_A, grad_B, -gram(frame, half)

    def _gradient(self, L: Array, D: Array, E: Array) -> Array:
        """Minus the whitened logarithm's Lyapunov solution, out of the whitened coordinates."""
        frame, xp = self.frame, self.frame.xp
        H = whitened_factor(frame, self.C, D)
        half = H if self.C is None else solve_lower_adjoint(frame, self.C, H)
        far = -hermitian_part(
            frame, adjoint(frame, solve_lower_adjoint(frame, L, adjoint(frame, half)))
        )
        squared, root = real_inner(frame, H, H), whitened_factor(frame, self.C, L)
        if frame.has_values(H):
            mean = real_inner(frame, root, root) / H.shape[-1]
            if not bool(xp.any(squared < mean)):
                return far
        near, X, _ = self._near(root, squared, D, E)
        if self.C is not None:
            half = solve_lower_adjoint(frame, self.C, X)
            X = solve_lower_adjoint(frame, self.C, adjoint(frame, half))
        return xp.where(near[..., None, None], -hermitian_part(frame, X), far)

    def _near(self, root: Array, squared: Array, D: Array, E: Array) -> tuple[Array, Array, Array]:
        """Which pairs are near, and for those the whitened logarithm V with X = L_P[V]."""
        frame = self.frame
        V = whitened_vector(frame, self.C, E - gram(frame, D))
        X, w = _factored_lyapunov(frame, root, V)
        return squared < w[..., -1], X, V


def whitened_factor(frame: Frame, C: Array | None, L: Array) -> Array:
    """Square root of L L^H in coordinates where the metric has no M = C C^H."""
    return L if C is None else solve_lower(frame, *broadcast_together(frame, (C, L)))


def whitened_vector(frame: Frame, C: Array | None, V: Array) -> Array:
    """Tangent vector, or Hermitian matrix, in these coordinates."""
    return V if C is None else whiten(frame, *broadcast_together(frame, (C, V)))


def factored_lyapunov(frame: Frame, K: Array, V: Array) -> Array:
    """Solution X of PX + XP = V for P = K K^H, its small eigenvalues to the accuracy of K."""
    return _factored_lyapunov(frame, K, V)[0]


def _factored_lyapunov(frame: Frame, K: Array, V: Array) -> tuple[Array, Array]:
    U, s, _ = frame.xp.linalg.svd(K.detach() if frame.is_torch else K)
    w = s * s
    return lyapunov_solution(frame, gram(frame, K), V, eigen_of_P=(w, U)), w


def _outside(frame: Frame, smallest: Array) -> str:
    values = np.asarray(smallest.cpu() if frame.is_torch else smallest)
    index = np.unravel_index(np.argmin(values), values.shape)
    where = f"V[{', '.join(map(str, index))}]" if index else "V"
    reach = -1 / float(values[index])
    return (
        f"{where} leaves the manifold: its geodesic reaches the boundary at t = {reach:.3g}; "
        "domain='clip' or 'fold' accept it"
    )
