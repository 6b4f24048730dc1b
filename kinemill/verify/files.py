"""The published files themselves: sound ONNX that says of itself what is true."""

from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.runtime import Interface
from kinemill.verify.checklist import Gate, gate
from kinemill.verify.structure import Structure, examine, read_interface, structure

FILES = ("step.onnx", "rollout.onnx")


def read_models(folder: Path, *, every: bool = False) -> dict[Path, onnx.ModelProto]:
    """Read both files of a model, without what they may want to have from elsewhere.

    Args:
        folder: where they are.
        every: the variants beside them as well, such as `step.int8.onnx`.

    Raises:
        BadInput: one is not there, or is no ONNX.
    """
    found: dict[Path, onnx.ModelProto] = {}
    more = {path.name for path in folder.glob("*.onnx")} - set(FILES) if every else set[str]()
    for path in (folder / name for name in (*FILES, *sorted(more))):
        if not path.is_file():
            raise BadInput(path, "is not there", expected=f"a folder with {' and '.join(FILES)}")
        found[path] = read_model(path)
    return found


def read_model(path: Path) -> onnx.ModelProto:
    """Read one file, without what it may want to have from elsewhere.

    Raises:
        BadInput: it is no ONNX.
    """
    try:
        return onnx.load(path, load_external_data=False)
    except DecodeError as error:
        raise BadInput(path, "is no ONNX", expected="what kinemill exported") from error


def check_files(
    models: Mapping[Path, onnx.ModelProto],
    dataset: PackedDataset,
    trained: Interface | None = None,
) -> list[Gate]:
    """Check both files, and their metadata against the dataset and the trained model."""
    gates = [line for path, model in models.items() for line in examine(path, model)]
    found: list[Interface] = []
    for path, model in models.items():
        try:
            found.append(read_interface(path, model))
        except BadInput:
            continue  # a gate of its own says so
    wrong = {line.split()[0] for one in found for line in unlike(one, dataset)}
    wrong |= {line for one in found for line in _unlike_trained(one, trained)}
    text = [f"differs in {name}" for name in sorted(wrong)]
    if len(found) < len(models) or any(one != found[0] for one in found):
        text = ["the two files say different things", *text]
    wanted = "channels, units, angles, dt of the dataset; all else as in the trained model"
    return [*gates, gate("metadata", text, wanted)]


def structures(models: Mapping[Path, onnx.ModelProto]) -> list[Structure]:
    """Return what each file is made of."""
    return [structure(path, model) for path, model in models.items()]


def _unlike_trained(found: Interface, trained: Interface | None) -> list[str]:
    """Name the fields in which a file differs from the trained model; versions and dtype may."""
    if trained is None:
        return []
    return [
        name
        for name in Interface.__dataclass_fields__
        if name not in ("versions", "dtype") and getattr(found, name) != getattr(trained, name)
    ]


def unlike(interface: Interface, dataset: PackedDataset) -> list[str]:
    """Say in what a model and rows differ that must be alike: `units {...}, not {...}`."""
    wanted = {
        "states": tuple(dataset.states),
        "actions": tuple(dataset.actions),
        "units": dataset.units,
        "angles": tuple(dataset.angles),
        "dt": dataset.dt,
    }
    return [
        f"{field} {getattr(interface, field)}, not {value}"
        for field, value in wanted.items()
        if getattr(interface, field) != value
    ]
