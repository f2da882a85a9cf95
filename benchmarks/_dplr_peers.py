r"""Other ways to the kernels of S4's systems: published, dense, of signals, and to 40 digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import scipy.signal

from benchmarks.harness import Context
from ssm import discretize, dplr_to_dense

Arrays = tuple[np.ndarray, ...]


def dense_systems(
    Lambda: np.ndarray, P: np.ndarray, B: np.ndarray, C: np.ndarray, dt: Any
) -> Arrays:
    """Discrete matrices, input and output vectors, real for conjugate pairs."""
    A, b, c = dplr_to_dense(Lambda, P, B, C)
    return (*discretize(A, b, dt, method="bilinear"), c)


def published_form(
    Lambda: np.ndarray,
    P: np.ndarray,
    B: np.ndarray,
    tilde: np.ndarray,
    dt: np.ndarray,
    L: int,
    sums: Callable[[Any, Any, Any], Any],
) -> Any:
    """Cauchy sums at 2 (1 - w)/(1 + w) and Woodbury's correction, as in S4's own code."""
    import torch

    poles, p, b, c, step = (torch.as_tensor(x) for x in (Lambda, P[:, 0], B, tilde, dt))
    powers = torch.arange(L // 2 + 1, dtype=step.dtype)
    omega = torch.exp(-2j * torch.pi * powers / L).to(poles.dtype)
    z = 2 * (1 - omega) / (1 + omega)
    left, right = torch.stack((c, p.conj()), 1), torch.stack((b, p), 1)
    v = (left[:, :, None] * right[:, None] * step[:, None, None, None]).flatten(1, 2)
    v = torch.cat((v, v.conj()), -1)
    w = step[:, None] * poles
    r = sums(v, z, torch.cat((w, w.conj()), -1))
    spectrum = r[:, 0] - r[:, 1] * r[:, 2] / (1 + r[:, 3])
    return torch.fft.irfft(spectrum * 2 / (1 + omega), n=L)


def array_of_reciprocals(v: Any, z: Any, w: Any) -> Any:
    """Cauchy sums by one array (H, points, nodes) and a matrix product."""
    return v @ (1 / (z - w[..., None]))


def lazy_sums(v: Any, z: Any, w: Any) -> Any:
    """The four sums one after the other: pykeops reduces over one of two indices."""
    import torch
    from pykeops.torch import LazyTensor

    points, nodes = LazyTensor(z[None, :, None, None]), LazyTensor(w[:, None, :, None].contiguous())
    parts = [
        (LazyTensor(v[:, i, None, :, None].contiguous()) / (points - nodes)).sum(dim=2)
        for i in range(v.shape[1])
    ]
    return torch.stack([part[..., 0] for part in parts], 1)


def keops_works(context: Context) -> bool:
    """Whether pykeops is there and finds the compiler that it needs at run time."""
    if context.optional("pykeops") is None:
        return False
    import torch

    try:
        ones = torch.ones(1, 4, 2, dtype=torch.complex128)
        lazy_sums(ones, torch.arange(3) + 1j * ones[0, 0, 0], ones[:, 0])
    except Exception as error:
        note = f"pykeops finds no compiler that works ({type(error).__name__}): left out"
        if note not in context.skipped:
            context.skipped.append(note)
        return False
    return True


def dimpulse(A: np.ndarray, B: np.ndarray, C: np.ndarray, L: int) -> np.ndarray:
    """Impulse responses one system at a time; scipy's come one step late."""
    responses = []
    for a, b, c in zip(A, B, C, strict=True):
        system = (a, b[:, None], c[None], np.zeros((1, 1)), 1)
        responses.append(scipy.signal.dimpulse(system, n=L + 1)[1][0][1:, 0])
    return np.stack(responses)


def lfilter_of_ss2tf(A: np.ndarray, B: np.ndarray, C: np.ndarray, L: int) -> np.ndarray:
    """Impulse responses of the filters whose coefficients scipy finds."""
    impulse = np.zeros(L + 1, A.dtype)
    impulse[0] = 1
    responses = []
    for a, b, c in zip(A, B, C, strict=True):
        numerator, denominator = scipy.signal.ss2tf(a, b[:, None], c[None], np.zeros((1, 1)))
        responses.append(scipy.signal.lfilter(numerator[0], denominator, impulse)[1:])
    return np.stack(responses)


def forty_digits(
    Lambda: np.ndarray, P: np.ndarray, B: np.ndarray, C: np.ndarray, dt: float, L: int
) -> np.ndarray:
    """The recurrence of the pairs in 40 digits: (I - hA)^-1 by Sherman and Morrison."""
    with mpmath.workdps(40):
        h = mpmath.mpf(dt) / 2
        poles, p, x, c = ([mpmath.mpc(v) for v in array] for array in (Lambda, P[0], B, C))
        d = [1 / (1 - h * pole) for pole in poles]
        inner = 2 * mpmath.re(
            mpmath.fsum(mpmath.conj(a) * b * a for a, b in zip(p, d, strict=True))
        )

        def solve(y: list[Any]) -> list[Any]:
            y = [a * b for a, b in zip(d, y, strict=True)]
            read = h * _read(p, y) / (1 + h * inner)
            return [a - read * b * e for a, b, e in zip(y, d, p, strict=True)]

        # (I + hA) x is 2 x - (I - hA) x, so that a step is 2 (I - hA)^-1 x - x.
        x = [2 * h * a for a in solve(x)]
        values = []
        for _ in range(L):
            values.append(float(2 * mpmath.re(mpmath.fdot(c, x))))
            x = [2 * a - b for a, b in zip(solve(x), x, strict=True)]
    return np.array(values)


def _read(p: list[Any], y: list[Any]) -> Any:
    return 2 * mpmath.re(mpmath.fdot((mpmath.conj(a), b) for a, b in zip(p, y, strict=True)))
