"""Training job: the inputs of a training, its folder and its model, and functions that run it."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinemill.errors import BadInput
from kinemill.store import Artifact, ArtifactRef, Home, Json, digest, find
from kinemill.task import NullReporter, Task, WarmStart
from kinemill.train import stage
from kinemill.train.context import Listeners
from kinemill.train.devices import determined, pick_device
from kinemill.train.resume import key_of, latest_unfinished, refuse_changes


@dataclass(frozen=True)
class TrainingJob:
    """A training of a task on data, finished or not.

    Attributes:
        task: task with the `learn` part.
        home: home of the artifacts, and of checkpoints under `runs/`.
        dataset: dataset with the validation split and the statistics.
        training_set: training data.
        start: the model of `learn.start_from`, if it is set.
    """

    task: Task
    home: Home
    dataset: ArtifactRef
    training_set: ArtifactRef
    start: WarmStart | None = None

    def to_json(self) -> Json:
        """Return the job as JSON, for a training in another process."""
        return {
            "task": self.task.model_dump(mode="json", by_alias=True),
            "home": str(self.home.root),
            "dataset": self.dataset.to_json(),
            "training_set": self.training_set.to_json(),
            "start": self.start.to_json() if self.start else None,
        }

    @classmethod
    def from_json(cls, value: Json) -> "TrainingJob":
        """Return the job of `to_json`."""
        return cls(
            Task.model_validate(value["task"]),
            Home(Path(value["home"])),
            ArtifactRef.from_json(value["dataset"]),
            ArtifactRef.from_json(value["training_set"]),
            WarmStart(**value["start"]) if value["start"] else None,
        )

    @property
    def inputs(self) -> Json:
        """The inputs of the model, see `stage.inputs`."""
        return stage.inputs(self.task, self.dataset, self.training_set, self.start)

    @property
    def folder(self) -> Path:
        """Folder of the checkpoints; its name is a digest of the inputs."""
        return self.home.runs / self.task.name / key_of(self.inputs)

    def find_model(self) -> Artifact | None:
        """Return the cached model, or None."""
        return find(self.home, "model", self.task.name, digest(self.inputs))

    def run(self, listeners: Listeners) -> Artifact:
        """Train in this process and return the model, see `stage.run`."""
        data = self.dataset, self.training_set
        return stage.run(self.task, self.home, *data, listeners, self.start)

    def check_resume(self, among: Collection[str] | None = None) -> None:
        """Check that this job resumes the task's latest unfinished training or has a cached model.

        Args:
            among: names of the folders of trainings to consider; None: all.

        Raises:
            BadInput: The unfinished training had other settings or data (the error names them), or
                there is neither an unfinished training nor a model.
        """
        unfinished = latest_unfinished(self.home, self.task.name, among)
        if unfinished is not None:
            refuse_changes(unfinished, self.inputs)
        elif self.find_model() is None:
            raise BadInput(
                "resume",
                f"no training of {self.task.name} was interrupted after a checkpoint",
                fix="leave --resume out to start a new training",
            )

    def join(self) -> None:
        """Train as a process of rank 1 or higher, see `kinemill.train.ddp`.

        Raises:
            BadInput: As in `stage.run`.
            TrainingFailed: As in `stage.run`.
        """
        import torch

        from kinemill.train.ddp import process_group
        from kinemill.train.loop import fit

        learn: Any = self.task.learn  # a learn type that trains on a dataset, so it has `prepare`
        if not process_group().broadcast():
            return  # rank 0 found the model in the cache
        torch.set_num_threads(learn.threads)
        opened = learn.open(self.home, self.dataset, self.training_set)
        with determined(on=learn.deterministic):
            device = pick_device(learn.device)
            module, objective = learn.prepare(self.task, *opened, device, self.start)
            fit(module, objective, learn, self.folder, (NullReporter(), NullReporter()))
