"""Electroencephalograms of MAMEM SSVEP dataset II (arXiv 1602.00904), and splits by session.

One subject is in ``benchmarks/data``; the others are files ``U002.mat`` and so on in the folder
that ``--data`` names. The segments of a session come in runs cut from one trial, so that a split at
random would test on the trials of the training: all splits here are by session.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.io

from benchmarks.harness import Context

SESSIONS = 5
EMBEDDED = "U001"
_EMBEDDED_FILE = Path(__file__).parent / "data" / "mamem_u001.npz"


@dataclass(frozen=True)
class Recording:
    """One subject's segments (500, 8, 125), which box was looked at, and the session."""

    subject: str
    x: np.ndarray
    y: np.ndarray
    session: np.ndarray


def load_recordings(context: Context) -> list[Recording]:
    """The embedded subject, and those in the folder of ``--data`` except in the quick form."""
    recordings = [load_embedded()]
    if context.data is None:
        context.skipped.append(f"only subject {EMBEDDED} is here: others by --data FOLDER")
        return recordings
    if context.quick:
        return recordings
    found = sorted(context.data.glob("U[0-9][0-9][0-9].mat"))
    return recordings + [load_file(path) for path in found if path.stem != EMBEDDED]


def load_embedded() -> Recording:
    """Subject U001."""
    with np.load(_EMBEDDED_FILE) as stored:
        return _recording(EMBEDDED, stored["x"], stored["y"])


def load_file(path: Path) -> Recording:
    """A subject's file as it is published with arXiv 2504.00660."""
    stored = scipy.io.loadmat(path)
    return _recording(path.stem, stored["x_test"], stored["y_test"].ravel())


def _recording(subject: str, x: np.ndarray, y: np.ndarray) -> Recording:
    session = np.repeat(np.arange(SESSIONS), len(x) // SESSIONS)
    return Recording(subject, np.asarray(x, np.float64), np.asarray(y, np.int64), session)
