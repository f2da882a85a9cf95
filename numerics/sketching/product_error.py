r"""How well a sketch keeps one inner product, the property that bounds single coordinates.

A sketch is an oblivious coordinate-wise embedding with constant :math:`\beta` if for every fixed
pair :math:`|g^T S^T S h - g^T h| \le \tfrac{\beta}{\sqrt m} \lVert g \rVert \lVert h \rVert` with
high probability.
"""

from __future__ import annotations

from numerics.arrays import Array, as_arrays, check_real
from numerics.sketching.linear_sketch import Sketch


def oce_beta(op: Sketch, g: Array, h: Array) -> Array:
    r"""Error :math:`\sqrt m\, |g^T S^T S h - g^T h|` of a sketched inner product.

    For unit vectors, its quantile over sketches is the constant of the coordinate-wise embedding:
    near 2 at 95 % for dense sketches whatever the vectors, up to :math:`\sqrt m` for CountSketch on
    vectors with few entries.

    Parameters
    ----------
    op : Sketch
        The sketch S.
    g, h : array, shape (n,)
        Real; NumPy or torch.

    Returns
    -------
    array, shape ()
        0-d.

    Raises
    ------
    ValueError
        For vectors that do not have n entries, and values that are not finite.

    References
    ----------
    arXiv 2302.00248, definition of oblivious coordinate-wise embeddings.

    Examples
    --------
    CountSketch sends two unit vectors to the same row or it does not.

    >>> import numpy as np
    >>> from numerics import countsketch
    >>> e0, e1 = np.eye(2)
    >>> float(oce_beta(countsketch(2, 9, rows=[4, 4], signs=[1, 1]), e0, e1))
    3.0
    >>> float(oce_beta(countsketch(2, 9, rows=[4, 5], signs=[1, 1]), e0, e1))
    0.0
    """
    frame, g, h = as_arrays(g=g, h=h)
    for name, vector in (("g", g), ("h", h)):
        check_real(name, vector, frame)
        if tuple(vector.shape) != (op.n,):
            raise ValueError(f"{name} must have shape ({op.n},), got {tuple(vector.shape)}")
    xp = frame.xp
    sketched = op.apply(xp.stack((g, h), axis=1))
    difference = xp.sum(sketched[:, 0] * sketched[:, 1]) - xp.sum(g * h)
    return float(op.m) ** 0.5 * xp.abs(difference)
