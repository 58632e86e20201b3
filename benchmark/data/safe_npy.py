"""Read .npy files without trusting them: no code runs, and no header is believed unchecked.

numpy rebuilds a pickled array by calling whatever the file names. Here every name that such a file
may use is a stand-in of ours that only takes notes; arrays are then built from those notes with
checked sizes. Even numpy's own `dtype` is not handed out: a file can give it a state under which
raw bytes are taken for pointers.
"""

from __future__ import annotations

import math
import pickle
import re
from io import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, NoReturn

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from benchmark.data.guard import decoding
from benchmark.errors import DataError, UnsafeDataError

NUMERIC = re.compile(r"b1|[iu][1248]|f[248]")
MAX_SIDES = 4
SAVE_AGAIN = "save it again with numpy.save, as numbers or as an object array of arrays of numbers"
ALLOWED = """
    PROTO FRAME STOP MARK GLOBAL STACK_GLOBAL REDUCE BUILD NONE NEWTRUE NEWFALSE
    BININT BININT1 BININT2 LONG1 SHORT_BINUNICODE BINUNICODE SHORT_BINBYTES BINBYTES BINBYTES8
    EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS
    BINPUT LONG_BINPUT MEMOIZE BINGET LONG_BINGET
"""  # the instructions that numpy.save writes, and no more
OPCODES = frozenset(getattr(pickle, name)[0] for name in ALLOWED.split())


def read(path: Path) -> NDArray[Any]:
    """Return the array of a .npy file: a read-only memory map of numbers, or an object array.

    Elements of an object array are arrays of numbers or plain numbers. Raises `UnsafeDataError`
    where the file names anything but numpy arrays or promises more values than it holds, and
    `DataError` where it is damaged.
    """
    with decoding(path), path.open("rb") as stream:
        end = stream.seek(0, SEEK_END)
        stream.seek(0)
        version = npy.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise DataError(f"{path}: .npy version {version} is unknown; {SAVE_AGAIN}")
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = header(stream)
        if dtype.hasobject:
            array = _unpickle(stream, end, path)
            if array.dtype != object or array.shape != shape:
                raise UnsafeDataError(
                    f"{path}: header promises {shape} objects, not {array.dtype} {array.shape}"
                )
            return array
        if dtype.kind not in "biuf" or any(side < 0 for side in shape):
            raise DataError(f"{path}: {dtype} {shape} are not numbers; {SAVE_AGAIN}")
        promised, held = math.prod(shape) * dtype.itemsize, end - stream.tell()
        if promised != held:
            raise UnsafeDataError(
                f"{path}: header promises {shape} {dtype}, {promised} bytes, but {held} follow; "
                "the file is damaged: copy or download it again"
            )
        if not promised:
            return np.empty(shape, dtype)
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def _unpickle(stream: BinaryIO, end: int, path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = _value(_Unpickler(_Bounded(stream, end)).load())
    except UnsafeDataError as error:
        raise UnsafeDataError(f"{path}: {error}; {SAVE_AGAIN}, where you trust it") from error
    return array


class _Bounded:
    """A stream that never allocates for bytes which the file does not hold."""

    def __init__(self, stream: BinaryIO, end: int) -> None:
        self._stream, self._end = stream, end

    def read(self, size: int) -> bytes:
        left = self._end - self._stream.tell()
        if not 0 <= size <= left:
            raise UnsafeDataError(f"the pickle asks for {size} bytes where {left} are left")
        return self._stream.read(size)

    def readline(self) -> bytes:
        return self._stream.readline(256)


class _Unpickler(pickle._Unpickler):
    """Python's own unpickler, cut down to `OPCODES` and to the stand-ins below.

    The one written in Python, for its memo is a dict: the C one allocates as many slots as the
    file says.
    """

    dispatch: ClassVar = {
        code: method for code, method in pickle._Unpickler.dispatch.items() if code in OPCODES
    }

    def load(self) -> Any:
        try:
            return super().load()
        except KeyError as error:  # of the table above
            raise UnsafeDataError(
                f"the pickle uses the instruction {error}, which no numpy array needs"
            ) from error

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in STAND_INS:
            raise UnsafeDataError(
                f"the pickle asks for {module[:60]}.{name[:60]}, no part of an array; nothing ran"
            )
        return _Callable(STAND_INS[module, name])


class _Callable:
    """Stands for a function of numpy: may be called, and takes no state."""

    def __init__(self, function: Any) -> None:
        self._function = function

    def __call__(self, *arguments: object) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise UnsafeDataError("the pickle gives a function a state, which no numpy array needs")


def _ndarray(*_: object) -> NoReturn:
    """Stands for numpy.ndarray, only ever named as the first argument of _reconstruct."""
    raise UnsafeDataError("the pickle calls numpy.ndarray, which no numpy array needs")


class _Dtype:
    """Stands for numpy.dtype: dtype('i2', False, True).

    Its state (3, '<', None, None, None, -1, -1, 0) tells its byte order.
    """

    def __init__(self, code: object = None, *_: object) -> None:
        if not (isinstance(code, str) and (code in ("O", "O8", "O4") or NUMERIC.fullmatch(code))):
            raise UnsafeDataError("the pickle names a dtype that is neither numbers nor objects")
        self.code, self.order = code, "="

    def __setstate__(self, state: object) -> None:
        if not (isinstance(state, tuple) and len(state) >= 2 and state[1] in ("<", ">", "|", "=")):
            raise UnsafeDataError("the pickle gives a dtype a state that numpy does not write")
        self.order = state[1]


class _Array:
    """Stands for numpy's _reconstruct(ndarray, (0,), b'b'), which begins every pickled array.

    Its state is (1, shape, dtype, is_fortran, bytes or list).
    """

    array: NDArray[Any] | None = None

    def __init__(self, *_: object) -> None:
        """Take no notice of the arguments: they are always the same."""

    def __setstate__(self, state: object) -> None:
        if self.array is not None or not isinstance(state, tuple) or len(state) != 5:
            raise UnsafeDataError("the pickle gives an array a state that numpy does not write")
        _, shape, dtype, fortran, content = state
        if not (isinstance(shape, tuple) and len(shape) <= MAX_SIDES and all(map(_is_side, shape))):
            raise UnsafeDataError("the pickle gives an array a shape that is no tuple of sizes")
        flat = _flat(dtype, content)
        if math.prod(shape) != len(flat):
            raise UnsafeDataError(
                f"the pickle promises an array of {shape}, but holds {len(flat)} values"
            )
        self.array = flat.reshape(shape, order="F" if fortran is True else "C")


def _flat(dtype: object, content: object) -> NDArray[Any]:
    """Return the values of an array in one line: a view of the bytes, or the objects of a list."""
    if isinstance(dtype, _Dtype) and dtype.code.startswith("O") and isinstance(content, list):
        flat = np.empty(len(content), dtype=object)
        for i, element in enumerate(content):
            flat[i] = _value(element, nested=True)
        return flat
    if isinstance(dtype, _Dtype) and NUMERIC.match(dtype.code) and isinstance(content, bytes):
        return np.frombuffer(content, np.dtype(dtype.order + dtype.code))
    raise UnsafeDataError("the pickle gives an array a content that does not suit its dtype")


def _is_side(value: object) -> bool:
    return type(value) is int and value >= 0


def _scalar(*arguments: object) -> int | float:
    """Stands for numpy's scalar(dtype, bytes)."""
    if len(arguments) == 2 and isinstance(arguments[1], bytes):
        flat = _flat(*arguments)
        if len(flat) == 1:
            number: int | float = flat.item()
            return number
    raise UnsafeDataError("the pickle holds a scalar that is no number")


def _value(element: object, nested: bool = False) -> Any:
    """Return an element as an array of numbers or a number; only the outermost may hold objects."""
    if isinstance(element, _Array) and element.array is not None:
        if not (nested and element.array.dtype == object):
            return element.array
    elif nested and isinstance(element, int | float):
        return element
    kind = type(element).__name__.lstrip("_")
    raise UnsafeDataError(f"the pickle holds a {kind} where an array belongs")


STAND_INS = {
    ("numpy", "ndarray"): _ndarray,
    ("numpy", "dtype"): _Dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Array for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
}
