r"""From what a caller says about the boundary to conditions on the faces of the box."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any

import numpy as np

from solvers.gp_pde._functions import checked_function
from solvers.gp_pde._problem import Edge
from solvers.gp_pde.conditions import Dirichlet, Neumann, Periodic

_AT_CORNERS = 1e-8

Faces = dict[tuple[int, int], list[Dirichlet | Neumann]]


def faces_of(boundary: Any, dim: int) -> tuple[Faces, tuple[bool, ...]]:
    """Conditions by (axis, end), and which axes are periodic."""
    if isinstance(boundary, Periodic):
        return {}, (True,) * dim
    named = _by_name(boundary, dim)
    faces: Faces = {}
    periodic = []
    for axis in range(dim):
        ends = [named.get(f"{'xyz'[axis]}{end}") for end in (0, 1)]
        wraps = [isinstance(end, Periodic) for end in ends]
        if any(wraps) and not all(wraps):
            raise ValueError(f"boundary must be Periodic() at both ends of axis {axis} or at none")
        periodic.append(all(wraps))
        for end, given in enumerate(ends):
            if given is not None and not wraps[end]:
                faces[axis, end] = _conditions(given, several=dim == 1)
    return faces, tuple(periodic)


def face_arrays(faces: Faces) -> dict[str, Any]:
    """The data that are arrays or numbers, by name."""
    return {
        _name(axis, end, at): condition.g
        for (axis, end), conditions in faces.items()
        for at, condition in enumerate(conditions)
        if not callable(condition.g)
    }


def as_edges(
    faces: Faces, arrays: dict[str, np.ndarray], grids: tuple[np.ndarray, ...]
) -> tuple[Edge, ...]:
    """Conditions with their values along the faces."""
    edges = []
    for (axis, end), conditions in faces.items():
        others = [grid for other, grid in enumerate(grids) if other != axis]
        mesh = np.meshgrid(*others, indexing="ij")
        for at, condition in enumerate(conditions):
            name, order = _name(axis, end, at), int(isinstance(condition, Neumann))
            # Outward is backward along the axis at its lower end.
            sign = -1.0 if order and end == 0 else 1.0
            function = None
            if callable(condition.g):
                fixed = float(grids[axis][-end])
                function = _along(checked_function(name, condition.g), axis, fixed, sign)
                values = function(*mesh)
            else:
                values = sign * arrays[name]
            shape = tuple(len(other) for other in others)
            if values.shape not in ((), shape):
                wanted = f"{shape} or be a number" if shape else "() or be a number"
                raise ValueError(f"{name} must have shape {wanted}; got {values.shape}")
            edges.append(Edge(axis, end, order, np.broadcast_to(values, shape).copy(), function))
    return tuple(edges)


def check_corners(edges: tuple[Edge, ...], periodic: tuple[bool, ...]) -> None:
    """Refuse values of u on two faces that differ where the faces meet."""
    given = [edge for edge in edges if edge.order == 0]
    size = max((float(np.abs(edge.values).max()) for edge in given), default=0.0)
    allowed = _AT_CORNERS * max(1.0, size)
    for one, two in itertools.combinations(given, 2):
        if one.axis != two.axis:
            gap = np.abs(_trace(one, two.axis, two.end) - _trace(two, one.axis, one.end)).max()
            if gap > allowed:
                raise ValueError(
                    f"boundary must agree where faces meet: {one.name!r} and {two.name!r} differ "
                    f"by {gap:.3g} at their corner"
                )
    for edge in edges:
        for axis in np.flatnonzero(periodic):
            gap = np.abs(_trace(edge, axis, 0) - _trace(edge, axis, 1)).max()
            if gap > allowed:
                raise ValueError(
                    f"boundary {edge.name!r} must repeat along the periodic axis {axis}, "
                    f"its ends differ by {gap:.3g}"
                )


def _trace(edge: Edge, axis: int, end: int) -> np.ndarray:
    """Values of a face where it meets the lower or upper face of another axis."""
    return np.take(edge.values, -end, axis=axis - (axis > edge.axis))


def _by_name(boundary: Any, dim: int) -> Mapping[str, Any]:
    names = [f"{'xyz'[axis]}{end}" for axis in range(dim) for end in (0, 1)]
    if isinstance(boundary, Dirichlet | Neumann | Real) or callable(boundary):
        return dict.fromkeys(names, boundary)
    if isinstance(boundary, Mapping):
        unknown = set(boundary) - set(names)
        if unknown:
            raise ValueError(f"boundary must have keys among {names}, got {sorted(unknown)}")
        return boundary
    if dim == 1:
        try:
            left, right = boundary
        except (TypeError, ValueError):
            raise ValueError(
                "boundary must be a pair (left, right), a number, a callable, a condition, a dict "
                f"with keys among {names} or Periodic(); got {boundary!r}"
            ) from None
        return {"x0": left, "x1": right}
    raise TypeError(
        f"boundary must be a number, a callable, a condition, a dict with keys among {names} or "
        f"Periodic(); got {type(boundary).__name__}"
    )


def _conditions(given: Any, several: bool) -> list[Dirichlet | Neumann]:
    if isinstance(given, Dirichlet | Neumann):
        return [given]
    if isinstance(given, list | tuple) and several:
        return [one for each in given for one in _conditions(each, several=False)]
    return [Dirichlet(given)]


def _name(axis: int, end: int, at: int) -> str:
    return f"boundary {'xyz'[axis]}{end}" + (f" [{at}]" if at else "")


def _along(
    function: Callable[..., np.ndarray], axis: int, fixed: float, sign: float
) -> Callable[..., np.ndarray]:
    """A function of all coordinates as one of those along a face."""

    def values(*along: np.ndarray) -> np.ndarray:
        coordinates = list(along)
        coordinates.insert(axis, np.full(np.shape(along[0]) if along else (), fixed))
        return sign * function(*coordinates)

    return values
