r"""Bures-Wasserstein parallel transport between a matrix and the identity.

They commute, so the transport has a closed form. With :math:`P = U \operatorname{diag}(p) U^H`,

.. math:: \Gamma_{P \to I} V = U \left( \sqrt{\frac{2}{p_i + p_j}} \, (U^H V U)_{ij} \right) U^H,

which is the power -1/2 of the operator :math:`V \mapsto (P V + V P) / 2`. The way back is the power
1/2, and since :math:`\mathcal L_P` is half the power -1 of that operator,
:math:`\mathcal L_P[\Gamma_{I \to P} V] = \tfrac12 \Gamma_{P \to I} V`: no other power is needed.

For logarithms at P the two are one: with the transport map T from P to Q,

.. math:: \Gamma_{P \to I} \operatorname{Log}_P Q
          = U \left( \sqrt{2 (p_i + p_j)} \, (U^H T U - I)_{ij} \right) U^H .
"""

from __future__ import annotations

from geometry.spd._linear_algebra import (
    adjoint,
    broadcast_together,
    diagonal,
    diagonal_matrix,
    hermitian_part,
)
from numerics.arrays import Array, Frame

_RESOLVED = 1e-4  # least ratio of squared singular values that an eigenvalue solver may have


def root_basis(frame: Frame, root: Array) -> tuple[Array, Array]:
    """Basis U and values b in root = U diag(b) *, outside of gradients."""
    U, b, _ = frame.xp.linalg.svd(root.detach() if frame.is_torch else root)
    return U, b


def times_each(frame: Frame, A: Array, X: Array) -> Array:
    """A X for each matrix X of a stack: one product with all of them where A is a single matrix."""
    if A.ndim > 2:
        return A @ X
    return adjoint(frame, adjoint(frame, X) @ adjoint(frame, A))


def right_vectors(frame: Frame, W: Array) -> tuple[Array, Array]:
    r"""Singular values s (..., n) of W and its right vectors, in rows: W^H W = right^H s^2 right.

    An eigendecomposition of the product costs half as much. The singular values are accurate to
    the unit roundoff times the square of their ratio, and where this is too much they are computed
    from W.
    """
    xp = frame.xp
    if frame.has_values(W) and 0 not in W.shape:
        S = adjoint(frame, W) @ W  # decomposed by its lower triangle
        d = diagonal(frame, S)
        # Eigenvalues spread at least as far as the diagonal.
        if is_resolved(frame, d):
            w, Z = xp.linalg.eigh(S)
            if is_resolved(frame, w):
                return xp.sqrt(w), adjoint(frame, Z)
    _, s, right = xp.linalg.svd(W)
    return s, right


def is_resolved(frame: Frame, w: Array) -> bool:
    """Whether an eigenvalue solver has the digits of eigenvalues w, for what is built from them."""
    xp = frame.xp
    return bool(xp.all(xp.min(w, axis=-1) > _RESOLVED * xp.max(w, axis=-1)))


def singular_values(frame: Frame, W: Array) -> Array:
    """Singular values (..., n), to the accuracy of :func:`right_vectors`."""
    xp = frame.xp
    if frame.has_values(W) and 0 not in W.shape:
        w = xp.linalg.eigvalsh(W @ adjoint(frame, W))
        if is_resolved(frame, w):
            return xp.sqrt(w)
    return xp.linalg.svdvals(W)


def moved_logarithm(frame: Frame, K: Array, R: Array, basis: tuple[Array, Array]) -> Array:
    """Logarithms of K K^H at R R^H, moved to I, in the basis that :func:`root_basis` gave for R.

    Differentiable in torch. One R serves many K, which may have more leading axes.
    """
    xp, (U, b) = frame.xp, basis
    W = adjoint(frame, K.detach() if frame.is_torch else K) @ (U * b[..., None, :])
    s, right = right_vectors(frame, W)
    if frame.is_torch:
        from geometry.spd._torch_batch_normalization import MovedLogarithm

        if not _serves(R, K):
            K, R, U, b = broadcast_together(frame, (K, R, U), (b,))
        return MovedLogarithm.apply(K, R, U, b, right @ adjoint(frame, W), s, right)
    squares = b * b
    weights = xp.sqrt(2 * (squares[..., :, None] + squares[..., None, :]))
    weights = weights / (b[..., :, None] * b[..., None, :])
    V = weights * (adjoint(frame, right) @ (s[..., :, None] * right))
    return hermitian_part(frame, V) - diagonal_matrix(frame, 2 * b)


def transport_to_identity(
    frame: Frame, root: Array, V: Array, basis: tuple[Array, Array], given: Array
) -> Array:
    """Move V from P = root root^H to I, in the basis that :func:`root_basis` gave for ``root``.

    V is in the basis ``given``. Differentiable in torch.
    """
    U, b = basis
    change = adjoint(frame, given) @ U
    if frame.is_torch:
        from geometry.spd._torch_batch_normalization import TransportToIdentity

        if not _serves(root, V):
            root, V, U, change, b = broadcast_together(frame, (root, V, U, change), (b,))
        return TransportToIdentity.apply(root, V, b * b, U, change)
    p = b * b
    roots = frame.xp.sqrt((p[..., :, None] + p[..., None, :]) / 2)
    return hermitian_part(frame, adjoint(frame, change) @ (V @ change)) / roots


def _serves(P: Array, V: Array) -> bool:
    """Whether the batch axes of P are the last ones of V."""
    return P.ndim <= V.ndim and V.shape[V.ndim - P.ndim : -2] == P.shape[:-2]
