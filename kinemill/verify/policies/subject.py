"""What is judged of a policy, and what there is to judge it by."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from kinemill.environments.card import Card, open_card
from kinemill.export.policy import describe
from kinemill.runtime import Policy, PolicyInterface, load
from kinemill.runtime.integrity import POLICY
from kinemill.store import ArtifactRef, Json, open_ref
from kinemill.store.home import Home
from kinemill.task.document import Task
from kinemill.train import load_model
from kinemill.train.demonstrations import Demonstrations
from kinemill.train.policy_runner import as_policy
from kinemill.train.warm_start import described


@dataclass(frozen=True)
class Subject:
    """An exported policy, the trained one, and the data.

    Attributes:
        task: its `environment` made of what the card froze, if there is one.
        folder: with `policy.onnx`.
        module: the trained policy, in torch.
        trained: what it says of itself.
        held_out: logs with a test split; None if nothing was learned from logs.
        card: of the environment, where that stands in the place of a dataset.
        source: folder of the trained policy, with the curves of its training.
    """

    task: Task
    folder: Path
    module: Any
    trained: PolicyInterface
    held_out: Demonstrations | None = None
    card: Card | None = None
    source: Path | None = None

    @cached_property
    def policy(self) -> Policy:
        """The file, which gives NaN for NaN."""
        return load(self.folder / POLICY, non_finite="pass")

    @cached_property
    def threaded(self) -> Policy:
        """The same by two threads."""
        return load(self.folder / POLICY, threads=2, non_finite="pass")

    @cached_property
    def refusing(self) -> Policy:
        """The same, loaded so that it refuses all it can."""
        return load(self.folder / POLICY, out_of_limits="raise")

    @cached_property
    def in_torch(self) -> Policy:
        """The trained policy, run like the file."""
        return as_policy(self.module, self.task.name, finite=False)


def subject_of(job: Json) -> Subject:
    """Open what a judging process was told of."""
    home, task = Home(Path(job["home"])), Task.model_validate(job["task"])
    onnx_model, model, dataset = (
        ArtifactRef.from_json(job[name]) for name in ("onnx_model", "model", "dataset")
    )
    source = open_ref(home, model)
    module, about = load_model(source), described(source)
    trained = describe(module, about["task"], about["dataset"])
    folder = open_ref(home, onnx_model)
    if task.learn.from_logs:
        held = Demonstrations.open(home, dataset)
        return Subject(task, folder, module, trained, held_out=held, source=source)
    card = open_card(home, dataset)
    return Subject(card.task(task), folder, module, trained, card=card, source=source)
