r"""From what a caller gives to a checked problem: grids, right-hand side, noise, observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import is_torch_array

from numerics.arrays import Frame, as_arrays, as_float, as_integer, check_real
from solvers.gp_pde._boundary import as_edges, check_corners, face_arrays, faces_of
from solvers.gp_pde._envelopes import check_envelope
from solvers.gp_pde._functions import checked_function
from solvers.gp_pde._problem import Observations, Problem
from solvers.gp_pde.equations import PDE, LinearOperator
from solvers.gp_pde.spectral_mixture import SpectralMixture

FEWEST_POINTS = 4


def as_problem(
    pde: Any,
    grids: Any,
    f: Any,
    boundary: Any,
    *,
    kernel: Any,
    noise: Any,
    observations: Any,
    rtol: float,
    maxiter: int,
    allow_float32: bool,
) -> tuple[Problem, Frame]:
    """The problem that the arguments of the front door describe, and the frame of its answer."""
    pde = as_equation(pde)
    faces, periodic = faces_of(boundary, pde.dim)
    named = split_grids(grids, pde.dim)
    given = {**named, **({} if callable(f) else {"f": f}), **face_arrays(faces)}
    given |= _observed(observations)
    frame, arrays = on_host(allow_float32, given)
    for name in named:
        check_grid(name, arrays[name])
    axes = tuple(arrays[name] for name in named)
    shape = tuple(map(len, axes))
    source = _source(f, arrays)
    values = arrays["f"] if source is None else source(*np.meshgrid(*axes, indexing="ij"))
    if values.shape != shape:
        raise ValueError(f"f must have shape {shape}, be a number or callable; got {values.shape}")
    stds = as_noise(noise)
    edges = as_edges(faces, arrays, axes)
    if any(map(_is_single, given.values())):
        # Solved exactly, the rounding of the data would be fitted, and amplified.
        sizes = np.abs(values).max(), max((np.abs(e.values).max() for e in edges), default=0.0)
        least = [float(np.finfo(np.float32).eps * size) for size in sizes]
        stds = max(stds[0], least[0]), max(stds[1], least[1])
    if stds[1] == 0:
        check_corners(edges, periodic)
    return Problem(
        pde=pde,
        grids=axes,
        f=values,
        source=source,
        edges=edges,
        periodic=periodic,
        kernels=as_kernels(kernel, pde),
        noise=stds,
        rtol=as_float("rtol", rtol, positive=True),
        maxiter=as_integer("maxiter", maxiter, minimum=1),
        observations=as_observations(arrays, axes),
    ), frame


def on_host(allow_float32: bool, given: dict[str, Any]) -> tuple[Frame, dict[str, np.ndarray]]:
    """Arrays and numbers on the host in double precision, by the names that errors give them."""
    frame, *arrays = as_arrays(finite=True, **given)
    host = {}
    for (name, value), array in zip(given.items(), arrays, strict=True):
        check_real(name, array, frame)
        if _is_single(value) and not allow_float32:
            raise ValueError(
                f"{name} must be float64, got float32, which leaves few digits of second "
                "derivatives; pass allow_float32=True to go on in double precision all the same"
            )
        if is_torch_array(array):
            if array.requires_grad:
                raise TypeError(f"{name} must not require gradients: the solver has none")
            array = array.cpu().numpy()
        host[name] = np.asarray(array, dtype=np.float64)
    return frame, host


def _is_single(value: Any) -> bool:
    return str(getattr(value, "dtype", "")).endswith("float32")


def as_equation(pde: Any) -> PDE:
    """Read an equation; an operator stands for the linear one."""
    if isinstance(pde, LinearOperator):
        return PDE(pde)
    if not isinstance(pde, PDE):
        raise TypeError(f"pde must be a PDE or a LinearOperator, got {type(pde).__name__}")
    return pde


def split_grids(grids: Any, dim: int) -> dict[str, Any]:
    """One grid an axis, named; a single axis takes its grid bare."""
    if dim == 1 and not isinstance(grids, tuple):
        grids = (grids,)
    if not isinstance(grids, tuple | list) or len(grids) != dim:
        got = len(grids) if isinstance(grids, tuple | list) else type(grids).__name__
        raise ValueError(f"grids must be a tuple of {dim} arrays, one an axis; got {got}")
    return {f"grids[{axis}]": grid for axis, grid in enumerate(grids)}


def check_grid(name: str, grid: np.ndarray) -> None:
    """Refuse a grid that is no increasing vector of a few points."""
    if grid.ndim != 1 or len(grid) < FEWEST_POINTS:
        raise ValueError(
            f"{name} must have shape (n,), n at least {FEWEST_POINTS}; got {grid.shape}"
        )
    if not np.all(np.diff(grid) > 0):
        raise ValueError(f"{name} must be increasing, got {grid[:3]}... to {grid[-1]}")


def _source(f: Any, arrays: dict[str, np.ndarray]) -> Callable[..., np.ndarray] | None:
    """The right-hand side as a function, where it is one: a number is."""
    if callable(f):
        return checked_function("f", f)
    if arrays["f"].ndim == 0:
        number = float(arrays["f"])
        return lambda *coordinates: np.full(np.shape(coordinates[0]), number)
    return None


def _observed(observations: Any) -> dict[str, Any]:
    if observations is None:
        return {}
    if not isinstance(observations, tuple | list) or len(observations) != 3:
        raise ValueError("observations must be a tuple (points, values, noise_std)")
    return {f"observations[{at}]": part for at, part in enumerate(observations)}


def as_noise(noise: Any) -> tuple[float, float]:
    """Standard deviations (equation, boundary); None is none."""
    if noise is None:
        return (0.0, 0.0)
    if not isinstance(noise, tuple | list) or len(noise) != 2:
        raise ValueError(f"noise must be a pair (equation, boundary), got {noise!r}")
    stds = tuple(as_float("noise", std) for std in noise)
    if min(stds) < 0:
        raise ValueError(f"noise must not be negative, got {noise!r}")
    return stds[0], stds[1]


def as_kernels(kernel: Any, pde: PDE) -> tuple[SpectralMixture, ...] | None:
    """One kernel an axis on the host, smooth enough for the equation; None for "auto"."""
    if isinstance(kernel, str) and kernel == "auto":
        return None
    given = kernel if isinstance(kernel, tuple | list) else (kernel,)
    if not all(isinstance(one, SpectralMixture) for one in given):
        raise TypeError(f"kernel must be 'auto' or a SpectralMixture an axis, got {kernel!r}")
    if len(given) != pde.dim:
        raise ValueError(f"kernel must be {pde.dim} kernels, one an axis; got {len(given)}")
    for axis, (one, order) in enumerate(zip(given, pde.linear.orders, strict=True)):
        p = check_envelope(one.envelope, one.nu)
        if p is not None and order > p:
            raise ValueError(
                f"kernel must have {order} derivatives along axis {axis}, "
                f"got a Matern envelope with nu = {one.nu}, which has {p}"
            )
    return tuple(_host_kernel(one) for one in given)


def as_observations(
    arrays: dict[str, np.ndarray], grids: tuple[np.ndarray, ...]
) -> Observations | None:
    """Points, values and noise under their names, checked against each other and the box."""
    if "observations[0]" not in arrays:
        return None
    points, values, std = (arrays[f"observations[{k}]"] for k in range(3))
    dim = len(grids)
    if dim == 1 and points.ndim == 1:
        points = points[:, None]
    if points.ndim != 2 or points.shape[1] != dim:
        wanted = "(m,)" if dim == 1 else f"(m, {dim})"
        raise ValueError(
            f"observations[0], the points, must have shape {wanted}; got {points.shape}"
        )
    m = len(points)
    if values.shape != (m,):
        raise ValueError(f"observations[1], the values, must have shape ({m},); got {values.shape}")
    if std.shape not in ((), (m,)) or not np.all(std > 0):
        got = f"shape {std.shape}" if std.shape not in ((), (m,)) else f"minimum {std.min():g}"
        raise ValueError(
            "observations[2], the standard deviation of the noise, must be positive, a number or "
            f"of shape ({m},); got {got}"
        )
    for axis, grid in enumerate(grids):
        if m and not (grid[0] <= points[:, axis].min() and points[:, axis].max() <= grid[-1]):
            raise ValueError(
                f"observations[0], the points, must lie in the box, "
                f"axis {axis} in [{grid[0]:g}, {grid[-1]:g}]"
            )
    return Observations(points, values, np.broadcast_to(std, (m,)).copy()) if m else None


def _host_kernel(kernel: SpectralMixture) -> SpectralMixture:
    parameters = (kernel.weights, kernel.freqs, kernel.scales)
    if all(isinstance(one, np.ndarray) and one.dtype == np.float64 for one in parameters):
        return kernel
    host = [
        np.asarray(one.detach().cpu() if is_torch_array(one) else one, dtype=np.float64)
        for one in parameters
    ]
    return SpectralMixture(*host, envelope=kernel.envelope, nu=kernel.nu)
