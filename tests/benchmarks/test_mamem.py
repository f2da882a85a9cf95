"""The embedded recording, others from a folder, and cross-validation that never sees its test."""

from __future__ import annotations

import io

import numpy as np
import pytest
import scipy.io
from rich.console import Console

from benchmarks.__main__ import main
from benchmarks._mamem import Recording, load_embedded, load_recordings
from benchmarks._session_validation import Pipeline, nested_cross_validation, tangent_space_svm
from benchmarks.harness import Context
from benchmarks.harness.registry import Benchmark


def context(**options) -> Context:
    return Context(Benchmark("one", "One", "", "", lambda c: None), **options)


def test_the_embedded_subject_is_whole():
    recording = load_embedded()
    assert recording.x.shape == (500, 8, 125)
    assert np.all(np.isfinite(recording.x))
    for session in range(5):
        counts = np.bincount(recording.y[recording.session == session])
        np.testing.assert_array_equal(counts, [20, 20, 24, 20, 16])


def test_other_subjects_come_from_a_folder(tmp_path, rng):
    x = rng.standard_normal((10, 2, 7))
    y = np.arange(10, dtype=np.uint8)[:, None]
    for name in ("U002", "U001", "notes"):
        scipy.io.savemat(tmp_path / f"{name}.mat", {"x_test": x, "y_test": y})
    found = load_recordings(context(data=tmp_path))
    assert [recording.subject for recording in found] == ["U001", "U002"]
    assert len(found[0].x) == 500
    np.testing.assert_array_equal(found[1].session, np.repeat(np.arange(5), 2))
    assert len(load_recordings(context(data=tmp_path, quick=True))) == 1
    alone = context()
    assert len(load_recordings(alone)) == 1
    assert "--data" in alone.skipped[0]


def test_the_folder_reaches_the_benchmark(tmp_path, capsys):
    seen = []

    def run(given):
        seen.append(given.data)
        return given.record(asked="")

    entries = {"one": Benchmark("one", "One", "", "", run)}
    console = Console(file=io.StringIO())
    assert main(["one", "--data", str(tmp_path)], benchmarks=entries, console=console) == 0
    assert seen == [tmp_path]
    with pytest.raises(SystemExit):
        main(["one", "--data", str(tmp_path / "no")], benchmarks=entries, console=console)
    assert "--data takes a directory" in capsys.readouterr().err


def random_recording(rng) -> Recording:
    y = np.tile([0, 1], 25)
    x = rng.standard_normal((50, 1, 30)) * (1 + y)[:, None, None]
    return Recording("made", x, y, np.repeat(np.arange(5), 10))


def pipeline_that_watches(seen: list[tuple[np.ndarray, np.ndarray]]) -> Pipeline:
    def vectors(C, train):
        seen.append((C, train))
        return C[:, 0]

    return Pipeline(lambda x, order, lag: np.var(x, axis=2)[..., None], tangent_space_svm(vectors))


def test_every_training_set_leaves_whole_sessions_out(rng):
    recording, seen = random_recording(rng), []
    nested_cross_validation(pipeline_that_watches(seen), recording, [(1, 1)])
    masks = {train.tobytes() for _, train in seen}
    assert len(masks) == len(seen) == 15
    for _, train in seen:
        by_session = train.reshape(5, 10)
        assert np.all(by_session.all(axis=1) | ~by_session.any(axis=1))
        assert 3 <= by_session.any(axis=1).sum() <= 4


def test_labels_of_the_test_session_change_no_choice(rng):
    """With the labels of one session reversed, its score is turned round and nothing else of it."""
    recording = random_recording(rng)
    changed = Recording("made", recording.x, recording.y.copy(), recording.session)
    changed.y[recording.session == 2] = 1 - changed.y[recording.session == 2]
    pipeline = pipeline_that_watches([])
    one, two = (nested_cross_validation(pipeline, r, [(1, 1)]) for r in (recording, changed))
    assert one.accuracy[2] > 0.9
    assert two.accuracy[2] == pytest.approx(1 - one.accuracy[2])


def test_the_better_order_wins(rng):
    recording = random_recording(rng)

    def variances_or_noise(x, order, lag):
        C = np.var(x, axis=2)
        return C if order == 2 else np.random.default_rng(0).standard_normal(C.shape)

    pipeline = Pipeline(variances_or_noise, tangent_space_svm(lambda C, train: C))
    found = nested_cross_validation(pipeline, recording, [(1, 1), (2, 1)])
    assert found.chosen == [(2, 1)] * 5
    chosen = nested_cross_validation(pipeline, recording, lambda x: (1, 1))
    assert chosen.chosen == [(1, 1)] * 5
    assert np.mean(found.accuracy) > np.mean(chosen.accuracy) + 0.2
