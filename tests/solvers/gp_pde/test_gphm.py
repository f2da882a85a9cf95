"""The published objective: against numbers that the released code prints, and its module."""

from __future__ import annotations

import numpy as np
import pytest

from solvers.gp_pde import gphm_objective

torch = pytest.importorskip("torch")

# The objective, and its gradients in U, log tau, log v and each axis' log w, log ls and freq, each
# as the sum of its entries times cos(0, 1, 2, ...): printed by the code released with arXiv
# 2311.04465 (revision 6b978f1, JAX 0.4.38, float64) for the arrays that `case` draws.
PUBLISHED = [
    (
        "matern",
        "poisson",
        1,
        [
            65990.39670786633,
            -29246.13481378684,
            572.7439729055565,
            62897.122578192844,
            -677.2244484083594,
            -19044.009476368203,
            26069.314887203247,
        ],
    ),
    (
        "matern",
        "allen-cahn",
        1,
        [
            65615.42993883972,
            -27798.68869373798,
            572.7439729055565,
            62522.15580916623,
            -662.6115265728707,
            -19014.336453072552,
            26222.470426951026,
        ],
    ),
    (
        "matern",
        "poisson",
        2,
        [
            1260528.95470206,
            512793.4691707857,
            4096.334252553211,
            1251515.1736225034,
            692489.5004698056,
            14646.505190965614,
            -207121.16427703216,
            50909.44910438426,
            11752540.989287715,
            265439.9861077582,
        ],
    ),
    (
        "matern",
        "allen-cahn",
        2,
        [
            1255290.15711647,
            514883.47868731973,
            4096.334252553211,
            1246276.3760369134,
            691556.8190620985,
            14633.409599859371,
            -206576.74809153107,
            50773.90604771687,
            11740177.624405738,
            264978.69916279666,
        ],
    ),
    (
        "matern",
        "advection",
        2,
        [
            379184.3756918843,
            -249611.95310877674,
            4096.334252553211,
            370170.59461232775,
            203080.89330617565,
            -2953.71881639891,
            -623658.2081730273,
            2200.246425647853,
            6725071.528523766,
            -7684.355268050792,
        ],
    ),
    (
        "gaussian",
        "poisson",
        1,
        [
            299796.57393487205,
            -46553.673908251774,
            572.7439729055565,
            245295.61185359716,
            96448.90950117841,
            390747.50001220696,
            1329142.9605392702,
        ],
    ),
    (
        "gaussian",
        "allen-cahn",
        1,
        [
            299622.8495040176,
            -44881.55369006009,
            572.7439729055565,
            245121.88742274276,
            96587.9462761487,
            391377.4402285518,
            1331180.4527616575,
        ],
    ),
    (
        "gaussian",
        "poisson",
        2,
        [
            2419450.0251169326,
            1081350.1008890138,
            4096.334252553211,
            2408500.579006014,
            676088.1190370125,
            9680.507803722916,
            3056664.951971078,
            40604.27303494265,
            37120086.63495378,
            332129.94849496405,
        ],
    ),
    (
        "gaussian",
        "allen-cahn",
        2,
        [
            2414620.1968227425,
            1082936.6899135034,
            4096.334252553211,
            2403670.750711824,
            675236.1978628515,
            9670.817983834837,
            3056852.4151474433,
            40533.49697599476,
            37111024.525284775,
            331654.0621321273,
        ],
    ),
    (
        "gaussian",
        "advection",
        2,
        [
            1590025.1983202912,
            485538.3251431058,
            4096.334252553211,
            1579075.7522093728,
            -24559.56737315475,
            -4157.192812062253,
            237485.70472403368,
            -616.1733241356266,
            19711758.729716368,
            -884.7063850491118,
        ],
    ),
]


def kernel_parameters(rng):
    return rng.normal(size=3) - 1, rng.normal(size=3), rng.uniform(0, 3, 3)


def case(d):
    rng = np.random.default_rng(5)
    shape = (12, 1) if d == 1 else (7, 6)
    x, y = np.linspace(0, 1.5, shape[0]), np.linspace(-1, 1, 6)
    U = rng.normal(size=shape)
    source = rng.normal(size=12 if d == 1 else shape)
    sides = rng.normal(size=2 if d == 1 else 26)
    mixtures = [kernel_parameters(rng) for _ in range(d)]
    named = dict(
        zip(("log_w", "log_ls", "freq"), map(list, zip(*mixtures, strict=True)), strict=True)
    )
    params = {**named, "log_tau": np.array(0.3), "log_v": np.array(-0.2)}
    data = {
        "grids": [x, y][:d],
        "source": source,
        "boundary": list(sides) if d == 1 else np.split(sides, [6, 12, 19]),
    }
    return (U[:, 0] if d == 1 else U), params, data


def leaves_of(value):
    if isinstance(value, dict):
        return {name: leaves_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [leaves_of(item) for item in value]
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


def probe(leaf):
    gradient = leaf.grad.ravel()
    return float(gradient @ torch.cos(torch.arange(len(gradient), dtype=torch.float64)))


@pytest.mark.parametrize(("envelope", "equation", "d", "published"), PUBLISHED)
def test_objective_and_gradients_are_those_of_the_released_code(envelope, equation, d, published):
    U, params, data = case(d)
    options = {"equation": equation, "envelope": envelope, "beta": 7.0}
    value = gphm_objective(U, params, **data, **options)
    assert value == pytest.approx(published[0], rel=1e-9)
    U, params = leaves_of(U), leaves_of(params)
    data = {name: torch.as_tensor(x) if name == "source" else x for name, x in data.items()}
    for name in ("grids", "boundary"):
        data[name] = [torch.as_tensor(x) for x in data[name]]
    gphm_objective(U, params, **data, **options).backward()
    leaves = [U, params["log_tau"], params["log_v"]]
    leaves += [x for name in ("log_w", "log_ls", "freq") for x in params[name]]
    # Nested automatic differentiation is good to a few 1e-9 there.
    np.testing.assert_allclose([probe(x) for x in leaves], published[1:], rtol=1e-7)


def test_single_precision_is_close():
    U, params, data = case(2)
    exact = gphm_objective(U, params, **data, equation="poisson")
    named = {
        k: [x.astype(np.float32) for x in v]
        for k, v in params.items()
        if k[:4] != "log_" or k in ("log_w", "log_ls")
    }
    single = {**named, "log_tau": 0.3, "log_v": -0.2}
    data = {
        "grids": [x.astype(np.float32) for x in data["grids"]],
        "boundary": [x.astype(np.float32) for x in data["boundary"]],
        "source": data["source"].astype(np.float32),
    }
    value = gphm_objective(U.astype(np.float32), single, **data, equation="poisson")
    assert value.dtype == np.float32
    # Sums are double; what is lost is in the data, and amplified by the condition of C.
    assert value == pytest.approx(exact, rel=1e-2)


def small_model(**options):
    from solvers.gp_pde.nn import GPHM

    x = np.linspace(0, 1, 12)
    u = np.sin(x)
    return (
        GPHM(
            [x],
            -u,
            [u[0], u[-1]],
            equation="poisson",
            n_components=4,
            freq_scale=2.0,
            **options,
        ),
        x,
        u,
    )


def test_training_descends():
    model, x, u = small_model()
    before = gap(model, x, u)
    history = model.fit(400, lr=3e-2, progress=False)
    assert history[-1] < history[0]
    assert gap(model, x, u) < 0.8 * before
    assert float(model.freq[0].detach()[0]) == 0  # no gradient moves the component at zero


def gap(model, x, u):
    return np.abs(model.predict([x]).cpu().numpy() - u).max()


def test_checkpoint_goes_on_where_it_stopped(tmp_path):
    whole, _, _ = small_model()
    expected = whole.fit(30, progress=False)
    path = tmp_path / "state.pt"
    first, _, _ = small_model()
    first.fit(12, progress=False, checkpoint=path)
    second, _, _ = small_model()
    steps = []
    history = second.fit(
        30, progress=False, checkpoint=path, callback=lambda step, value: steps.append(step)
    )
    assert steps == list(range(12, 30))
    np.testing.assert_allclose(history, expected, rtol=1e-12)
    np.testing.assert_allclose(second.U.detach(), whole.U.detach(), rtol=1e-9, atol=1e-12)


def test_tolerance_stops_training():
    model, _, _ = small_model()
    assert len(model.fit(50, tol=1e9, progress=False)) == 1


def test_prediction_on_its_own_grid_is_nearly_the_values():
    from solvers.gp_pde.nn import GPHM

    x, y = np.linspace(0, 1, 7), np.linspace(0, 2, 6)
    U = np.sin(x)[:, None] * np.cos(y)
    sides = [U[0], U[-1], U[:, 0], U[:, -1]]
    model = GPHM([x, y], -2 * U, sides, equation="allen-cahn", n_components=3, freq_scale=1.0)
    with torch.no_grad():
        model.U.copy_(torch.as_tensor(U))
    # The nugget of 1e-6 smooths.
    np.testing.assert_allclose(model.predict([x, y]).cpu(), U, atol=1e-3)
    assert model.predict([x[:3], y[:2]]).shape == (3, 2)


X = np.linspace(0, 1, 5)
PARAMS = {
    "log_w": [np.zeros(2)],
    "log_ls": [np.zeros(2)],
    "freq": [np.zeros(2)],
    "log_tau": 0.0,
    "log_v": 0.0,
}
GOOD = {"grids": [X], "source": X, "boundary": [0.0, 1.0], "equation": "poisson"}


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"equation": "heat"}, ValueError, "equation"),
        ({"equation": "advection"}, ValueError, "grids"),
        ({"envelope": "cosine"}, ValueError, "envelope"),
        ({"lambda_b": -1.0}, ValueError, "lambda_b"),
        ({"jitter": "small"}, TypeError, "jitter"),
        ({"grids": []}, ValueError, "grids"),
        ({"grids": [X[:-1]]}, ValueError, r"grids\[0\]"),
        ({"source": X[:-1]}, ValueError, "source"),
        ({"source": X * np.nan}, ValueError, "source"),
        ({"boundary": [0.0]}, ValueError, "boundary"),
        ({"boundary": [0.0, X]}, ValueError, r"boundary\[1\]"),
        ({"params": {"log_w": [X]}}, ValueError, "params"),
        ({"params": PARAMS | {"freq": []}}, ValueError, "freq"),
        ({"params": PARAMS | {"freq": [np.zeros(3)]}}, ValueError, "freqs"),
        ({"U": X + 1j}, TypeError, "U must"),
        ({"U": torch.zeros(5)}, TypeError, "mix"),
    ],
)
def test_bad_input(change, error, words):
    arguments = {"U": X, "params": PARAMS} | GOOD | change
    with pytest.raises(error, match=words):
        gphm_objective(arguments.pop("U"), arguments.pop("params"), **arguments)
