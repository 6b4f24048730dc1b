"""`kinemill model verify FOLDER`: check a model folder without its data and trained network.

The order is for safety: first reject files that could execute code or read other files, then
compare hashes, then inspect the files, and only then run them.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

from kinemill.errors import BadInput
from kinemill.runtime.integrity import POLICY
from kinemill.runtime.model_safety import refuse_folder, refuse_model
from kinemill.runtime.self_test import files_lines
from kinemill.verify.check_results import Latency, Machine, Structure
from kinemill.verify.checklist import Gate, try_check
from kinemill.verify.cold_start import ColdStart, cold_start
from kinemill.verify.latency import latency, machine
from kinemill.verify.nan_propagation import GATE, nan_gate, propagate_nan
from kinemill.verify.structure import structure
from kinemill.verify.subject import KINDS, Exported, check_batches


@dataclass(frozen=True)
class FolderCheck:
    """Checks of a model folder without its task.

    Attributes:
        folder: path of the folder.
        passed: whether every check passed.
        gates: lines of the verdict.
        task, dataset, versions: values from the metadata; None and empty if a hash is wrong.
        files: contents of each ONNX file.
        latency_ms: latency of each call, ms; empty if a hash is wrong, because nothing is run.
        cold_start, machine: times of a new process, and the machine that measured times.
    """

    folder: str
    passed: bool
    gates: list[Gate]
    task: str | None = None
    files: list[Structure] = field(default_factory=list[Structure])
    latency_ms: dict[str, Latency] = field(default_factory=dict[str, Latency])
    cold_start: ColdStart | None = None
    machine: Machine | None = None
    dataset: str = ""
    versions: dict[str, str] = field(default_factory=dict[str, str])


def verify_folder(folder: Path) -> FolderCheck:
    """Check the folder of a model or policy without its task.

    Raises:
        BadInput: The folder has no model, or an unsafe file.
        CorruptArtifact: `sha256sums` cannot be read.
    """
    check_folder(folder)
    gates = [Gate(*line.values()) for line in files_lines(folder)]  # hashes and io.yaml
    if not all(gate.passed for gate in gates):
        return FolderCheck(str(folder), False, gates)  # never run a file that was changed
    exported = _open(folder)
    models = exported.models()
    gates += exported.check_files(models)
    probes = exported.make_probes()
    probe = probes[0]
    gates += [
        *check_batches(exported, probe),
        *try_check(GATE, lambda: [nan_gate(propagate_nan(exported.nan_calls(probe)))]),
        *try_check("contract", lambda: exported.check_contract(probes)),
        *exported.check_alone(probe),
    ]
    interface = exported.interface
    times = latency(exported.timed_calls(probe))
    return FolderCheck(
        folder=str(folder),
        passed=all(gate.passed for gate in gates),
        gates=gates,
        task=interface.task,
        files=[structure(path, model) for path, model in models.items()],
        latency_ms=times,
        cold_start=cold_start(folder),
        machine=machine(),
        dataset=interface.dataset,
        versions=interface.versions,
    )


def _open(folder: Path) -> Exported:
    kind = "policy" if (folder / POLICY).is_file() else "dynamics"
    return KINDS[kind].exported(folder)


def check_folder(folder: Path) -> None:
    """Reject a folder with unsafe files.

    Raises:
        BadInput: The path is not a folder, or a file in it or below it is unsafe.
    """
    if not folder.is_dir():
        raise BadInput(folder, "is not a folder", expected="the folder of a model")
    for name, _, _ in os.walk(folder):  # os.walk does not follow links
        part = Path(name)
        refuse_folder(part)
        for path in part.glob("*.onnx"):
            refuse_model(path, path.read_bytes())
