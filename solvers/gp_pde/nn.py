r"""GP-HM as a torch module: values on a grid and kernels, trained by Adam (arXiv 2311.04465).

The baseline that the published method is, with its initialisation and schedule. What training
costs, and what it reaches, is measured beside :func:`solvers.gp_pde.solve_pde` by the benchmarks.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from numerics.arrays import Array, as_arrays, as_float, as_integer
from solvers.gp_pde.derivative_matrices import kernel_derivative_matrix
from solvers.gp_pde.gphm import GphmProblem, Terms, checked_problem

_SAVED_EVERY = 1000


class GPHM(nn.Module):
    r"""The published solver: Adam on the values of u at grid points and on the kernels of the axes.

    Parameters start as published: u = 0, equal weights 1/Q, length parameters 1, frequencies evenly
    from 0 to ``freq_scale`` (the first of them therefore never moves), precisions 1.

    Parameters
    ----------
    grids : sequence of arrays, shapes (n_j,)
        Points of one axis or two, ends included.
    source : array, shape (n_1,) or (n_1, n_2)
        Right-hand side of the equation.
    boundary : sequence of arrays
        Values on the sides, as for :func:`solvers.gp_pde.gphm_objective`.
    equation : {"poisson", "allen-cahn", "advection"}
    n_components : int
        Q, the components of each axis' kernel.
    freq_scale : float
        Largest initial frequency, in cycles per unit of length.
    envelope : {"matern", "gaussian"}
    lambda_b, jitter, beta : float
        As for :func:`solvers.gp_pde.gphm_objective`.
    device : torch device, optional
        CUDA where there is one, by default.

    Raises
    ------
    TypeError, ValueError
        As :func:`solvers.gp_pde.gphm_objective`; also for ``n_components`` < 1.

    References
    ----------
    Fang, Cooley, Long, Li, Kirby, Zhe, arXiv 2311.04465.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.linspace(0, 1, 12)
    >>> model = GPHM(
    ...     [x],
    ...     -np.sin(x),
    ...     [0.0, np.sin(1.0)],
    ...     equation="poisson",
    ...     n_components=3,
    ...     freq_scale=1.0,
    ... )
    >>> start = model().item()
    >>> history = model.fit(30, progress=False)
    >>> len(history), bool(history[0] == start), bool(history[-1] < start)
    (30, True, True)
    """

    def __init__(
        self,
        grids: Sequence[Array],
        source: Array,
        boundary: Sequence[Array],
        *,
        equation: str,
        n_components: int = 30,
        freq_scale: float = 20.0,
        envelope: str = "matern",
        lambda_b: float = 200.0,
        jitter: float = 1e-6,
        beta: float = 200.0,
        device: Any = None,
    ) -> None:
        super().__init__()
        Q = as_integer("n_components", n_components, minimum=1)
        freq_scale = as_float("freq_scale", freq_scale, positive=True)
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")

        def tensor(values: Any) -> torch.Tensor:
            return torch.as_tensor(values, dtype=torch.float64, device=device)

        as_arrays(source=source)
        shape = tuple(torch.as_tensor(source).shape)
        start = torch.linspace(0, freq_scale, Q, dtype=torch.float64, device=device)
        axes = range(len(grids))
        self.U = nn.Parameter(torch.zeros(shape, dtype=torch.float64, device=device))
        self.log_w = nn.ParameterList([torch.full_like(start, -math.log(Q)) for _ in axes])
        self.log_ls = nn.ParameterList([torch.zeros_like(start) for _ in axes])
        self.freq = nn.ParameterList([start.clone() for _ in axes])
        self.log_tau = nn.Parameter(tensor(0.0))
        self.log_v = nn.Parameter(tensor(0.0))
        self._problem: GphmProblem
        _, self._problem, _, _ = checked_problem(
            self.U.detach(),
            {name: _detached(value) for name, value in self._params().items()},
            grids=[tensor(grid) for grid in grids],
            source=tensor(source),
            boundary=[tensor(side) for side in boundary],
            equation=equation,
            envelope=envelope,
            lambda_b=lambda_b,
            jitter=jitter,
            beta=beta,
        )

    def forward(self) -> Array:
        """The objective, a 0-d tensor."""
        return self._terms().objective

    def fit(
        self,
        steps: int,
        *,
        lr: float = 1e-2,
        tol: float = 0.0,
        checkpoint: str | os.PathLike[str] | None = None,
        progress: bool = True,
        callback: Callable[[int, float], None] | None = None,
    ) -> np.ndarray:
        """Take Adam's steps at a constant rate.

        Parameters
        ----------
        steps : int
            Steps in all; those in a checkpoint count.
        lr : float
            Learning rate; 1e-2 is published.
        tol : float
            Stop when the mean square of the boundary's gap plus that of the equation's residual
            falls below; 0, as published, never does.
        checkpoint : path, optional
            File that holds the state of model and optimiser, written every 1000 steps and at the
            end. If it exists, training goes on from it.
        progress : bool
            Show a progress bar.
        callback : callable, optional
            Called with each step's number and objective.

        Returns
        -------
        ndarray
            The objective before each step taken, those in the checkpoint included.
        """
        steps = as_integer("steps", steps, minimum=0)
        from tqdm import tqdm

        optimizer = torch.optim.Adam(self.parameters(), lr=as_float("lr", lr, positive=True))
        history = self._resumed(optimizer, checkpoint)
        bar = tqdm(range(len(history), steps), disable=not progress, desc="GP-HM")
        for step in bar:
            optimizer.zero_grad(set_to_none=True)
            terms = self._terms()
            history.append(terms.objective.item())
            if (terms.boundary_gap + terms.equation_gap).item() < tol:
                break
            terms.objective.backward()
            optimizer.step()
            if callback is not None:
                callback(step, history[-1])
            if (step + 1) % _SAVED_EVERY == 0:
                bar.set_postfix(objective=history[-1])
                self._save(optimizer, checkpoint, history)
        self._save(optimizer, checkpoint, history)
        return np.array(history)

    @torch.no_grad()
    def predict(self, grids: Sequence[Array]) -> torch.Tensor:
        r"""Mean on another grid, :math:`(\otimes_j K_j C_j^{-1})\, \mathrm{vec}(U)`.

        Parameters
        ----------
        grids : sequence of arrays, shapes (m_j,)
            Points of each axis.

        Returns
        -------
        tensor, shape (m_1,) or (m_1, m_2)
        """
        problem = self._problem
        if len(grids) != len(problem.grids):
            raise ValueError(f"grids must have {len(problem.grids)} axes, got {len(grids)}")
        value = self.U.detach()
        for axis, (grid, kernel) in enumerate(
            zip(grids, problem.kernels(self._params()), strict=True)
        ):
            x = torch.as_tensor(grid, dtype=value.dtype, device=value.device)
            K = kernel_derivative_matrix(x, problem.grids[axis], kernel)
            weights = torch.linalg.solve(problem.covariance(axis, kernel), value.movedim(axis, 0))
            value = torch.tensordot(K, weights, dims=1).movedim(0, axis)
        return value

    def _terms(self) -> Terms:
        return self._problem.evaluate(self.U, self._params())

    def _params(self) -> dict[str, Any]:
        per_axis = {name: list(getattr(self, name)) for name in ("log_w", "log_ls", "freq")}
        return per_axis | {"log_tau": self.log_tau, "log_v": self.log_v}

    def _resumed(
        self, optimizer: torch.optim.Optimizer, checkpoint: str | os.PathLike[str] | None
    ) -> list[float]:
        if checkpoint is None or not Path(checkpoint).exists():
            return []
        state = torch.load(checkpoint, map_location=self.U.device, weights_only=True)
        self.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        return list(state["history"])

    def _save(
        self,
        optimizer: torch.optim.Optimizer,
        checkpoint: str | os.PathLike[str] | None,
        history: list[float],
    ) -> None:
        if checkpoint is None:
            return
        state = {
            "model": self.state_dict(),
            "optimizer": optimizer.state_dict(),
            "history": history,
        }
        # Written beside and moved, so that an interruption leaves the old file whole.
        partial = Path(f"{os.fspath(checkpoint)}.partial")
        torch.save(state, partial)
        partial.replace(checkpoint)


def _detached(value: Any) -> Any:
    return [x.detach() for x in value] if isinstance(value, list) else value.detach()
