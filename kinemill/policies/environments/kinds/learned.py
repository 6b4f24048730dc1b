"""A learned simulator instead of physics: the exported model of a dynamics task, step by step."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ValidationInfo, field_validator

from kinemill.errors import BadInput
from kinemill.policies.environments.gym_types import Env
from kinemill.policies.environments.vector_env import Rows
from kinemill.registry import nearest
from kinemill.runtime.integrity import IO, ROLLOUT, STEP, SUMS
from kinemill.task import Channel, Problems, Task
from kinemill.task.channels import with_roles
from kinemill.task.environment import KINDS, Environment, Range
from kinemill.task.hooks import from_task_folder
from kinemill.task.web_overrides import MODEL

_FILES = (ROLLOUT, STEP, IO, SUMS)
_MODEL = "model"


@KINDS.register("learned")
class LearnedEnvironment(Environment):
    """A learned simulator as the environment, to train without the robot.

    Its states and actions are the task's channels, its reward is the task's `control` part.
    """

    type: Literal["learned"] = "learned"
    model: Annotated[str, MODEL]
    """of the dynamics: models:/TASK@champion, models:/TASK/3, or a model folder relative to the
    task file"""
    start: dict[str, Range] = {}
    """state: lowest and highest value that an episode begins with in the model, in place of
    `control.start`: wider, so that little is left unseen; the plant keeps its own"""
    members: Literal["mean", "sampled"] = "mean"
    """of an ensemble, what an episode in the model follows: the mean, or one member that is drawn
    when it begins"""
    physics: Literal["learned", "plant"] = "learned"
    """plant: that of `control` in its place, as a variant to be tested under"""

    @field_validator("model")
    @classmethod
    def _found_from_the_task(cls, value: str, info: ValidationInfo) -> str:
        return value if value.startswith("models:/") else from_task_folder(value, info)

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return initial values, including those of channels that are no states."""
        states = with_roles(channels, "state")
        unknown = [name for name in self.start if name not in states]
        return [
            *super().problems(channels),
            *((("start", name), f"no state; {nearest(name, states)}") for name in unknown),
        ]

    def folder(self) -> Path:
        """Return where the model's files are.

        Raises:
            BadInput: there is no such model.
        """
        if not self.model.startswith("models:/"):
            return Path(self.model)
        from kinemill.register import fetch_bundle

        return fetch_bundle(self.model)

    def sources(self) -> dict[str, Path]:
        """Return the files of the model.

        Raises:
            BadInput: There is no such model, or it lacks a file.
        """
        folder = self.folder()
        if not (folder / _FILES[0]).is_file():
            raise BadInput(f"environment.model: {self.model}", f"has no {_FILES[0]}")
        return {
            f"{_MODEL}/{file_name}": folder / file_name
            for file_name in _FILES
            if (folder / file_name).is_file()
        }

    def at(self, folder: Path) -> "LearnedEnvironment":
        """Return the same with the copies in `folder`."""
        return self.model_copy(update={"model": str(folder / _MODEL)})

    def lineage(self) -> dict[str, str]:
        """Return which model it is, and the digest of the dataset that it learned from."""
        from kinemill.runtime import load

        return {"model": self.model, "dataset": str(load(self.folder()).interface.dataset)}

    def make(self, task: Task, *, render: bool = False) -> Env:
        """Return the environment.

        Raises:
            BadInput: there is no such model, or it is of other channels or of another time step.
        """
        if self.physics == "plant":
            from kinemill.policies.environments._controlled import make_plant_environment

            return make_plant_environment(task, self.steps, render=render)
        from gymnasium.wrappers import TimeLimit

        from kinemill.policies.environments._learned_simulator import LearnedEnv

        batch = self._batch(task)
        limit = self.steps or batch.rules.steps
        environment = LearnedEnv(batch, limit, render=render)
        return environment if limit == self.steps else TimeLimit(environment, limit)

    def vectorized(self, task: Task) -> Callable[[int], Rows] | None:
        """Return a factory of copies that are predicted in one batch."""
        if self.physics == "plant":
            return None

        def rows(count: int) -> Rows:
            batch = self._batch(task)
            return Rows(batch, count, self.steps or batch.rules.steps)

        return rows

    def _batch(self, task: Task) -> Any:
        """Return the `LearnedBatch` of a task, with the starts of the model's own."""
        from kinemill.policies.environments._learned_simulator import LearnedBatch

        if self.start and task.control is not None:
            control = task.control.model_copy(update={"start": self.start})
            task = task.model_copy(update={"control": control})
        return LearnedBatch(task, self.folder(), is_sampled=self.members == "sampled")
