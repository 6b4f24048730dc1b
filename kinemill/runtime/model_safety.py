"""Safety of a model folder: no file may run code or read other files when it is opened.

An ONNX file is parsed as bytes before ONNX Runtime opens it, since a robot may lack the `onnx`
package. https://protobuf.dev/programming-guides/encoding, and the field numbers
of https://github.com/onnx/onnx/blob/main/onnx/onnx.proto.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kinemill.errors import BadInput

# Formats that may run code, and libraries of operators.
PICKLES = (".pkl", ".pickle", ".joblib", ".dill", ".pt", ".pth", ".ckpt")
LIBRARIES = (".so", ".dll", ".dylib", ".pyd", ".ort")
MLMODEL = "MLmodel"
OWN_LOADER = "mlflow.onnx"  # loads the file with ONNX Runtime
DOMAINS = (b"", b"ai.onnx", b"ai.onnx.ml", b"com.microsoft", b"com.microsoft.nchwc")
_LOADER = re.compile(r"loader_module['\"]?\s*:\s*['\"]?([\w.]+)")
_PYTHON = re.compile(r"python_model|cloudpickle|pickled_model|\bcode['\"]?\s*:\s*['\"]?[^\s'\",}n]")

_VARINT = 0
_EIGHT = 1
_BYTES = 2
_FOUR = 5
# Message: {field: its message}; other fields are skipped.
_INSIDE: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 8: "Opset", 20: "Training", 25: "Function"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Training": {1: "Graph", 2: "Graph"},
    "Function": {7: "Node", 9: "Opset", 11: "Attribute"},
    "Opset": {},
    "Tensor": {},
}
_DOMAIN = {"Opset": 1, "Node": 7}  # field with the domain of an operator
_DATA = 13
_LOCATION = 14
_EXTERNAL = 1  # of Tensor
_DEEPEST = 50


@dataclass(frozen=True)
class Field:
    """One field of a message.

    Attributes:
        number: number of the field.
        value: value of a number, else 0.
        content: bytes of a text or message, else empty.
    """

    number: int
    value: int
    content: memoryview


def refuse_folder(folder: Path) -> None:
    """Check that a folder holds no link and no file that may run code.

    Raises:
        BadInput: A file is unsafe.
    """
    for path in sorted(folder.iterdir()):
        refuse_link(path)
        what = _dangerous(path)
        if what:
            raise BadInput(
                path,
                what,
                expected="ONNX files and text files",
                fix="no file of this folder was opened; do not load it with other tools",
            )


def _dangerous(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        return "is a pickle, or may be one: loading it runs its code"
    if suffix in LIBRARIES:
        return "is a library, or a model in a format that cannot be checked"
    return _python_flavor(path) if path.name == MLMODEL and path.is_file() else ""


def _python_flavor(path: Path) -> str:
    """Return what makes MLflow run code for an MLmodel file, or ""."""
    text = path.read_text(encoding="utf-8", errors="replace")
    loaders = sorted(set(_LOADER.findall(text)) - {OWN_LOADER})
    if loaders:
        return f"is loaded by the Python module {loaders[0]}, which runs code"
    match = _PYTHON.search(text)
    return f"holds Python ({match.group().strip()})" if match else ""


def refuse_link(path: Path) -> None:
    """Check that a path is not a symbolic link.

    Raises:
        BadInput: The path is a link.
    """
    if path.is_symlink():
        raise BadInput(
            path,
            f"is a symbolic link to {path.readlink()}",
            expected="the file itself",
            fix="copy the model with `cp -L` if you trust its target",
        )


def refuse_model(where: Path, content: bytes) -> None:
    """Check that an ONNX file reads no other file and has no custom operators.

    Raises:
        BadInput: The file is unsafe, or not an ONNX file.
    """
    if not content:
        raise BadInput(where, "is empty", expected="a model")
    try:
        problem = next(_problems("Model", memoryview(content), 0), "")
    except (ValueError, IndexError) as error:
        raise BadInput(where, f"is not an ONNX file ({error})", expected="a model") from error
    if problem:
        raise BadInput(
            where,
            problem,
            expected="a self-contained model with standard ONNX operators",
            fix="it was not opened; export the model again",
        )


def _problems(kind: str, message: memoryview, depth: int) -> Iterator[str]:
    if depth > _DEEPEST:
        yield "is nested too deeply"
        return
    for field in fields_of(message):
        if kind == "Tensor" and field.number == _DATA:
            yield "stores weights in another file"
        if kind == "Tensor" and field.number == _LOCATION and field.value == _EXTERNAL:
            yield "stores weights in another file"
        if field.number == _DOMAIN.get(kind) and bytes(field.content) not in DOMAINS:
            name = bytes(field.content).decode(errors="replace")
            yield f"uses operators of {name!r}, which a library would have to provide"
        inner = _INSIDE[kind].get(field.number)
        if inner:
            yield from _problems(inner, field.content, depth + 1)


def fields_of(message: memoryview) -> Iterator[Field]:
    """Yield the fields of a protobuf message.

    Raises:
        ValueError: The message is invalid, or a field is truncated.
        IndexError: A number is truncated.
    """
    offset = 0
    size = len(message)
    while offset < size:
        key, offset = _varint(message, offset)
        # A key is the number of the field, then three bits of wire type.
        number = key >> 3
        kind = key & 7
        value = 0
        length = 0
        if kind == _VARINT:
            value, offset = _varint(message, offset)
        elif kind == _BYTES:
            length, offset = _varint(message, offset)
        elif kind in (_EIGHT, _FOUR):
            length = 8 if kind == _EIGHT else 4
        else:
            raise ValueError(f"field {number} of kind {kind} at byte {offset}")
        if not number or offset + length > size:
            raise ValueError(f"field {number} ends after byte {size}")
        yield Field(number, value, message[offset : offset + length])
        offset += length


def _varint(message: memoryview, offset: int) -> tuple[int, int]:
    value = shift = 0
    while True:  # seven bits per byte, the lowest first; bit 8 marks that another byte follows
        byte = message[offset]
        value |= (byte & 0x7F) << shift
        offset = offset + 1
        shift = shift + 7
        if byte < 0x80:
            return value, offset
        if shift > 63:
            raise ValueError("a number of more than ten bytes")
