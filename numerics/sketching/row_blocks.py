r"""Rows of a tall matrix, block by block, whatever holds them.

One place knows the sources that an algorithm reading rows may be given: a NumPy array, a
memory-mapped one, a torch tensor, a SciPy sparse matrix, a dask array, and an iterable of row
blocks that need not fit in memory together. An algorithm asks :func:`open_rows` for the shape and
then takes (start, block) pairs; blocks are float32 or float64 arrays, tensors or CSR matrices.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import is_torch_array
from scipy.sparse import csr_array, issparse, vstack

from numerics.arrays import Array, as_arrays, check_real, frame_like

_BLOCK_BYTES = 1 << 24
_BAR_FROM_BYTES = 1 << 30


@dataclass(frozen=True)
class RowSource:
    """A matrix (rows, columns) or a vector (rows,) that is read in blocks of rows.

    Attributes
    ----------
    kind : {"numpy", "torch", "sparse", "dask", "blocks"}
        What holds the rows.
    name : str
        The argument's name, for messages.
    rows : int or None
        Number of rows; None for an iterable, whose end is not known before.
    trailing : tuple of int
        () for a vector and (d,) for a matrix.
    single : bool
        Whether the values are float32.
    repeatable : bool
        Whether the rows can be read more than once.
    data : object
        What holds the rows. For an iterator it has the block back that was looked at.
    """

    kind: str
    name: str
    rows: int | None
    trailing: tuple[int, ...]
    single: bool
    repeatable: bool
    data: Any

    @property
    def columns(self) -> int:
        """Columns of a block seen as a matrix."""
        return self.trailing[0] if self.trailing else 1

    def default_block_rows(self) -> int:
        """Rows of a block of some 16 MiB, a power of two."""
        width = max(1, self.columns) * (4 if self.single else 8)
        return max(1024, 1 << ((_BLOCK_BYTES // width) | 1).bit_length() - 1)

    def blocks(
        self,
        block_rows: int | None = None,
        *,
        expected: int | None = None,
        progress: bool | None = None,
    ) -> Iterator[tuple[int, Array]]:
        """Pairs of first row and block, in order.

        Parameters
        ----------
        block_rows : int, optional
            Rows of a block; some 16 MiB without it. Blocks of an iterable that are smaller are put
            together, larger ones come as they are.
        expected : int, optional
            Rows there have to be.
        progress : bool, optional
            Show a bar; without it, for memory-mapped arrays and iterables over 1 GiB.

        Raises
        ------
        ValueError
            For an iterable that ends early, goes on too long, or changes its width.
        """
        total = self.rows if expected is None else expected
        if self.rows is not None and total != self.rows:
            raise ValueError(f"{self.name} must have {total} rows, got {self.rows}")
        step = self.default_block_rows() if block_rows is None else block_rows
        if self.kind == "blocks":
            pairs = _gathered(self._from_iterable(total), step)
        elif self.kind == "dask":
            pairs = self._from_dask(step)
        else:
            pairs = self._sliced(step)
        with _bar(self._wants_bar(progress, total), total, self.name) as advance:
            for start, block in pairs:
                yield start, block
                advance(block.shape[0])

    def parts(self) -> Iterator[tuple[int, Any]]:
        """Pairs of first row and dask ``Delayed`` block, to be worked on where they are."""
        array = self.data
        if array.ndim == 2 and array.numblocks[1] > 1:
            array = array.rechunk({1: -1})
        start = 0
        for size, part in zip(array.chunks[0], array.to_delayed().ravel(), strict=True):
            yield start, part
            start += size

    def _wants_bar(self, progress: bool | None, total: int | None) -> bool:
        if progress is not None:
            return progress
        on_disk = self.kind == "blocks" or isinstance(self.data, np.memmap)
        width = max(1, self.columns) * (4 if self.single else 8)
        return on_disk and total is not None and total * width > _BAR_FROM_BYTES

    def _sliced(self, step: int) -> Iterator[tuple[int, Array]]:
        dtype = np.float32 if self.single else np.float64
        for start in range(0, self.data.shape[0], step):
            block = self.data[start : start + step]
            if self.kind == "numpy":
                block = np.ascontiguousarray(block, dtype)
            elif self.kind == "sparse":
                block = block.astype(dtype, copy=False)
            yield start, block

    def _from_dask(self, step: int) -> Iterator[tuple[int, Array]]:
        for start, part in self.parts():
            block = host_matrix(self.name, part.compute())
            for first, piece in contiguous_pieces(block, np.float32 if self.single else float):
                for inner in range(0, piece.shape[0], step):
                    yield start + first + inner, piece[inner : inner + step]

    def _from_iterable(self, total: int | None) -> Iterator[tuple[int, Array]]:
        start = 0
        for number, given in enumerate(self.data, start=1):
            block = _as_block(self.name, given, number)
            shape = tuple(block.shape)
            if shape[1:] != self.trailing:
                first = _width((0, *self.trailing), past=True)
                raise ValueError(f"{self.name}: block {number} {_width(shape)}, the first {first}")
            if _is_single(block) != self.single:
                raise TypeError(f"{self.name}: block {number} has another precision than the first")
            if total is not None and start + shape[0] > total:
                raise ValueError(
                    f"{self.name}: blocks go on to row {start + shape[0]}, past the last of {total}"
                )
            yield start, block
            start += shape[0]
        if total is not None and start < total:
            raise ValueError(f"{self.name}: blocks end at row {start} of {total}")


def open_rows(A: Any, *, name: str = "A") -> RowSource:
    """Recognise what holds the rows of ``A``.

    Parameters
    ----------
    A : array, sparse matrix, dask array or iterable of row blocks
        Real numbers, shape (n,) or (n, d). A list or tuple of matrices counts as blocks.
    name : str
        Name of the argument in messages.

    Returns
    -------
    RowSource
        Nothing is read yet, save the first block of an iterable.

    Raises
    ------
    TypeError
        For what is none of these, and numbers that are not real.
    ValueError
        For another number of axes, and an iterable without blocks.
    """
    if is_torch_array(A):
        frame, A = as_arrays(finite=False, **{name: A})
        check_real(name, A, frame)
        kind, data, single = "torch", A, frame.single
    elif issparse(A):
        if A.dtype.kind not in "iuf":
            raise TypeError(f"{name} must hold real numbers, got dtype {A.dtype}")
        kind, data, single = "sparse", A.tocsr(), A.dtype == np.float32
    elif is_dask_array(A):
        _check_dtype(name, A.dtype)
        kind, data, single = "dask", A, A.dtype == np.float32
    elif _is_blocks(A):
        return _open_blocks(A, name)
    else:
        data = host_matrix(name, A)
        kind, single = "numpy", data.dtype == np.float32
    if len(data.shape) not in (1, 2):
        raise ValueError(f"{name} must have one or two axes, got shape {tuple(data.shape)}")
    shape = tuple(int(size) for size in data.shape)
    return RowSource(kind, name, shape[0], shape[1:], bool(single), True, data)


def is_dask_array(A: Any) -> bool:
    """Whether ``A`` is a dask array, found out without importing dask."""
    return type(A).__module__.startswith("dask.array") and hasattr(A, "to_delayed")


def host_matrix(name: str, value: Any) -> np.ndarray:
    """``value`` as a NumPy array of real numbers, as it lies: nothing is copied or promoted."""
    try:
        array = value if isinstance(value, np.ndarray) else np.asarray(value)
    except (ValueError, TypeError) as error:
        raise TypeError(f"{name} must be an array, got {type(value).__name__}: {error}") from None
    _check_dtype(name, array.dtype)
    return array


def contiguous_pieces(block: np.ndarray, dtype: Any) -> Iterator[tuple[int, np.ndarray]]:
    """``block`` as matrices that compiled code can take, copied piece by piece where they must."""
    columns = block[:, None] if block.ndim == 1 else block
    if columns.flags.c_contiguous and columns.dtype == dtype and columns.dtype.isnative:
        yield 0, columns.view(np.ndarray)
        return
    step = max(1024, (_BLOCK_BYTES // (8 * max(1, columns.shape[1]))))
    for first in range(0, columns.shape[0], step):
        yield first, np.ascontiguousarray(columns[first : first + step], dtype)


def check_finite_rows(name: str, block: Any, start: int = 0) -> None:
    """Refuse NaN and infinity, naming the rows of A that hold them."""
    if issparse(block):
        finite = np.isfinite(block.data)
        bad = np.unique(np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))[~finite])
    elif is_torch_array(block):
        xp = frame_like(block.detach()).xp
        finite = xp.isfinite(xp.reshape(block.detach(), (block.shape[0], -1)))
        bad = np.flatnonzero(np.asarray((~xp.all(finite, axis=1)).cpu()))
    else:
        bad = np.flatnonzero(~np.isfinite(block.reshape(block.shape[0], -1)).all(axis=1))
    if bad.size:
        where = f"rows {start + bad[0]} to {start + bad[-1]}"
        raise ValueError(f"{name} must be finite, got NaN or infinity in {where}")


def _open_blocks(A: Iterable[Any], name: str) -> RowSource:
    iterator = iter(A)
    repeatable = iterator is not A
    try:
        first = next(iterator)
    except StopIteration:
        raise ValueError(f"{name}: there are no blocks") from None
    block = _as_block(name, first, 1)
    data = A if repeatable else _Rest(first, iterator)
    trailing = tuple(int(size) for size in block.shape[1:])
    return RowSource("blocks", name, None, trailing, _is_single(block), repeatable, data)


class _Rest:
    """An iterator with the element that was taken off to look at put in front again."""

    def __init__(self, first: Any, rest: Iterator[Any]) -> None:
        self._first, self._rest = first, rest

    def __iter__(self) -> Iterator[Any]:
        first, self._first = self._first, None
        if first is not None:
            yield first
        yield from self._rest


def _as_block(name: str, given: Any, number: int) -> Any:
    name = f"{name}: block {number}"
    if issparse(given):
        _check_dtype(name, given.dtype)
        block = csr_array(given)
        return block if block.dtype.kind == "f" else block.astype(float)
    frame, block = as_arrays(finite=False, **{name: given})
    check_real(name, block, frame)
    if block.ndim not in (1, 2):
        raise ValueError(f"{name} must have one or two axes, got shape {tuple(block.shape)}")
    return block


def _gathered(pairs: Iterator[tuple[int, Any]], step: int) -> Iterator[tuple[int, Any]]:
    """Put small blocks together until there are ``step`` rows."""
    held: list[Any] = []
    first = rows = 0
    for start, block in pairs:
        if not held:
            first, rows = start, 0
        held.append(block)
        rows += block.shape[0]
        if rows >= step:
            yield first, _joined(held)
            held = []
    if held:
        yield first, _joined(held)


def _joined(blocks: list[Any]) -> Any:
    if len(blocks) == 1:
        return blocks[0]
    if issparse(blocks[0]):
        return vstack(blocks, format="csr")
    return frame_like(blocks[0]).xp.concat(blocks, axis=0)


def _is_blocks(A: Any) -> bool:
    if isinstance(A, list | tuple):
        return bool(A) and (issparse(A[0]) or getattr(A[0], "ndim", 0) == 2)
    return (
        isinstance(A, Iterable) and not hasattr(A, "__array__") and not isinstance(A, str | bytes)
    )


def _is_single(block: Any) -> bool:
    return str(block.dtype).endswith("float32")


def _check_dtype(name: str, dtype: Any) -> None:
    if dtype.kind not in "iuf" or (dtype.kind == "f" and dtype.itemsize not in (4, 8)):
        raise TypeError(f"{name} must hold float32, float64 or integers, got dtype {dtype}")


def _width(shape: tuple[int, ...], *, past: bool = False) -> str:
    verb = "had" if past else "has"
    return f"{verb} {shape[1]} columns" if len(shape) == 2 else f"{verb} {len(shape)} axes"


@contextlib.contextmanager
def _bar(wanted: bool, total: int | None, name: str) -> Iterator[Any]:
    if not wanted:
        yield lambda rows: None
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="row", unit_scale=True, desc=f"reading {name}") as bar:
        yield bar.update
