"""A physics-informed network with random Fourier features, by deepxde, for a stated time."""

from __future__ import annotations

import contextlib
import io
import os
from typing import Any

import numpy as np

from benchmarks._gp_pde_problems import SPEED, Manufactured

FEATURES, WIDTH, DEPTH = 128, 64, 3
EDGE_WEIGHT = 200.0
_MOST_STEPS = 1_000_000


def physics_informed_network(problem: Manufactured, seconds: float, seed: int) -> np.ndarray:
    """Values on the test grid after training by Adam at rate 1e-3 for so long.

    Frequencies of the features are drawn evenly up to twice the published range of the problem's
    kernels; without such features a network of this size learns none of these problems. Residuals
    are taken in units of the largest of the source, at 512 points an axis drawn anew every 100
    steps.
    """
    os.environ.setdefault("DDE_BACKEND", "pytorch")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        return _trained(problem, seconds, seed)


def _trained(problem: Manufactured, seconds: float, seed: int) -> np.ndarray:
    import deepxde
    import torch

    deepxde.config.set_default_float("float32")
    deepxde.config.set_random_seed(seed)
    low, high = (np.array(ends) for ends in zip(*problem.ends, strict=True))
    box = (
        deepxde.geometry.Interval(low[0], high[0])
        if problem.dim == 1
        else (deepxde.geometry.Rectangle(low, high))
    )
    grid = np.meshgrid(*problem.grids, indexing="ij")
    scale = max(float(np.abs(problem.source(*grid)).max()), 1.0)

    def columns(x: np.ndarray) -> list[np.ndarray]:
        return [x[:, j : j + 1].astype(np.float64) for j in range(problem.dim)]

    def residual(x: Any, u: Any, f: Any) -> Any:
        if problem.equation == "advection":
            along = deepxde.grad.jacobian(u, x, i=0, j=0)
            return along + deepxde.grad.jacobian(u, x, i=0, j=1) / SPEED
        left = sum(deepxde.grad.hessian(u, x, i=j, j=j) for j in range(problem.dim))
        if problem.equation == "allen-cahn":
            left = left + u * (u**2 - 1)
        return (left - f) / scale

    edges = deepxde.icbc.DirichletBC(
        box, lambda x: problem.u(*columns(x)), lambda x, on: on and _is_given(problem, x)
    )
    data = deepxde.data.PDE(
        box,
        residual,
        edges,
        num_domain=512 * problem.dim,
        num_boundary=2 if problem.dim == 1 else 256,
        train_distribution="pseudo",
        auxiliary_var_function=lambda x: problem.source(*columns(x)),
    )
    network = deepxde.nn.FNN([2 * FEATURES, *[WIDTH] * DEPTH, 1], "tanh", "Glorot normal")
    drawn = np.random.default_rng(seed).uniform(
        -2 * problem.frequency, 2 * problem.frequency, (problem.dim, FEATURES)
    )
    waves = torch.as_tensor(2 * np.pi * drawn, dtype=torch.float32)

    def features(x: Any) -> Any:
        phase = x @ waves
        return torch.cat((torch.sin(phase), torch.cos(phase)), dim=1)

    network.apply_feature_transform(features)
    model = deepxde.Model(data, network)
    model.compile("adam", lr=1e-3, loss_weights=[1.0, EDGE_WEIGHT], verbose=0)
    model.train(
        iterations=_MOST_STEPS,
        display_every=_MOST_STEPS,
        verbose=0,
        callbacks=[
            deepxde.callbacks.PDEPointResampler(period=100),
            deepxde.callbacks.Timer(seconds / 60),
        ],
    )
    points = np.stack(np.meshgrid(*problem.test_points(), indexing="ij"), axis=-1)
    with torch.no_grad():
        values = model.predict(points.reshape(-1, problem.dim).astype(np.float32))
    return values.reshape(points.shape[:-1]).astype(np.float64)


def _is_given(problem: Manufactured, x: np.ndarray) -> bool:
    """Whether the problem states values at a boundary point: of advection, only what comes in."""
    return problem.equation != "advection" or bool(np.any(np.isclose(x, 0)))
