r"""Sketching a matrix from wherever its rows are, in one pass.

:math:`SA = \sum S_{:,\,i:j} A_{i:j}` over blocks of rows, so that A need not fit in memory, and
rows that lie on several machines are sketched there and only the m x d results are added.
"""

from __future__ import annotations

import functools
import operator
from typing import Any

import numpy as np

from numerics.arrays import Array, as_integer
from numerics.sketching.linear_sketch import Sketch
from numerics.sketching.row_blocks import RowSource, open_rows


def sketch(
    A: Any, op: Sketch, *, block_rows: int | None = None, progress: bool | None = None
) -> Array:
    r"""Sketch SA of a matrix that is read once, block by block.

    Parameters
    ----------
    A : array, sparse matrix, dask array or iterable of row blocks, shape (n,) or (n, d)
        NumPy (memory-mapped or not), torch, scipy.sparse or dask; or row blocks in order, of one
        kind and width. The chunks of a dask array are sketched where they are.
    op : Sketch
        With n rows of A.
    block_rows : int, optional
        Rows to read at a time; by default arrays in memory are taken whole, and others in blocks of
        some 16 MiB.
    progress : bool, optional
        Show a bar; by default for memory-mapped arrays and iterables over 1 GiB.

    Returns
    -------
    array, shape (m,) or (m, d)
        NumPy, or torch with the device of A. float32 when A is.

    Raises
    ------
    TypeError
        For numbers that are not real, and blocks of different kinds.
    ValueError
        For another number of rows, blocks that change their width or end early, and values that
        are not finite; the message has the rows.

    Examples
    --------
    It does not matter in what pieces the rows come.

    >>> import numpy as np
    >>> from numerics import srht
    >>> A = np.arange(300.0).reshape(100, 3) % 7
    >>> S = srht(100, 16, rng=0)
    >>> np.allclose(sketch((A[i : i + 30] for i in range(0, 100, 30)), S), S @ A)
    True
    """
    if not isinstance(op, Sketch):
        raise TypeError(f"op must be a Sketch, got {type(op).__name__}")
    if block_rows is not None:
        block_rows = as_integer("block_rows", block_rows, minimum=1)
    source = open_rows(A)
    if source.rows is not None and source.rows != op.n:
        shape = (source.rows, *source.trailing)
        raise ValueError(f"A must have {op.n} rows, got shape {shape}")
    if source.kind == "dask":
        return _sum_of_parts(source, op)
    in_memory = source.kind in ("numpy", "torch", "sparse") and not isinstance(A, np.memmap)
    if in_memory and block_rows is None and not progress:
        return op.apply(A)
    total = None
    for start, block in source.blocks(block_rows, expected=op.n, progress=progress):
        if total is None or not isinstance(total, np.ndarray):
            partial = op._add_rows("A", start, block, None)
            total = partial if total is None else total + partial
        else:
            total = op._add_rows("A", start, block, total)
    return total


def _sum_of_parts(source: RowSource, op: Sketch) -> np.ndarray:
    from dask.delayed import delayed

    partial = delayed(_part, pure=False)
    parts = [partial(op, start, block, source.single) for start, block in source.parts()]
    while len(parts) > 1:
        parts = [
            delayed(functools.reduce, pure=False)(operator.add, parts[i : i + 8])
            for i in range(0, len(parts), 8)
        ]
    return parts[0].compute()


def _part(op: Sketch, start: int, block: Any, single: bool) -> np.ndarray:
    """One chunk, in one thread: the scheduler decides how many run beside each other."""
    host = np.asarray(block, np.float32 if single else np.float64)
    return op._add_rows("A", start, host, None, threads=1)
