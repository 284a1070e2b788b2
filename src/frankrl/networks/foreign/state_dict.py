"""The program with which PyTorch stores the names and shapes of a state dict.

PyTorch stores them as a small stack program in Python's own format for objects. A general reader
of that format lets the program import and call anything. This one knows the few instructions and
the three names that a state dict of float32 tensors needs, and refuses every other one. A name
stays a text: nothing is imported, and nothing that the program names is called.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from frankrl.core.errors import SettingError
from frankrl.core.text import shown

MAX_PROGRAM_BYTES = 1 << 18
"""A tensor takes about 150 bytes, so two networks of 400 layers fit."""
_MAX_TEXT_BYTES = 1_000
_MAX_NUMBER_BYTES = 8
_MAX_DIMENSIONS = 8
_DICT, _TENSOR, _FLOATS = (
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch FloatStorage",
)
_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False, b")": ()}
_NUMBERS = {b"K": (1, False), b"M": (2, False), b"J": (4, True)}
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}
_SAVES, _LOADS = {b"q": 1, b"r": 4}, {b"h": 1, b"j": 4}
_REFUSED = {
    b"\x93": "STACK_GLOBAL",
    b"i": "INST",
    b"o": "OBJ",
    b"\x81": "NEWOBJ",
    b"\x92": "NEWOBJ_EX",
    b"\x82": "EXT1",
    b"\x83": "EXT2",
    b"\x84": "EXT4",
    b"P": "PERSID",
}
"""Names of instructions that import or call something, or could."""


class StoredTensor(NamedTuple):
    """A float32 tensor of a state dict: where its numbers lie, in row-major order."""

    storage: str
    """Number of the storage, in digits."""
    storage_size: int
    """Numbers in the storage."""
    offset: int
    """Numbers before the tensor's first one."""
    shape: tuple[int, ...]


class _Name(NamedTuple):
    """A name that the program imports; here it is only a text."""

    text: str


class _Storage(NamedTuple):
    number: str
    size: int


def read_state_dict(program: bytes) -> dict[str, StoredTensor]:
    """The tensors of a state dict by name.

    Args:
        program: at most `MAX_PROGRAM_BYTES`.

    Raises:
        SettingError: it is damaged, or no state dict of float32 tensors.
    """
    found = _Program(program).result()
    if not isinstance(found, dict):
        raise SettingError("its program makes no state dict")
    for name, value in found.items():
        if not isinstance(value, StoredTensor):
            raise SettingError(f"its entry {shown(name)!r} is no tensor")
    return found


class _Program:
    """A program being read: its stack, and the values that it saved under a number."""

    def __init__(self, program: bytes) -> None:
        self._program, self._at = program, 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._saved: dict[int, Any] = {}
        self._others: dict[bytes, Callable[[], None]] = {
            b"\x80": self._check_protocol,
            b"c": self._name,
            b"X": self._text,
            b"\x8a": self._long_number,
            b"(": lambda: self._marks.append(len(self._stack)),
            b"}": lambda: self._stack.append({}),
            b"t": lambda: self._stack.append(tuple(self._down_to_mark())),
            b"s": self._set_one,
            b"u": self._set_several,
            b"Q": self._find_storage,
            b"R": self._build,
            b"b": self._set_attributes,
        }

    def result(self) -> Any:
        """What the program leaves on its stack."""
        while (code := self._bytes(1)) != b".":
            self._do(code)
        if len(self._stack) != 1 or self._marks:
            raise SettingError("its program does not end with one value")
        return self._stack[0]

    def _do(self, code: bytes) -> None:
        if code in _CONSTANTS:
            self._stack.append(_CONSTANTS[code])
        elif code in _NUMBERS:
            size, signed = _NUMBERS[code]
            self._stack.append(self._number(size, signed=signed))
        elif code in _TUPLES:
            self._stack.append(tuple(reversed([self._pop() for _ in range(_TUPLES[code])])))
        elif code in _SAVES:
            value = self._pop()
            self._stack.append(value)
            self._saved[self._number(_SAVES[code])] = value
        elif code in _LOADS:
            number = self._number(_LOADS[code])
            if number not in self._saved:
                raise SettingError(f"its program reads value {number:,}, which it never saved")
            self._stack.append(self._saved[number])
        elif code in self._others:
            self._others[code]()
        else:
            name = _REFUSED.get(code, f"0x{code[0]:02x}")
            raise SettingError(f"its program has the instruction {name}, which is not run")

    def _bytes(self, count: int) -> bytes:
        part = self._program[self._at : self._at + count]
        if len(part) != count:
            raise SettingError("its program ends too early")
        self._at += count
        return part

    def _number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self._bytes(size), "little", signed=signed)

    def _pop(self) -> Any:
        if len(self._stack) <= (self._marks[-1] if self._marks else 0):
            raise SettingError("its program takes a value where there is none")
        return self._stack.pop()

    def _down_to_mark(self) -> list[Any]:
        if not self._marks:
            raise SettingError("its program goes back to a mark that it never set")
        mark = self._marks.pop()
        values = self._stack[mark:]
        del self._stack[mark:]
        return values

    def _check_protocol(self) -> None:
        if (protocol := self._number(1)) != 2:
            raise SettingError(f"its program has protocol {protocol}, PyTorch writes 2")

    def _name(self) -> None:
        parts = [self._line(), self._line()]
        name = b" ".join(parts).decode("ascii", "backslashreplace")
        if name not in (_DICT, _TENSOR, _FLOATS):
            raise SettingError(
                f"its program names {shown(name)!r}, and only {_DICT}, {_TENSOR} and {_FLOATS} "
                "are known here: nothing is imported"
            )
        self._stack.append(_Name(name))

    def _line(self) -> bytes:
        end = self._program.find(b"\n", self._at, self._at + _MAX_TEXT_BYTES)
        if end < 0:
            raise SettingError("its program holds a name without an end")
        line = self._bytes(end - self._at)
        self._bytes(1)
        return line

    def _text(self) -> None:
        length = self._number(4)
        if length > _MAX_TEXT_BYTES:
            raise SettingError(f"its program holds a text of {length:,} bytes")
        try:
            self._stack.append(self._bytes(length).decode())
        except UnicodeDecodeError:
            raise SettingError("its program holds a text that is not UTF-8") from None

    def _long_number(self) -> None:
        length = self._number(1)
        if length > _MAX_NUMBER_BYTES:
            raise SettingError(f"its program holds a number of {length} bytes")
        self._stack.append(self._number(length, signed=True))

    def _set_one(self) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _set_several(self) -> None:
        self._set(self._down_to_mark())

    def _set(self, keys_and_values: list[Any]) -> None:
        target = self._pop()
        self._stack.append(target)
        keys, values = keys_and_values[::2], keys_and_values[1::2]
        known = isinstance(target, dict) and len(keys) == len(values)
        if not known or not all(isinstance(key, str) for key in keys):
            raise SettingError("its program sets entries of something else than a dictionary")
        target.update(zip(keys, values, strict=True))

    def _find_storage(self) -> None:
        match self._pop():
            case ("storage", _Name(text), str(number), str(), int(size)) if text == _FLOATS:
                self._stack.append(_Storage(number, size))
            case _:
                raise SettingError("its program asks for something else than stored numbers")

    def _build(self) -> None:
        """A call, of which two are known: an empty dictionary, and a tensor."""
        arguments, called = self._pop(), self._pop()
        if not isinstance(called, _Name) or not isinstance(arguments, tuple):
            raise SettingError("its program has the instruction REDUCE for something without name")
        if called.text == _DICT and not arguments:
            self._stack.append({})
        elif called.text == _TENSOR:
            self._stack.append(_tensor(arguments))
        else:
            raise SettingError(
                f"its program has the instruction REDUCE for {called.text!r} with "
                f"{len(arguments)} arguments, which is not run"
            )

    def _set_attributes(self) -> None:
        """The versions of a state dict's modules, which are not needed."""
        if not isinstance(self._pop(), dict):
            raise SettingError("its program has the instruction BUILD, which is not run")
        target = self._pop()
        if not isinstance(target, dict):
            raise SettingError("its program has the instruction BUILD, which is not run")
        self._stack.append(target)


def _tensor(arguments: tuple[Any, ...]) -> StoredTensor:
    match arguments:
        case (_Storage(number, size), offset, tuple(shape), tuple(strides), *_) if (
            all(type(value) is int and value >= 0 for value in (offset, *shape, *strides))
            and 0 not in shape
            and len(shape) == len(strides) <= _MAX_DIMENSIONS
        ):
            pass
        case _:
            raise SettingError("its program describes a tensor that is not valid")
    count, expected = 1, []
    for length in reversed(shape):
        expected.insert(0, count)
        count *= length
    steps = zip(shape, strides, expected, strict=True)
    if any(length > 1 and stride != right for length, stride, right in steps):
        raise SettingError("it holds a tensor whose numbers do not lie in row-major order")
    if offset + count > size:
        raise SettingError(
            f"it holds a tensor of shape {list(shape)} in {size:,} numbers, which are too few"
        )
    return StoredTensor(number, size, offset, shape)
