"""The system of a tensor product of two spline spaces, and its two solutions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.fft
import scipy.sparse
import scipy.sparse.linalg

from numerics.arrays import Array, Frame
from numerics.bsplines import bspline_collocation_matrix
from solvers.riesz._pencil import Pencil, real_part, riesz_pencil
from solvers.riesz._spline import coarser_space, inner_points
from solvers.riesz.collocation import RieszCollocation
from solvers.riesz.krylov import preconditioned_gmres
from solvers.riesz.symbol import mass_symbol, riesz_symbol

_SINE_MASS = 3  # degree up to which sine transforms of the mass matrices cost no iterations


@dataclass(frozen=True)
class TensorSystem:
    r""":math:`\kappa_x A_x X M_y^T + \kappa_y M_x X A_y^T + c M_x X M_y^T = F` on the unit square.

    The methods take the three coefficients as one tuple ``factors``.
    """

    x: RieszCollocation
    y: RieszCollocation

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of unknowns (Nx, Ny)."""
        return self.x.shape[0], self.y.shape[0]

    @cached_property
    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """The inner Greville abscissae of each direction."""
        return inner_points(self.x.n, self.x.p), inner_points(self.y.n, self.y.p)

    @cached_property
    def masses(self) -> tuple[scipy.sparse.csr_array, scipy.sparse.csr_array]:
        """The mass matrices."""
        return (
            bspline_collocation_matrix(self.x.n, self.x.p),
            bspline_collocation_matrix(self.y.n, self.y.p),
        )

    def coarser(self) -> TensorSystem | None:
        """The system of half the cells in each direction where there are two; None if in none."""
        spaces = [(A.n, A.p) for A in (self.x, self.y)]
        coarse = [coarser_space(*space) for space in spaces]
        if coarse == [None, None]:
            return None
        (nx, px), (ny, py) = (c or s for c, s in zip(coarse, spaces, strict=True))
        return TensorSystem(
            RieszCollocation(nx, px, self.x.alpha), RieszCollocation(ny, py, self.y.alpha)
        )

    def images(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values at the points of the two fractional derivatives, and of the solution."""
        Mx, My = self.masses
        across, along = (My @ X.T).T, Mx @ X
        return self.x.matvec(across), self.y.matvec(along.T).T, Mx @ across

    def apply(self, X: np.ndarray, factors: tuple[float, float, float]) -> np.ndarray:
        """The left-hand side."""
        (kx, ky, c), (along_x, along_y, u) = factors, self.images(X)
        return kx * along_x + ky * along_y + c * u

    def diagonalized(self, frame: Frame, F: Array, factors: tuple[Array, Array, Array]) -> Array:
        """Solution by the eigen-decomposition of each pencil, in any frame."""
        kx, ky, c = factors
        (mx, Vx, Wx), (my, Vy, Wy) = (pencil.arrays(frame) for pencil in self._pencils)
        Wx, F, Wy, Vx, Vy = frame.common_dtype(Wx, F, Wy, Vx, Vy)
        modes = Wx @ F @ Wy.T / (kx * mx[:, None] + ky * my + c)
        return real_part(frame, Vx @ modes @ Vy.T)

    def gmres(
        self, F: np.ndarray, factors: tuple[float, float, float], rtol: float
    ) -> tuple[np.ndarray, int, float]:
        r"""Solution, iterations and preconditioned residual of GMRES.

        The preconditioner has the sine transform for eigenvectors and the symbols f of A and h of M
        for eigenvalues, :math:`\kappa_x f_i h_j + \kappa_y h_i f_j + c h_i h_j`. For high degrees h
        is small at the end of the spectrum and the mass matrices' borders weigh: there
        :math:`M_x \otimes M_y` is inverted exactly, which is banded, and f/h takes the place of f.
        """
        kx, ky, c = factors
        (fx, hx), (fy, hy) = (_symbols(A) for A in (self.x, self.y))
        exact_mass = max(self.x.p, self.y.p) > _SINE_MASS
        if exact_mass:
            fx, fy, hx, hy = fx / hx, fy / hy, np.ones_like(hx), np.ones_like(hy)
            x_mass, y_mass = (scipy.sparse.linalg.splu(M.tocsc()) for M in self.masses)
        symbol = kx * np.outer(fx, hy) + ky * np.outer(hx, fy) + c * np.outer(hx, hy)

        def precondition(v: np.ndarray) -> np.ndarray:
            values = v.reshape(self.shape)
            if exact_mass:
                across = np.ascontiguousarray(x_mass.solve(values).T)
                values = y_mass.solve(across).T
            modes = scipy.fft.dstn(values, type=1, norm="ortho") / symbol
            return scipy.fft.dstn(modes, type=1, norm="ortho").ravel()

        def product(v: np.ndarray) -> np.ndarray:
            return self.apply(v.reshape(self.shape), factors).ravel()

        x, iterations, residual = preconditioned_gmres(product, precondition, F.ravel(), rtol=rtol)
        return x.reshape(self.shape), iterations, residual

    @cached_property
    def _pencils(self) -> tuple[Pencil, Pencil]:
        x = riesz_pencil(self.x)
        same = (self.x.n, self.x.p, self.x.alpha) == (self.y.n, self.y.p, self.y.alpha)
        return x, x if same else riesz_pencil(self.y)


def _symbols(A: RieszCollocation) -> tuple[np.ndarray, np.ndarray]:
    N = A.shape[0]
    theta = np.pi * np.arange(1, N + 1) / (N + 1)
    return A.scale * riesz_symbol(theta, A.p, A.alpha), mass_symbol(theta, A.p)
