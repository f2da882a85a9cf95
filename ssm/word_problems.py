r"""Word problems of groups, solved by the delta rule with weights that are written down.

The reflections of each letter's matrix, :math:`\rho(g) = H_1 \cdots H_r`, are the keys of its
token. They multiply the state by :math:`\rho(g)^T` from the left, so that after the letters
:math:`w_1, \dots, w_t` the state that began as the identity is
:math:`\rho(w_1 \cdots w_t)^T`, and its read-out by a vector x is :math:`\rho(w_1 \cdots w_t)\,x`.
If x is fixed by no element but the identity, the read-out names the product.

References: DeltaProduct (arXiv 2502.10297).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import array_api_compat
import numpy as np

from numerics.arrays import Array, as_arrays, check_choice, check_shape
from ssm.delta_product import delta_rule
from ssm.groups import host_group
from ssm.householder import reflections

_CANDIDATES = 512


def word_problem(name: str, word: Array, *, dtype: Any = "float32") -> Array:
    r"""Products of all prefixes of words over a group, found by :func:`ssm.delta_rule`.

    .. math:: p_t = w_1 w_2 \cdots w_t, \qquad o_t = \rho(p_t)\, x, \qquad
              \hat p_t = \arg\max_g \langle \rho(g)\, x,\ o_t \rangle

    Nothing is trained: with the reflections of :func:`ssm.group_representation` as keys, gains 2
    and 0, and zero values, one layer follows the group exactly but for rounding, which grows like
    the length.

    Parameters
    ----------
    name : str
        Name of the group, as for :func:`ssm.group_representation`.
    word : array of integers, shape (..., L)
        Indices of elements.
    dtype : {"float32", "float64"} or a dtype of that name
        Precision of the state.

    Returns
    -------
    array of int64, shape (..., L)
        Indices of the products :math:`p_t`, as decoded.

    Raises
    ------
    TypeError
        For words that are not integers.
    ValueError
        For an unknown name or dtype, words without an axis, and indices that the group lacks.

    References
    ----------
    Siems, Carstensen, Zela, Hutter, Pontil, Grazzi, arXiv 2502.10297: state tracking.

    Examples
    --------
    Parity, and a word of permutations against the multiplication table.

    >>> import numpy as np
    >>> word_problem("Z2", np.array([1, 0, 1, 1]))
    array([1, 1, 0, 1])
    >>> from ssm import group_representation
    >>> word = np.random.default_rng(0).integers(120, size=300)
    >>> table, product = group_representation("S5")[1], 0
    >>> for letter in word:
    ...     product = table[product, letter]
    >>> bool(word_problem("S5", word)[-1] == product)
    True
    """
    elements, _ = host_group(name)
    indices = word if array_api_compat.is_torch_array(word) else np.asarray(word)
    frame, _ = as_arrays(word=indices)
    xp = frame.xp
    if not xp.isdtype(indices.dtype, "integral"):
        raise TypeError(f"word must hold integers, got dtype {indices.dtype}")
    check_shape("word", indices, "L")
    order, d, _ = elements.shape
    if math.prod(indices.shape) and not bool(xp.all((indices >= 0) & (indices < order))):
        raise ValueError(
            f"word must hold indices from 0 to {order - 1}, got values from {int(xp.min(indices))}"
            f" to {int(xp.max(indices))}"
        )
    precision = getattr(xp, _dtype_name(dtype))

    def placed(host: np.ndarray) -> Array:
        return xp.astype(frame.asarray(host), precision)

    keys, gains, start = _weights(name)
    shape = tuple(indices.shape)
    L, n_h = shape[-1], keys.shape[-2]
    letters = xp.reshape(xp.astype(indices, xp.int64), (-1,))
    k = xp.reshape(xp.take(placed(keys), letters, axis=0), (*shape[:-1], L * n_h, d))
    beta = xp.reshape(xp.take(placed(gains), letters, axis=0), (*shape[:-1], L * n_h))
    nothing = xp.zeros((L * n_h, d), dtype=precision, device=frame.device)
    o, _ = delta_rule(
        xp.broadcast_to(placed(start), (L, d)),
        k,
        nothing,
        beta,
        n_h=n_h,
        initial_state=placed(np.eye(d)),
    )
    return xp.argmax(o @ placed((elements @ start).T), axis=-1)


@lru_cache(maxsize=32)
def _weights(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keys (order, n_h, d) and gains (order, n_h) of the letters, and the vector that reads."""
    elements, _ = host_group(name)
    keys, gains = reflections(elements)
    return keys, gains, _separated(elements)


def _separated(elements: np.ndarray) -> np.ndarray:
    """Of a fixed set of unit vectors, the one that all elements but the identity move farthest."""
    d = elements.shape[-1]
    candidates = np.random.default_rng(0).standard_normal((_CANDIDATES, d))
    candidates /= np.linalg.norm(candidates, axis=1, keepdims=True)
    nearest = np.full(_CANDIDATES, -1.0)
    for element in elements[1:]:
        cosine = np.sum((candidates @ element.T) * candidates, axis=1)
        np.maximum(nearest, cosine, out=nearest)
    return candidates[np.argmin(nearest)]


def _dtype_name(dtype: Any) -> str:
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype).removeprefix("torch.")
    check_choice("dtype", name, ("float32", "float64"))
    return name
