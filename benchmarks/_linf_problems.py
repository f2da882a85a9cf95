r"""Problems on which the entrywise guarantee of a sketch can be seen to hold or to break.

The guarantee in question is :math:`\|x' - x^*\|_\infty \le (\epsilon/\sqrt d)\,\|r^*\|\,\|A^+\|`
for the solution :math:`x'` of the sketched problem, that is
:math:`R = \sqrt d\,\|x' - x^*\|_\infty\,\sigma_{\min}(A)/\|r^*\| \le \epsilon`. Two families have
:math:`A = (I_d; 0)` and :math:`x^* = 0`: ``flat``, :math:`b = 1/\sqrt d` on d further rows, and
``spike``, :math:`b = e_{d+1}`. A third, ``copies``, stacks n/d copies of :math:`I_d`, with b one
unit vector; a fourth, ``random``, is Gaussian with heavy-tailed noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Problem:
    """A least-squares problem with its exact solution, and the ratio R of other ones."""

    A: np.ndarray
    b: np.ndarray
    x: np.ndarray = field(init=False)
    residual_norm: float = field(init=False)
    sigma_min: float = field(init=False)

    def __post_init__(self) -> None:
        x, _, _, singular = np.linalg.lstsq(self.A, self.b, rcond=None)
        object.__setattr__(self, "x", x)
        object.__setattr__(self, "residual_norm", float(np.linalg.norm(self.b - self.A @ x)))
        object.__setattr__(self, "sigma_min", float(singular[-1]))

    def ratio(self, x: np.ndarray) -> float:
        """R of another solution."""
        scale = math.sqrt(len(x)) * self.sigma_min / self.residual_norm
        return scale * float(np.max(np.abs(x - self.x)))


def problem(family: str, n: int, d: int) -> Problem:
    """The problem of one family; ``random`` is the same one in every call."""
    A, b = np.zeros((n, d)), np.zeros(n)
    if family == "random":
        rng = np.random.default_rng(1)
        return Problem(rng.standard_normal((n, d)), rng.standard_t(3, n))
    if family == "copies":
        A[np.arange(n), np.arange(n) % d] = 1.0
        b[0] = 1.0
        return Problem(A, b)
    if family not in ("flat", "spike"):
        raise ValueError(f"family must be flat, spike, copies or random, got {family!r}")
    A[:d] = np.eye(d)
    if family == "flat":
        b[d : 2 * d] = 1 / math.sqrt(d)
    else:
        b[d] = 1.0
    return Problem(A, b)


def sketched_solution(make: Any, case: Problem, m: int, rng: np.random.Generator) -> np.ndarray:
    """Minimum-norm solution of the problem after a new sketch with m rows."""
    sketched = make(len(case.A), m, rng=rng).apply(np.column_stack((case.A, case.b)))
    return np.linalg.lstsq(sketched[:, :-1], sketched[:, -1], rcond=None)[0]


def predicted_ratio(d: int, m: int) -> float:
    r"""The upper-typical value :math:`\sqrt{2 d \log(2 d) / m}` of R for a dense sketch.

    Each coordinate of a Gaussian sketch's error is about normal with variance :math:`\|r^*\|^2/m`
    in units in which A has orthonormal columns, and the largest of d of them is about
    :math:`\sqrt{2 \log(2 d)}` standard deviations.
    """
    return math.sqrt(2 * d * math.log(2 * d) / m)


def collision_probability(d: int, k: int, m: int) -> float:
    r"""Probability that two sets of d and k rows share a bucket out of m.

    The number K of buckets that the d rows take has a law by recursion over the rows, and none of
    the others is in them with probability :math:`(1 - K/m)^k`; about :math:`1 - e^{-dk/m}` in all.
    """
    taken = np.zeros(d + 1)
    taken[0] = 1.0
    share = np.arange(d + 1) / m
    for _ in range(d):
        stay, grow = taken * share, taken * (1 - share)
        taken = stay
        taken[1:] += grow[:-1]
    return float(1 - taken @ np.maximum(1 - share, 0.0) ** k)


def bucket_ratio(buckets: np.ndarray, signs: np.ndarray, d: int, b: np.ndarray) -> float:
    r"""R of the minimum-norm solution after a CountSketch of :math:`A = (I_d; 0)`, in closed form.

    A bucket that holds a rows of the identity and the sum s of signed entries of b spreads s over
    them evenly: :math:`|x'_j| = |s|/a`. Here :math:`x^* = 0` and :math:`\sigma_{\min} = 1`.
    """
    held = np.bincount(buckets[:d], minlength=buckets.max() + 1)
    sums = np.bincount(buckets[d:], signs[d:] * b[d:], minlength=buckets.max() + 1)
    full = held > 0
    largest = float(np.max(np.abs(sums[full]) / held[full]))
    return math.sqrt(d) * largest / float(np.linalg.norm(b))


def correlated_gram(direction: np.ndarray, rho: float, alpha: float) -> np.ndarray:
    r"""Gram matrix :math:`M = S^T S` of a sketch whose two errors conspire, of order d + 1.

    :math:`M = I + w v^T + v w^T` with :math:`v = \rho e_1 + \alpha e_{d+1}` and a random unit
    vector w that is orthogonal to both. Its eigenvalues are 1 and
    :math:`1 \pm \sqrt{\rho^2 + \alpha^2}`, its mean is I, and for fixed g and h the deviation
    :math:`g^T M h - g^T h` is of order :math:`1/\sqrt d`.
    """
    d = len(direction) + 1
    w = np.concatenate(([0.0], direction, [0.0]))
    v = np.zeros(d + 1)
    v[0], v[-1] = rho, alpha
    return np.eye(d + 1) + np.outer(w, v) + np.outer(v, w)


def correlated_error(rho: float, alpha: float) -> float:
    r"""The first coordinate's error under `correlated_gram`, with A = (I_d; 0) and r = e_{d+1}.

    The normal equations :math:`(I + \rho (e_1 w^T + w e_1^T)) x = \alpha w` couple :math:`e_1`
    and w only, whence :math:`|x_1| = \alpha\rho/(1 - \rho^2)`, whatever d is.
    """
    return alpha * rho / (1 - rho**2)


def gaussian_diagonal_law(c: float, correlation: np.ndarray | float) -> np.ndarray | float:
    r"""Probability that a transform with a Gaussian diagonal errs by more than c.

    With :math:`u = (e_1 + e_2)/\sqrt2`, :math:`r = (e_1 - e_2)/\sqrt2` and Gaussian :math:`g_i` for
    signs, the error of the coefficient is
    :math:`(g_1^2 - g_2^2)/(g_1^2 + g_2^2 + 2\rho g_1 g_2)`, :math:`\rho` being the correlation of
    two columns over the sampled rows. It exceeds c in size with probability
    :math:`(2/\pi)\arctan(\sqrt{1 - c^2(1 - \rho^2)}/c)`, at least
    :math:`(2/\pi)\arccos c` however many rows there are.
    """
    root = np.sqrt(1 - c**2 * (1 - np.square(correlation)))
    return 2 / np.pi * np.arctan(root / c)
