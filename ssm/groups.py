r"""Small groups as orthogonal matrices that are products of few reflections.

A state that is multiplied by :math:`\rho(g)` for every letter g follows a group if the
representation :math:`\rho` is faithful, and one step of DeltaProduct (arXiv 2502.10297) with
:math:`n_h` corrections can do that if no :math:`\rho(g)` takes more than :math:`n_h` reflections.

================  =======================================  ===================
group             representation                           reflections at most
================  =======================================  ===================
:math:`Z_2`       signs                                    1
:math:`Z_m`       rotations of the plane                   2
:math:`D_m`       symmetries of the m-gon                  2
:math:`S_3`       symmetries of the triangle               2
:math:`A_4`       rotations of the tetrahedron             2
:math:`S_4`       rotations of the cube                    2
:math:`A_5`       rotations of the icosahedron             2
:math:`S_5`       symmetries of the simplex in 4 axes      4
================  =======================================  ===================

None can do with fewer. If one reflection did for every element, all but the identity would be
reflections; the product of two different ones is not, which leaves :math:`Z_2`. In :math:`S_5` a
cycle of five is conjugate to its powers, so that a faithful real representation gives it all four
primitive fifth roots of unity as eigenvalues, and :math:`\rho(g) - I` has rank four at least.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import deque
from functools import lru_cache

import numpy as np

from numerics.arrays import Array, frame_like

_PERMUTATIONS = ("A4", "A5", "S3", "S4", "S5")


def group_representation(name: str, *, like: Array | None = None) -> tuple[Array, Array]:
    r"""Orthogonal matrices of a group in the fewest reflections, and its multiplication table.

    .. math:: \rho(g_i)\, \rho(g_j) = \rho(g_{\mathrm{table}_{ij}})

    Parameters
    ----------
    name : str
        ``"Zm"`` and ``"Dm"`` for m = 2, 3, ...: elements k < m turn by :math:`2\pi k/m`; elements
        m + k of ``"Dm"`` reflect across the first axis and then turn so. ``"S3"``, ``"S4"``,
        ``"S5"``, ``"A4"``, ``"A5"``: permutations p, even ones for A, in the order of
        ``itertools.permutations``, with the product :math:`(pq)(i) = p(q(i))`. Element 0 is the
        identity.
    like : array, optional
        An array of the kind, device and precision to give; NumPy float64 without it.

    Returns
    -------
    elements : array, shape (order, d, d)
        The matrices. ``"S4"`` and ``"A5"`` are rotation groups, of the cube and the icosahedron.
    table : array of int64, shape (order, order)
        Indices of the products.

    Raises
    ------
    ValueError
        For an unknown name.

    References
    ----------
    Siems, Carstensen, Zela, Hutter, Pontil, Grazzi, arXiv 2502.10297: state tracking by products
    of reflections.

    Examples
    --------
    Sixty rotations; as permutations of five things their products are the same.

    >>> elements, table = group_representation("A5")
    >>> elements.shape
    (60, 3, 3)
    >>> np.allclose(elements[7] @ elements[31], elements[table[7, 31]])
    True

    The corrections a token needs for each group:

    >>> from ssm import min_reflections
    >>> names = "Z2", "S3", "D5", "A4", "S4", "A5", "S5"
    >>> [int(min_reflections(group_representation(name)[0]).max()) for name in names]
    [1, 2, 2, 2, 2, 2, 4]
    """
    frame = frame_like(like)
    elements, table = (array.copy() for array in host_group(name))
    return frame.cast(frame.asarray(elements)), frame.xp.asarray(table, device=frame.device)


def host_group(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The matrices and the table in NumPy, made once and read-only."""
    if not isinstance(name, str):
        raise TypeError(f"name must be a string, got {name!r}")
    planar = re.fullmatch(r"([DZ])([2-9]|[1-9][0-9]+)", name)
    if planar is None and name not in _PERMUTATIONS:
        raise ValueError(
            f"name must be one of {', '.join(_PERMUTATIONS)}, Dm, Zm with m = 2, 3, ...; got"
            f" {name!r}"
        )
    return _made(name)


@lru_cache(maxsize=32)
def _made(name: str) -> tuple[np.ndarray, np.ndarray]:
    kind, number = name[0], int(name[1:])
    if kind == "Z":
        elements, table = _cyclic(number)
    elif kind == "D":
        elements, table = _dihedral(number)
    else:
        permutations = _permutations(number, even=kind == "A")
        table = _composition_table(permutations)
        if name == "A5":
            elements = _icosahedral(permutations, table)
        else:
            elements = _on_the_simplex(permutations)
        if name == "S4":
            elements = elements * _signs(permutations)[:, None, None]
    elements.flags.writeable = table.flags.writeable = False
    return elements, table


def _cyclic(m: int) -> tuple[np.ndarray, np.ndarray]:
    turns = np.arange(m)
    table = (turns[:, None] + turns[None, :]) % m
    if m == 2:
        return np.array([[[1.0]], [[-1.0]]]), table
    return _turned(m), table


def _dihedral(m: int) -> tuple[np.ndarray, np.ndarray]:
    turn, flip = np.arange(2 * m) % m, np.arange(2 * m) // m
    turns = (turn[:, None] + np.where(flip, -1, 1)[:, None] * turn[None, :]) % m
    table = turns + m * (flip[:, None] ^ flip[None, :])
    rotations = _turned(m)
    return np.concatenate((rotations, rotations @ np.diag([1.0, -1.0]))), table


def _turned(m: int) -> np.ndarray:
    angle = 2 * math.pi * np.arange(m) / m
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack((np.stack((cosine, -sine), -1), np.stack((sine, cosine), -1)), -2)


def _permutations(n: int, *, even: bool) -> np.ndarray:
    permutations = np.array(list(itertools.permutations(range(n))))
    return permutations[_signs(permutations) > 0] if even else permutations


def _signs(permutations: np.ndarray) -> np.ndarray:
    later, earlier = np.tril_indices(permutations.shape[1], -1)
    inversions = np.sum(permutations[:, earlier] > permutations[:, later], axis=1)
    return 1.0 - 2.0 * (inversions % 2)


def _composition_table(permutations: np.ndarray) -> np.ndarray:
    n = permutations.shape[1]
    digits = n ** np.arange(n)[::-1]
    products = permutations[:, permutations] @ digits
    # In the order of itertools.permutations the numbers with these digits increase.
    return np.searchsorted(permutations @ digits, products)


def _on_the_simplex(permutations: np.ndarray) -> np.ndarray:
    """Permutation matrices in an orthonormal basis of the vectors whose entries sum to zero."""
    n = permutations.shape[1]
    basis = np.tril(np.ones((n - 1, n))) - np.diag(np.arange(1.0, n), 1)[: n - 1]
    basis /= np.linalg.norm(basis, axis=1, keepdims=True)
    # The matrix P of p takes axis i to axis p(i): column i of basis @ P is column p(i) of basis.
    return basis[:, permutations].swapaxes(0, 1) @ basis.T


def _icosahedral(permutations: np.ndarray, table: np.ndarray) -> np.ndarray:
    r"""Rotations from the presentation :math:`a^2 = b^3 = (ab)^5 = 1` of the group.

    Turns by :math:`\pi` and :math:`2\pi/3` make one by :math:`2\pi/5` when the cosine of the angle
    between their axes is :math:`\cos(\pi/5)/\sin(\pi/3)` in absolute value.
    """

    def order(index: int) -> int:
        power, count = index, 1
        while power:
            power, count = int(table[power, index]), count + 1
        return count

    orders = [order(index) for index in range(len(table))]
    a = orders.index(2)
    b = next(i for i, length in enumerate(orders) if length == 3 and orders[table[a, i]] == 5)
    cosine = math.cos(math.pi / 5) / math.sin(math.pi / 3)
    half_turn = _rotation(0.0, 1.0, math.pi)
    third_turn = _rotation(math.sqrt(1 - cosine**2), cosine, 2 * math.pi / 3)
    return _generated(table, {a: half_turn, b: third_turn})


def _rotation(x: float, z: float, angle: float) -> np.ndarray:
    """Turn about the unit vector (x, 0, z)."""
    cross = np.array([[0.0, -z, 0.0], [z, 0.0, -x], [0.0, x, 0.0]])
    return np.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * (cross @ cross)


def _generated(table: np.ndarray, generators: dict[int, np.ndarray]) -> np.ndarray:
    found = {0: np.eye(3)}
    waiting = deque(found)
    while waiting:
        index = waiting.popleft()
        for generator, matrix in generators.items():
            product = int(table[index, generator])
            if product not in found:
                found[product] = found[index] @ matrix
                waiting.append(product)
    return np.stack([found[index] for index in range(len(table))])
