"""The published files themselves: valid ONNX, whole, and saying what they are."""

from dataclasses import dataclass
from pathlib import Path

import onnx

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.runtime import Interface


@dataclass(frozen=True)
class Gate:
    """One line of the verdict."""

    name: str
    passed: bool
    found: str
    wanted: str


def check_files(folder: Path, dataset: PackedDataset) -> list[Gate]:
    """Check step.onnx and rollout.onnx: valid, weights inside, metadata that fits the dataset."""
    gates: list[Gate] = []
    interfaces: list[Interface] = []
    for name in ("step.onnx", "rollout.onnx"):
        model = onnx.load(folder / name, load_external_data=False)
        gates.append(_valid(name, model))
        outside = [
            item.name
            for item in model.graph.initializer
            if item.data_location == onnx.TensorProto.EXTERNAL
        ]
        found = f"{len(outside)} tensors outside" if outside else "all weights inside"
        gates.append(Gate(f"{name} is whole", not outside, found, "all weights inside"))
        properties = {item.key: item.value for item in model.metadata_props}
        try:
            interfaces.append(Interface.from_metadata(folder / name, properties))
        except BadInput as error:
            gates.append(Gate(f"{name} metadata", False, str(error), "kinemill metadata"))
    gates.append(_metadata(interfaces, dataset))
    return gates


def _valid(name: str, model: onnx.ModelProto) -> Gate:
    wanted = "passes the ONNX checker with shape inference"
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        return Gate(f"{name} is valid", False, str(error).splitlines()[0], wanted)
    return Gate(f"{name} is valid", True, "valid", wanted)


def _metadata(interfaces: list[Interface], dataset: PackedDataset) -> Gate:
    """Compare what both files say with the dataset they are judged on."""
    wrong = sorted(
        {line.split()[0] for interface in interfaces for line in unlike(interface, dataset)}
    )
    same = len(interfaces) == 2 and interfaces[0] == interfaces[1]
    found = f"differs in {', '.join(wrong)}" if wrong else "as in the dataset"
    if not same:
        found = "the two files say different things"
    return Gate("metadata", same and not wrong, found, "channels, units, angles, dt of the dataset")


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
