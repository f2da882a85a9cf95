"""Polar factors: SciPy, the nearest unitary matrix, gradients at repeated singular values."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from geometry.spd.polar import polar_factor
from numerics.arrays import frame_like

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("imaginary", [False, True])
def test_agrees_with_scipy(xp, imaginary, rng):
    W = rng.standard_normal((3, 4, 4)) + (1j * rng.standard_normal((3, 4, 4)) if imaginary else 0)
    given = xp.asarray(W)
    Q = xp.numpy(polar_factor(frame_like(given), given))
    exact = np.stack([scipy.linalg.polar(M)[0] for M in W])
    np.testing.assert_allclose(Q, exact, atol=10 * xp.tol)


@pytest.mark.parametrize("spectrum", [[1, 1, 1], [1, 1, 2], [0.5, 1, 3]], ids=str)
@pytest.mark.parametrize("imaginary", [False, True])
def test_gradients(spectrum, imaginary, from_eigenvalues, rng):
    left = from_eigenvalues(rng, [1.0, 1, 1], imaginary)
    rotation = scipy.linalg.polar(left + 0.3 * rng.standard_normal((3, 3)))[0]
    W = torch.tensor(rotation @ from_eigenvalues(rng, spectrum, imaginary), requires_grad=True)
    frame = frame_like(W)
    assert torch.autograd.gradcheck(lambda W: polar_factor(frame, W), (W,))
    assert torch.autograd.gradgradcheck(lambda W: polar_factor(frame, W), (W,), fast_mode=True)
