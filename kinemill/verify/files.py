"""Reading the files of a model, and comparing their metadata with the data."""

from collections.abc import Mapping
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.runtime import Interface
from kinemill.verify.checklist import Gate, gate
from kinemill.verify.structure import read_interface

FILES = ("step.onnx", "rollout.onnx")


def read_models(folder: Path) -> dict[Path, onnx.ModelProto]:
    """Read both files of a model.

    Raises:
        BadInput: Step or rollout is missing, or a file is not an ONNX file.
    """
    models: dict[Path, onnx.ModelProto] = {}
    for path in (folder / name for name in FILES):
        if not path.is_file():
            raise BadInput(path, "is missing", expected=f"a folder with {' and '.join(FILES)}")
        models[path] = read_model(path)
    return models


def read_model(path: Path) -> onnx.ModelProto:
    """Read one file without external data.

    Raises:
        BadInput: It is not an ONNX file.
    """
    try:
        return onnx.load(path, load_external_data=False)
    except DecodeError as error:
        expected = "a file that kinemill exported"
        raise BadInput(path, "is not an ONNX file", expected=expected) from error


def unlike_data(
    models: Mapping[Path, onnx.ModelProto], dataset: PackedDataset, trained: Interface | None = None
) -> Gate:
    """Compare the metadata of all files with the dataset and the trained model."""
    interfaces: list[Interface] = []
    for path, model in models.items():
        try:
            interfaces.append(read_interface(path, model))
        except BadInput:
            continue  # `examine` has a gate for unreadable metadata
    fields = {line.split()[0] for interface in interfaces for line in unlike(interface, dataset)}
    fields |= {line for interface in interfaces for line in _unlike_trained(interface, trained)}
    faults = [f"differs in {name}" for name in sorted(fields)]
    if len(interfaces) < len(models) or any(interface != interfaces[0] for interface in interfaces):
        faults = ["the files have different metadata", *faults]
    expected = "channels, units, angles and dt of the dataset, all else as in the trained model"
    return gate("metadata", faults, expected)


def _unlike_trained(interface: Interface, trained: Interface | None) -> list[str]:
    """Return the fields that differ from the trained model, except versions and dtype."""
    if trained is None:
        return []
    return [
        name
        for name in Interface.__dataclass_fields__
        if name not in ("versions", "dtype") and getattr(interface, name) != getattr(trained, name)
    ]


def unlike(interface: Interface, dataset: PackedDataset) -> list[str]:
    """Return the differences of a model and a dataset, such as `units {...}, not {...}`."""
    expected = {
        "states": tuple(dataset.states),
        "actions": tuple(dataset.actions),
        "outputs": tuple(dataset.outputs),
        "units": dataset.units,
        "angles": tuple(dataset.angles),
        "dt": dataset.dt,
    }
    return [
        f"{field} {getattr(interface, field)}, not {value}"
        for field, value in expected.items()
        if getattr(interface, field) != value
    ]
