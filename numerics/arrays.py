r"""The front door: one place that decides what an argument is and what a result will be.

Every public function passes its array arguments through :func:`as_arrays` and gets back a
:class:`Frame` (namespace, device, precision) and the arguments as arrays of that frame.
What a caller may rely on:

* NumPy in, NumPy out; torch in, torch out on the same device. The two are never mixed.
* float32 and complex64 stay single precision, everything else is double. Integers are promoted to
  float64; booleans, strings and objects are refused.
* A Python or NumPy scalar keeps double precision whatever the precision of the arrays beside it;
  a 0-d array keeps its own and does not change theirs.
* NaN and infinity are refused, with the name of the argument.

Supporting another array library means teaching this file about it.
"""

from __future__ import annotations

import cmath
import math
import operator
import sys
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import array_api_compat
import array_api_compat.numpy
import numpy as np

Array = Any

_SHARED_OUT = 2**15  # numbers from which on torch starts threads

_ACCEPTED = "float32, float64, complex64, complex128 or integers"


@dataclass(frozen=True)
class Frame:
    """Where arrays live: their namespace, device and precision.

    Attributes
    ----------
    xp : module
        Array API namespace (``array_api_compat.numpy`` or ``array_api_compat.torch``).
    device : object
        Device of the arrays.
    single : bool
        Whether results are float32 / complex64.
    """

    xp: Any
    device: Any
    single: bool

    @property
    def is_numpy(self) -> bool:
        """Whether the arrays are NumPy arrays."""
        return bool(array_api_compat.is_numpy_namespace(self.xp))

    @property
    def is_torch(self) -> bool:
        """Whether the arrays are torch tensors."""
        return bool(array_api_compat.is_torch_namespace(self.xp))

    @property
    def real(self) -> Any:
        """Real dtype of results."""
        return self.xp.float32 if self.single else self.xp.float64

    @property
    def complex(self) -> Any:
        """Complex dtype of results."""
        return self.xp.complex64 if self.single else self.xp.complex128

    def is_complex(self, array: Array) -> bool:
        """Whether ``array`` has a complex dtype."""
        return bool(self.xp.isdtype(array.dtype, "complex floating"))

    def cast(self, array: Array) -> Array:
        """Bring ``array`` to the frame's precision; real stays real, complex stays complex."""
        return self.xp.astype(
            array, self.complex if self.is_complex(array) else self.real, copy=False
        )

    def double(self, array: Array) -> Array:
        """Bring ``array`` to double precision; real stays real, complex stays complex."""
        dtype = self.xp.complex128 if self.is_complex(array) else self.xp.float64
        return self.xp.astype(array, dtype, copy=False)

    def common_dtype(self, *arrays: Array) -> tuple[Array, ...]:
        """All ``arrays`` complex when one of them is; precision is kept."""
        if not any(self.is_complex(array) for array in arrays):
            return arrays
        xp = self.xp
        return tuple(
            array
            if self.is_complex(array)
            else xp.astype(array, xp.complex64 if array.dtype == xp.float32 else xp.complex128)
            for array in arrays
        )

    def has_values(self, array: Array) -> bool:
        """Whether there are values to look at: there are none inside a torch transform."""
        if not self.is_torch:
            return True
        torch = sys.modules["torch"]
        return not (
            torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(array)
        )

    def runs_on_host(self, *arrays: Array) -> bool:
        """Whether compiled host code may take ``arrays``: NumPy, or CPU tensors without gradient.

        Tensors inside ``torch.compile`` or a ``torch.func`` transform have no memory to read.
        """
        if self.is_numpy:
            return True
        if not self.is_torch or self.device.type != "cpu":
            return False
        return all(self.has_values(array) and not array.requires_grad for array in arrays)

    def all_finite(self, array: Array) -> bool:
        """Whether no value is NaN or infinite.

        A sum is finite only if all its terms are; one that is not may have overflowed. Torch adds
        in a fraction of the time that its ``isfinite`` takes, but what it would share out between
        threads of the host is read faster by NumPy's, which waits for none.
        """
        if self.is_torch:
            array = array.detach()
            large = array.device.type == "cpu" and array.numel() >= _SHARED_OUT
            if not large and cmath.isfinite(array.sum().item()):
                return True
            if array.device.type != "cpu":
                return bool(self.xp.all(self.xp.isfinite(array)))
            array = (array.conj() if array.is_conj() else array).resolve_neg().numpy()
        if array.ndim and array.strides[-1] == array.itemsize:
            array = array.view(array.real.dtype)
        return bool(np.all(np.isfinite(array)))

    def to_host(self, *arrays: Array) -> tuple[Frame, tuple[np.ndarray, ...]]:
        """View arrays for which :meth:`runs_on_host` holds as NumPy, with the frame they are in."""
        return Frame(array_api_compat.numpy, "cpu", self.single), tuple(map(np.asarray, arrays))

    def from_host(self, array: np.ndarray) -> Array:
        """Hand a NumPy array of :meth:`to_host`'s frame back as one of this frame, uncopied."""
        return self.xp.asarray(array, device=self.device)

    def asarray(self, values: Any) -> Array:
        """Double-precision array in this frame from host values (NumPy arrays, lists, scalars)."""
        host = np.asarray(values)
        host = host.astype(np.complex128 if np.iscomplexobj(host) else np.float64, copy=False)
        return self.xp.asarray(host, device=self.device)


def as_arrays(*, finite: bool = True, **arguments: Any) -> tuple[Any, ...]:
    """Resolve named arguments to one frame.

    Parameters
    ----------
    finite : bool
        Refuse NaN and infinity.
    **arguments : array_like or None
        The arguments by name. ``None`` passes through. Scalars become 0-d arrays in double
        precision; neither they nor 0-d arrays take part in choosing the precision of results.

    Returns
    -------
    frame : Frame
    *arrays : array
        The arguments in the order given; those with axes are brought to the frame's precision.

    Raises
    ------
    TypeError
        For booleans, strings, objects, half or extended precision, and mixed array libraries.
    ValueError
        For tensors on different devices, and for values that are not finite.

    Examples
    --------
    >>> import numpy as np
    >>> frame, u, dt = as_arrays(u=np.ones(3, np.float32), dt=0.02)
    >>> u.dtype.name, dt.dtype.name, frame.single
    ('float32', 'float64', True)
    """
    scalars, arrays = {}, {}
    for name, value in arguments.items():
        if value is None:
            continue
        if _is_scalar(value):
            scalars[name] = _checked_scalar(name, value)
        elif array_api_compat.is_torch_array(value):
            arrays[name] = value
        else:
            arrays[name] = _from_host(name, value)
    frame = _frame_of(arrays)
    resolved: dict[str, Array] = {name: frame.asarray(value) for name, value in scalars.items()}
    for name, array in arrays.items():
        array = _promoted(frame, name, array)
        resolved[name] = array if array.ndim == 0 else frame.cast(array)
    if finite:
        for name, array in resolved.items():
            check_finite(name, array, frame)
    return (frame, *(resolved.get(name) for name in arguments))


def frame_like(like: Array | None) -> Frame:
    """Frame of the array ``like``; NumPy in double precision when ``like`` is None."""
    if like is None:
        return _frame_of({})
    return as_arrays(finite=False, like=like)[0]


def check_finite(name: str, array: Array, frame: Frame) -> None:
    """Refuse NaN and infinity. Inside a torch transform there are no values to look at."""
    if frame.has_values(array) and not frame.all_finite(array):
        raise ValueError(f"{name} must be finite, got NaN or infinity")


def check_real(name: str, array: Array, frame: Frame) -> None:
    """Refuse complex values."""
    if frame.is_complex(array):
        raise TypeError(f"{name} must be real, got dtype {array.dtype}")


def check_positive(name: str, array: Array, frame: Frame) -> None:
    """Refuse complex, zero and negative values."""
    check_real(name, array, frame)
    if frame.has_values(array) and not bool(frame.xp.all(array > 0)):
        raise ValueError(f"{name} must be positive, got {_preview(array)}")


def check_shape(name: str, array: Array, *trailing: int | str) -> None:
    """Check the last axes of ``array``; integers are sizes, strings are names of free sizes.

    Examples
    --------
    >>> import numpy as np
    >>> check_shape("A", np.ones((3, 4)), "N", "N")
    Traceback (most recent call last):
    ...
    ValueError: A must have shape (..., N, N), got (3, 4)
    """
    shape = tuple(array.shape)
    last = shape[len(shape) - len(trailing) :] if len(shape) >= len(trailing) else None
    sizes: dict[str, int] = {}
    if last is not None and all(
        size == wanted if isinstance(wanted, int) else sizes.setdefault(wanted, size) == size
        for size, wanted in zip(last, trailing, strict=True)
    ):
        return
    raise ValueError(f"{name} must have shape (..., {', '.join(map(str, trailing))}), got {shape}")


def broadcast_batch(**shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Broadcast batch shapes, naming the arguments when they do not fit."""
    try:
        return np.broadcast_shapes(*shapes.values())
    except ValueError:
        listing = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ValueError(f"batch axes do not broadcast: {listing}") from None


def check_choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Refuse a value that is not one of ``choices``, listing them."""
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(sorted(choices))}; got {value!r}")


def as_integer(name: str, value: Any, *, minimum: int) -> int:
    """Read an integer at least ``minimum``; anything else is an error."""
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if number < minimum:
        raise ValueError(f"{name} must be at least {minimum}, got {number}")
    return number


def as_float(name: str, value: Any, *, positive: bool = False) -> float:
    """Read a finite real number as a Python float, positive when asked."""
    if isinstance(value, bool | np.bool_ | str | bytes):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a real number, got {value!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {number}")
    if positive and number <= 0:
        raise ValueError(f"{name} must be positive, got {number}")
    return number


def as_generator(rng: Any) -> np.random.Generator:
    """Make a ``numpy.random.Generator`` of a generator, a seed, None or a ``torch.Generator``.

    A ``torch.Generator`` gives the seed by one draw, so it advances as it would for any sample.

    Examples
    --------
    >>> as_generator(7).integers(100) == as_generator(7).integers(100)
    np.True_
    """
    if "torch" in sys.modules:
        torch = sys.modules["torch"]
        if isinstance(rng, torch.Generator):
            draw = torch.randint(2**63 - 1, (), generator=rng, device=rng.device)
            return np.random.default_rng(int(draw))
    if isinstance(rng, bool | np.bool_ | str | bytes | float):
        raise TypeError(f"rng must be a Generator, an integer seed or None, got {rng!r}")
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        message = f"rng must be a Generator, an integer seed or None, got {rng!r}"
        raise type(error)(message) from None


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool | int | float | complex | np.generic)


def _checked_scalar(name: str, value: Any) -> Any:
    if isinstance(value, bool) or np.asarray(value).dtype.kind not in "iufc":
        raise TypeError(f"{name} must hold {_ACCEPTED}, got {value!r}")
    return value


def _from_host(name: str, value: Any) -> np.ndarray:
    try:
        array = np.asarray(value)
    except (ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be an array, got {type(value).__name__}: {error}") from None
    if array.dtype.kind not in "iufc":
        raise TypeError(f"{name} must hold {_ACCEPTED}, got dtype {array.dtype}")
    return array


def _frame_of(arrays: dict[str, Array]) -> Frame:
    if not arrays:
        return Frame(array_api_compat.numpy, "cpu", single=False)
    kinds = {name: array_api_compat.is_torch_array(array) for name, array in arrays.items()}
    if len(set(kinds.values())) > 1:
        listing = ", ".join(f"{name} {'torch' if t else 'numpy'}" for name, t in kinds.items())
        raise TypeError(f"arguments mix array libraries: {listing}")
    xp = array_api_compat.array_namespace(*arrays.values())
    devices = {name: array_api_compat.device(array) for name, array in arrays.items()}
    if len(set(devices.values())) > 1:
        listing = ", ".join(f"{name} on {device}" for name, device in devices.items())
        raise ValueError(f"arguments live on different devices: {listing}")
    deciding = [array for array in arrays.values() if array.ndim] or list(arrays.values())
    single = all(array.dtype in (xp.float32, xp.complex64) for array in deciding)
    return Frame(xp, next(iter(devices.values())), single)


def _promoted(frame: Frame, name: str, array: Array) -> Array:
    xp = frame.xp
    if xp.isdtype(array.dtype, "integral"):
        return xp.astype(array, xp.float64)
    if array.dtype not in (xp.float32, xp.float64, xp.complex64, xp.complex128):
        raise TypeError(f"{name} must hold {_ACCEPTED}, got dtype {array.dtype}")
    return array


def _preview(array: Array) -> str:
    return f"{float(array)}" if array.ndim == 0 else f"an array with minimum {float(array.min())}"
