"""Labelled sequences with a fixed split, padded with zeros behind their ends.

JapaneseVowels and BasicMotions come with the package ``aeon`` and the split they are published
with. The digits are scikit-learn's, read pixel by pixel from left to right and from top to bottom;
the first half trains and the second tests, as in scikit-learn's own example of recognising them.
Every channel has mean zero and variance one over the training part.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from benchmarks._short_series import load_short_series
from benchmarks.harness import Context


@dataclass(frozen=True)
class Sequences:
    """Sequences x (n, length, channels), their lengths (n,) and classes y (n,).

    ``train`` and ``test`` are index arrays; ``classes`` is how many there are.
    """

    name: str
    x: np.ndarray
    lengths: np.ndarray
    y: np.ndarray
    train: np.ndarray
    test: np.ndarray

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.y.max()) + 1

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.x.shape[-1])

    def validation(self, share: int = 4) -> Sequences:
        """The training part alone, every ``share``-th sequence of a class held back as the test."""
        place = np.empty(len(self.train), int)
        labels = self.y[self.train]
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            place[members] = np.arange(len(members))
        held = place % share == share - 1
        return replace(self, train=self.train[~held], test=self.train[held])


def load_sequences(context: Context) -> list[Sequences]:
    """The three collections; those of aeon only where it is installed."""
    found = [_of_aeon(context, name) for name in ("JapaneseVowels", "BasicMotions")]
    return [*(sequences for sequences in found if sequences is not None), _digits()]


def _of_aeon(context: Context, name: str) -> Sequences | None:
    series = load_short_series(context, name)
    if series is None:
        return None
    labels = np.concatenate([series.train_labels, series.test_labels])
    both = [x.T for x in (*series.train, *series.test)]
    return _padded(name, both, labels, len(series.train))


def _digits() -> Sequences:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return _padded("digits", list(images[:, :, None]), labels, len(images) // 2)


def _padded(name: str, series: list[np.ndarray], labels: np.ndarray, train: int) -> Sequences:
    steps = np.concatenate(series[:train])
    mean, scale = steps.mean(axis=0), steps.std(axis=0)
    lengths = np.array([len(x) for x in series])
    padded = np.zeros((len(series), lengths.max(), steps.shape[1]), np.float32)
    for row, x in zip(padded, series, strict=True):
        row[: len(x)] = (x - mean) / scale
    _, y = np.unique(labels, return_inverse=True)
    order = np.arange(len(series))
    return Sequences(name, padded, lengths, y, order[:train], order[train:])
