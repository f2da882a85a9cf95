"""Words over groups, decoded from the delta rule, against the multiplication table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ssm import delta_rule, group_representation, word_problem
from ssm.word_problems import _separated, _weights

GROUPS = ["Z2", "S3", "D5", "A4", "S4", "A5", "S5"]
LENGTH = 4096


def _products(table, word):
    product = np.zeros(word.shape[:-1], dtype=np.int64)
    products = np.empty(word.shape, dtype=np.int64)
    for t in range(word.shape[-1]):
        product = table[product, word[..., t]]
        products[..., t] = product
    return products


@pytest.mark.parametrize("name", [*GROUPS, "Z7", "D12"])
@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_long_words_in_single_precision(rng, name, library):
    _, table = group_representation(name)
    word = rng.integers(len(table), size=(2, LENGTH))
    expected = _products(table, word)
    decoded = word_problem(name, word if library == "numpy" else torch.from_numpy(word))
    assert isinstance(decoded, np.ndarray) == (library == "numpy")
    np.testing.assert_array_equal(np.asarray(decoded), expected)


@pytest.mark.parametrize("name", GROUPS)
def test_the_state_stays_far_from_a_wrong_answer(rng, name):
    """After 4096 reflections or more in single precision the state's length is right to 1e-3.

    Rounding is at most half a unit a step, 4096 * 4 * 6e-8; wrong elements are at least 0.2 away.
    """
    elements, _ = group_representation(name)
    keys, gains, start = _weights(name)
    word = rng.integers(len(elements), size=LENGTH)
    d, n_h = keys.shape[2], keys.shape[1]
    _, state = delta_rule(
        np.ones((LENGTH, d), np.float32),
        keys[word].reshape(-1, d).astype(np.float32),
        np.zeros((LENGTH * n_h, d), np.float32),
        gains[word].reshape(-1).astype(np.float32),
        n_h=n_h,
        initial_state=np.eye(d, dtype=np.float32),
    )
    assert state.dtype == np.float32
    assert np.abs(state.T @ state - np.eye(d)).max() < 1e-3
    orbit = elements @ start
    gaps = np.linalg.norm(orbit[1:] - start, axis=-1)
    assert gaps.min() > 0.2


@pytest.mark.parametrize("dtype", [np.float64, "float64", torch.float64, np.dtype("float32")])
def test_dtypes_by_any_name(rng, dtype):
    word = rng.integers(24, size=100)
    expected = _products(group_representation("S4")[1], word)
    np.testing.assert_array_equal(word_problem("S4", word, dtype=dtype), expected)


def test_empty_words_and_lists():
    assert word_problem("S3", np.empty((2, 0), dtype=int)).shape == (2, 0)
    np.testing.assert_array_equal(word_problem("Z3", [1, 1, 1, 2]), [1, 2, 0, 2])


def test_reader_of_a_group_in_one_dimension():
    assert abs(_separated(np.array([[[1.0]], [[-1.0]]]))) == 1


@pytest.mark.parametrize(
    ("name", "word", "options", "error", "words"),
    [
        ("Z2", np.array([0, 2]), {}, ValueError, "word must hold indices from 0 to 1"),
        ("Z2", np.array([-1, 0]), {}, ValueError, "word must hold indices from 0 to 1"),
        ("Z2", np.array([0.0, 1.0]), {}, TypeError, "word must hold integers"),
        ("Z2", np.array([True]), {}, TypeError, "word must hold"),
        ("Z2", np.int64(1), {}, ValueError, "word must have shape"),
        ("M11", np.array([0]), {}, ValueError, "name must be one of"),
        ("Z2", np.array([0]), {"dtype": "float16"}, ValueError, "dtype must be one of"),
        ("Z2", np.array([0]), {"dtype": torch.bfloat16}, ValueError, "dtype must be one of"),
    ],
)
def test_bad_input(name, word, options, error, words):
    with pytest.raises(error, match=words):
        word_problem(name, word, **options)
