"""Protocols that verification requires of a model or policy: `Exported` and `Subject`.

Dynamics models (`dynamics`) and policies (`policies.subject`) satisfy both. `Exported` is only the
folder, for `kinemill model verify FOLDER`. `Subject` adds the trained network and the data.

Symbols: N rows, T steps, C output channels.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import onnx

from kinemill.registry import Links
from kinemill.runtime import Interface, PolicyInterface
from kinemill.task import Task
from kinemill.task.verify import Verify
from kinemill.verify.check_results import Parity
from kinemill.verify.checklist import Gate, try_check
from kinemill.verify.document import Verification
from kinemill.verify.job import Job
from kinemill.verify.latency import Call as TimedCall
from kinemill.verify.nan_propagation import Call
from kinemill.verify.report_sections import Parts
from kinemill.verify.results import ClosedLoop
from kinemill.verify.test_inputs import Array, Probe

_ROWS = 7  # rows of a batch that are also computed alone


class Exported(Protocol):
    """Exported files of one model that run without the trained network and the data."""

    @property
    def folder(self) -> Path:
        """The folder of the files."""
        ...

    @property
    def interface(self) -> Interface | PolicyInterface:
        """Channels, units and shapes from the metadata."""
        ...

    def models(self) -> dict[Path, onnx.ModelProto]:
        """Return every ONNX file of the folder."""
        ...

    def check_files(self, models: dict[Path, onnx.ModelProto]) -> list[Gate]:
        """Check that the files are valid, complete and consistent with their metadata."""
        ...

    def make_probes(self) -> list[Probe]:
        """Return synthetic test inputs, the most ordinary ones first."""
        ...

    def outputs(self, probe: Probe, threads: int = 1) -> Array:
        """Return predictions or actions, (N, T, C), in units."""
        ...

    def agreement(self, name: str, probe: Probe, actual: Array, expected: Array) -> Gate:
        """Compare two outputs (N, T, C) of the same inputs, up to the effect of rounding."""
        ...

    def nan_calls(self, probe: Probe) -> list[Call]:
        """Return the functions in which to test the propagation of NaN."""
        ...

    def check_contract(self, probes: Sequence[Probe]) -> list[Gate]:
        """Check the properties of every correct model: limits, repeatability, invalid inputs."""
        ...

    def check_alone(self, probe: Probe) -> list[Gate]:
        """Compare the files with each other and with stored parity cases."""
        ...

    def timed_calls(self, probe: Probe) -> dict[str, TimedCall]:
        """Return the calls to time, with a batch of one; a task can limit the first."""
        ...

    def batch_call(self, probe: Probe, threads: int) -> TimedCall:
        """Return the call whose throughput is measured."""
        ...


class Subject(Protocol):
    """An exported model with its trained network and its data."""

    @property
    def exported(self) -> Exported:
        """The files."""
        ...

    @property
    def kind(self) -> str:
        """Its name in `KINDS`."""
        ...

    @property
    def task_name(self) -> str:
        """Name of the task."""
        ...

    @property
    def settings(self) -> Verify:
        """The `verify` part of the task."""
        ...

    @property
    def probes(self) -> Sequence[Probe]:
        """Test inputs; measured ones, if there are any, come first."""
        ...

    def check_metadata(self, models: dict[Path, onnx.ModelProto]) -> Gate:
        """Compare the metadata of the files with the trained network and the data."""
        ...

    def compare_with_torch(self) -> list[Parity]:
        """Compare the files with the trained network."""
        ...

    def check_behavior(self) -> list[Gate]:
        """Run the checks that are specific to this kind of model."""
        ...

    def measure(self) -> list[Gate]:
        """Measure the accuracy, and return the gates on the measurement."""
        ...

    def throughput_of(self) -> tuple[Probe, int, Sequence[int]]:
        """Return the inputs, steps per row and numbers of threads for throughput."""
        ...

    def document(self) -> Verification:
        """Return the document with the measurements that are specific to this kind of model."""
        ...

    def write_files(self, folder: Path) -> None:
        """Write further files next to the report."""
        ...


class Kind(Protocol):
    """How verification handles one kind of model: imports are local, because they are large."""

    def exported(self, folder: Path) -> Exported:
        """Return the exported files of a folder."""
        ...

    def subject(self, job: Job, task: Task) -> Subject:
        """Open the files and data of a job."""
        ...

    def parts(self, subject: Any, document: Verification) -> Parts:
        """Return the parts of the report that are specific to this kind."""
        ...


# By `learn.gives` of the task.
KINDS: Links[Kind] = Links(
    "kind of model",
    {"dynamics": "kinemill.verify.dynamics_kind", "policy": "kinemill.policies.verification.kind"},
)

# Members run episodes of the controller of a task with the exported model in a folder; they return
# the results and HTML, or None if the task wants no episodes.
CLOSED_LOOPS: Links[Callable[[Task, Path], tuple[ClosedLoop, str] | None]] = Links(
    "closed loop", {"control": "kinemill.control.verification"}
)


def check_batches(exported: Exported, probe: Probe) -> list[Gate]:
    """Check that neither the other rows of a batch nor the number of threads change a row."""
    batch = probe.first(_ROWS)

    def alone() -> list[Gate]:
        in_batch = exported.outputs(probe)[:_ROWS]
        single = [exported.outputs(batch.take(np.array([row]))) for row in range(_ROWS)]
        return [exported.agreement("batch independence", batch, np.concatenate(single), in_batch)]

    def threaded() -> list[Gate]:
        single_thread, threaded_outputs = (exported.outputs(probe, threads) for threads in (1, 2))
        return [exported.agreement("thread independence", probe, threaded_outputs, single_thread)]

    return [*try_check("batch independence", alone), *try_check("thread independence", threaded)]
