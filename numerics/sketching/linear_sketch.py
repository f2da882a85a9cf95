r"""What all sketches share: a random m x n matrix S with E[S^T S] = I that is never stored.

A sketch SA of a tall n x d matrix A keeps its geometry in m rows: with a subspace embedding,
:math:`\lVert SAx \rVert \approx \lVert Ax \rVert` for every x, so that
:math:`\min_x \lVert SAx - Sb \rVert` stands in for the least-squares problem of A and b. Sketches
are sums over rows,

.. math:: SA = \sum_{\text{blocks}} S_{:,\, i:j}\, A_{i:j},

and that is all a family has to provide: what a block of rows adds to SA, and the adjoint of that.
Random draws are attributes and can be handed to the constructor again, here or on another machine.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from array_api_compat import is_torch_array
from scipy.sparse import issparse
from scipy.sparse.linalg import LinearOperator

from numerics.arrays import Array, Frame, as_arrays, as_integer, check_real, frame_like
from numerics.sketching.row_blocks import check_finite_rows, contiguous_pieces, host_matrix

_CHUNK_BYTES = 1 << 24


@dataclass(frozen=True)
class Guarantee:
    r"""What is known of a sketch for regression with an :math:`\ell_\infty` guarantee.

    The guarantee meant is :math:`\lVert x' - x^* \rVert_\infty \le \tfrac{\varepsilon}{\sqrt d}
    \lVert Ax^* - b \rVert_2 \lVert A^+ \rVert_2` for the solution x' of the sketched problem.

    Attributes
    ----------
    statement : str
        One or two sentences: how many rows for what.
    status : {"proved", "claimed", "open", "fails"}
        "claimed" is a statement whose proof no one but its authors has checked, "open" one that is
        neither proved nor disproved, "fails" one with a counterexample.
    source : str
        Where it stands.

    Examples
    --------
    >>> from numerics import countsketch
    >>> countsketch(1000, 50, rng=0).guarantee.status
    'fails'
    """

    statement: str
    status: str
    source: str


class Sketch(ABC):
    r"""A random matrix S of shape (m, n) with :math:`\mathbb{E}[S^T S] = I`, applied not stored.

    The families are made by :func:`srht`, :func:`srct`, :func:`gaussian_sketch`,
    :func:`ams_sketch`, :func:`gaussian_pooled`, :func:`countsketch`, :func:`osnap` and
    :func:`tensor_srht`. ``S @ A`` is ``S.apply(A)``.

    Attributes
    ----------
    n, m : int
        Rows of what is sketched and of the sketch.
    kind : str
        The family.
    is_dense : bool
        Whether every row of S mixes all rows of A, which an :math:`\ell_\infty` guarantee needs.
    guarantee : Guarantee
        What is known of the guarantee, and from where.

    Examples
    --------
    A sketch is linear, and its adjoint is its transpose.

    >>> import numpy as np
    >>> from numerics import srht
    >>> S = srht(100, 20, rng=0)
    >>> x, y = np.arange(100.0), np.arange(20.0)
    >>> np.allclose(S @ x @ y, x @ S.apply_adjoint(y)), np.allclose(S @ x, S.to_dense() @ x)
    (True, True)
    """

    kind: str = ""
    is_dense: bool = True
    guarantee: Guarantee
    _draw_names: tuple[str, ...] = ()

    def __init__(self, n: int, m: int) -> None:
        self.n = n
        self.m = m

    @property
    def shape(self) -> tuple[int, int]:
        """(m, n)."""
        return (self.m, self.n)

    @property
    def fraction(self) -> float:
        """Share of the rows that are sampled, m/N without replacement, and 0 otherwise.

        Sampling without replacement shrinks variances by the factor ``1 - fraction``.
        """
        return 0.0

    @property
    def draws(self) -> dict[str, Any]:
        """What the constructor takes beside the sizes to make this sketch again."""
        return {name: getattr(self, name) for name in self._draw_names}

    def __repr__(self) -> str:
        return f"<{self.kind} sketch, {self.m} x {self.n}>"

    def __matmul__(self, A: Array) -> Array:
        return self.apply(A)

    def apply(self, A: Array) -> Array:
        """Sketch SA.

        Parameters
        ----------
        A : array or sparse matrix, shape (n,) or (n, d)
            Real; NumPy, torch or scipy.sparse. Torch results are differentiable.

        Returns
        -------
        array, shape (m,) or (m, d)
            Kind, device and precision of A; a NumPy array for a sparse one.

        Raises
        ------
        TypeError
            For complex and other numbers that are not real.
        ValueError
            For another number of rows, and values that are not finite; the message has the rows.
        """
        return self._add_rows("A", 0, A, None, whole=True)

    def apply_rows(self, start: int, block: Array, out: Array | None = None) -> Array:
        """Contribution of rows ``start`` onwards to SA; over all rows these sum to SA.

        Parameters
        ----------
        start : int
            Index of the first row of ``block`` in A.
        block : array or sparse matrix, shape (k,) or (k, d)
            Rows start to start + k of A.
        out : array, shape (m,) or (m, d), optional
            To add to, in place; a new array without it.

        Returns
        -------
        array, shape (m,) or (m, d)
            ``out``.

        Raises
        ------
        ValueError
            For rows beyond n, an ``out`` that does not fit, and values that are not finite.
        """
        return self._add_rows("block", as_integer("start", start, minimum=0), block, out)

    def apply_adjoint(self, Y: Array) -> Array:
        r"""Product :math:`S^T Y`.

        Parameters
        ----------
        Y : array, shape (m,) or (m, k)
            Real; NumPy or torch.

        Returns
        -------
        array, shape (n,) or (n, k)
            Kind, device and precision of Y; differentiable.

        Raises
        ------
        ValueError
            For another number of rows, and values that are not finite.
        """
        frame, Y = as_arrays(Y=Y)
        check_real("Y", Y, frame)
        if Y.ndim not in (1, 2) or Y.shape[0] != self.m:
            raise ValueError(f"Y must have {self.m} rows, got shape {tuple(Y.shape)}")
        columns = frame.xp.reshape(Y, (self.m, -1)) if Y.ndim == 1 else Y
        if frame.is_torch:
            from numerics.sketching._torch_sketching import AdjointRows

            result = AdjointRows.apply(columns, self, 0, self.n)
        else:
            result = self._adjoint_rows(0, self.n, np.ascontiguousarray(columns))
        return frame.xp.reshape(result, (self.n, *Y.shape[1:]))

    def to_dense(self, *, like: Array | None = None) -> Array:
        """S as an array, for tests and for small n.

        Parameters
        ----------
        like : array, optional
            Gives the kind, device and precision; NumPy in float64 without it.

        Returns
        -------
        array, shape (m, n)
            Its entries.
        """
        frame = frame_like(like)
        dense = np.ascontiguousarray(self._adjoint_rows(0, self.n, np.eye(self.m)).T)
        return frame.cast(frame.asarray(dense))

    def as_linear_operator(self) -> LinearOperator:
        """S as a SciPy operator in float64, with adjoint.

        Returns
        -------
        scipy.sparse.linalg.LinearOperator
            Of shape (m, n).
        """
        return LinearOperator(
            self.shape,
            matvec=self.apply,
            rmatvec=self.apply_adjoint,
            matmat=self.apply,
            rmatmat=self.apply_adjoint,
            dtype=np.float64,
        )

    @abstractmethod
    def _accumulate(self, start: int, block: np.ndarray, out: np.ndarray, threads: int) -> None:
        """Add S[:, start : start + k] @ block to ``out``; contiguous, of one float type."""

    @abstractmethod
    def _adjoint_rows(self, start: int, stop: int, Y: np.ndarray) -> np.ndarray:
        """S[:, start:stop].T @ Y for a contiguous Y, in its precision."""

    @abstractmethod
    def _device_rows(self, start: int, block: Array) -> Array:
        """S[:, start : start + k] @ block for a torch tensor, on its device."""

    @abstractmethod
    def _device_adjoint_rows(self, start: int, stop: int, Y: Array) -> Array:
        """S[:, start:stop].T @ Y for a torch tensor, on its device."""

    def _sparse_rows(self, start: int, block: Any) -> np.ndarray:
        """S[:, start : start + k] @ block for a sparse block; without structure, made dense."""
        out = np.zeros((self.m, block.shape[1]), block.dtype)
        step = max(1, _CHUNK_BYTES // (8 * max(1, block.shape[1])))
        for first in range(0, block.shape[0], step):
            dense = np.ascontiguousarray(block[first : first + step].toarray())
            self._accumulate(start + first, dense, out, 0)
        return out

    def _add_rows(
        self,
        name: str,
        start: int,
        block: Array,
        out: Array | None,
        *,
        whole: bool = False,
        threads: int = 0,
    ) -> Array:
        frame: Frame
        if issparse(block) or not is_torch_array(block):
            block = block.tocsr() if issparse(block) else host_matrix(name, block)
            frame = frame_like(np.zeros(1, np.float32 if block.dtype == np.float32 else float))
        else:
            frame, block = as_arrays(finite=False, **{name: block})
            check_real(name, block, frame)
        self._check_rows(name, start, tuple(block.shape), whole)
        trailing = tuple(block.shape[1:])
        if out is not None:
            self._check_out(frame, out, trailing)
        with np.errstate(invalid="ignore", over="ignore"):  # told below, with the rows
            partial = self._partial(frame, name, start, block, out, threads)
        if not _finite(partial):
            check_finite_rows(name, block, start)
            raise ValueError(f"{name} is too large: its sketch is not finite")
        return partial

    def _partial(
        self, frame: Frame, name: str, start: int, block: Any, out: Any, threads: int
    ) -> Array:
        trailing = tuple(block.shape[1:])
        if issparse(block):
            dtype = np.float32 if frame.single else np.float64
            if block.dtype.kind not in "iuf":
                raise TypeError(f"{name} must hold real numbers, got dtype {block.dtype}")
            partial = self._sparse_rows(start, block.astype(dtype, copy=False))
            return partial if out is None else np.add(out, partial, out=out)
        if frame.is_torch:
            from numerics.sketching._torch_sketching import SketchRows

            columns = frame.xp.reshape(block, (block.shape[0], -1)) if block.ndim == 1 else block
            partial = frame.xp.reshape(SketchRows.apply(columns, self, start), (self.m, *trailing))
            return partial if out is None else out.add_(partial)
        if out is None:
            out = np.zeros((self.m, *trailing), np.float32 if frame.single else np.float64)
        target = out if out.flags.c_contiguous else np.zeros_like(out, order="C")
        columns = target.reshape(self.m, -1)
        for first, piece in contiguous_pieces(block, out.dtype):
            self._accumulate(start + first, piece, columns, threads)
        if target is not out:
            out += target
        return out

    def _check_rows(self, name: str, start: int, shape: tuple[int, ...], whole: bool) -> None:
        if len(shape) not in (1, 2):
            raise ValueError(f"{name} must have one or two axes, got shape {shape}")
        if whole and shape[0] != self.n:
            raise ValueError(f"{name} must have {self.n} rows, got shape {shape}")
        if start + shape[0] > self.n:
            raise ValueError(
                f"{name} must end by row {self.n}, got rows {start} to {start + shape[0]}"
            )

    def _check_out(self, frame: Frame, out: Array, trailing: tuple[int, ...]) -> None:
        if is_torch_array(out) != frame.is_torch:
            raise TypeError("out must be an array of the library of block")
        if tuple(out.shape) != (self.m, *trailing):
            raise ValueError(f"out must have shape {(self.m, *trailing)}, got {tuple(out.shape)}")
        if out.dtype != frame.real:
            raise TypeError(f"out must have the precision of block, got dtype {out.dtype}")


def check_sizes(n: Any, m: Any, *, largest: int | None = None) -> tuple[int, int]:
    """Read n and m as integers at least 1, and refuse an m above ``largest``."""
    n, m = as_integer("n", n, minimum=1), as_integer("m", m, minimum=1)
    if largest is not None and m > largest:
        raise ValueError(f"m must be at most {largest}, got {m}")
    return n, m


def as_signs(name: str, values: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Read given signs as int8, refusing all that is not +1 or -1."""
    signs = np.asarray(values)
    if signs.shape != shape or signs.dtype.kind not in "iuf" or not np.all(np.abs(signs) == 1):
        raise ValueError(f"{name} must hold +1 and -1 in shape {shape}, got shape {signs.shape}")
    return signs.astype(np.int8)


def as_rows(name: str, values: Any, shape: tuple[int, ...], limit: int) -> np.ndarray:
    """Read given row numbers as intp below ``limit``."""
    rows = np.asarray(values)
    if rows.dtype.kind not in "iu":
        raise TypeError(f"{name} must hold integers, got dtype {rows.dtype}")
    if rows.shape != shape or (rows.size and not 0 <= rows.min() <= rows.max() < limit):
        raise ValueError(
            f"{name} must hold integers from 0 to {limit - 1} in shape {shape}, "
            f"got shape {rows.shape}"
        )
    return rows.astype(np.intp)


def draw_signs(rng: np.random.Generator, shape: int | tuple[int, ...]) -> np.ndarray:
    """Independent fair signs, eight from a random byte."""
    count = int(np.prod(shape))
    bits = np.unpackbits(np.frombuffer(rng.bytes((count + 7) // 8), np.uint8), count=count)
    return (1 - 2 * bits.astype(np.int8)).reshape(shape)


def _finite(array: Array) -> bool:
    if not is_torch_array(array):
        return bool(np.isfinite(array).all())
    return frame_like(array.detach()).all_finite(array)
