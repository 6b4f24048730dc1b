"""The task file as one pydantic model: one robot and one learning problem."""

import re
from functools import cache
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PrivateAttr,
    SerializeAsAny,
    ValidationInfo,
    create_model,
)

from kinemill.errors import BadInput
from kinemill.store import Json
from kinemill.task.bounds import TimeStep
from kinemill.task.channels import Channel
from kinemill.task.compute import TARGETS, Compute
from kinemill.task.computed import is_computed
from kinemill.task.control import Control
from kinemill.task.environment import Environment, pick_environment
from kinemill.task.export import Export
from kinemill.task.learn import Learn
from kinemill.task.loop import Loop
from kinemill.task.plugins import AUGMENTATIONS, CHECKS, OBJECTIVES, Plugin, Settings, pick, usual
from kinemill.task.promote import Promote, Retrain
from kinemill.task.search import Tune
from kinemill.task.settings import MEDIA, listed_by
from kinemill.task.stages import Dataset, Ingest, ValidateBase
from kinemill.task.trackers import TRACKERS, Track
from kinemill.task.verify import Verify

_LINE = 100  # characters of a line of a task as text
_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")
_OWNER = re.compile(r"team:\w[\w.-]*|[\w.+-]+@[\w-]+(\.[\w-]+)+")


@cache
def validate_settings() -> type[ValidateBase]:
    """Return the model of the `validate` part: the common keys and one key per physical check."""
    fields: dict[str, Any] = {
        name: (check, Field(default=check(), description=(check.__doc__ or "").partition("\n")[0]))
        for name, check in ((name, CHECKS[name]) for name in CHECKS)
    }
    return create_model("Validate", __base__=ValidateBase, **fields)


def _validate_part(value: object, info: ValidationInfo) -> object:
    if isinstance(value, ValidateBase):
        return value
    return validate_settings().model_validate(value, context=info.context)


def check_task_name(value: str) -> str:
    """Return the name of a task.

    Raises:
        ValueError: The name is invalid; the message gives the reason.
    """
    if not _NAME.match(value):
        raise ValueError(
            f"{value!r} is not a valid task name: use a lower-case letter followed by "
            f"lower-case letters, digits and _"
        )
    if iskeyword(value):  # each task has a Dagster job of its name
        raise ValueError(f"{value!r} is a Python keyword; choose another name")
    return value


def _owner(value: str) -> str:
    if not _OWNER.fullmatch(value):
        raise ValueError(f"{value!r} is neither a team, as in `team:arm`, nor an e-mail address")
    return value


class Task(Settings):
    """One robot and one learning problem, as defined in `tasks/<name>.yaml`."""

    name: Annotated[str, AfterValidator(check_task_name)] = Field(alias="task")
    """name of the task, the same as that of its file"""
    description: str = ""
    """purpose of the task, shown by `kinemill task list`"""
    owners: list[Annotated[str, AfterValidator(_owner)]] = ["team:robotics"]
    """teams (`team:arm`) and e-mail addresses that Dagster shows as owners"""
    dt: TimeStep
    """time step of every episode, s"""
    channels: dict[str, Channel] = {}
    """the robot's signals; those of an environment can be omitted"""
    ingest: Ingest = Ingest()
    """files that are logs, and how they are read"""
    validation: Annotated[SerializeAsAny[ValidateBase], BeforeValidator(_validate_part)] = Field(
        alias="validate",
        default_factory=lambda: validate_settings()(),  # noqa: PLW0108  (late: imports the checks)
    )
    """checks of recordings, one key per check"""
    dataset: Dataset = Dataset()
    """assignment of episodes to training, validation and test"""
    augment: list[
        Annotated[SerializeAsAny[Plugin], BeforeValidator(pick(AUGMENTATIONS, Plugin))]
    ] = []
    """augmentations of training episodes, in this order"""
    learn: Annotated[SerializeAsAny[Learn], BeforeValidator(pick(OBJECTIVES, Learn))]
    """learn type: a dynamics model or a kind of policy"""
    compute: Annotated[SerializeAsAny[Compute], BeforeValidator(pick(TARGETS, Compute))] = Field(
        default_factory=lambda: usual(TARGETS)
    )
    """where a training runs"""
    track: Annotated[
        list[Annotated[SerializeAsAny[Track], BeforeValidator(pick(TRACKERS, Track))]],
        BeforeValidator(listed_by("type")),
    ] = Field(default_factory=lambda: [TRACKERS["tensorboard"](type="tensorboard")])
    """metric trackers in addition to MLflow and the training folder"""
    export: Export = Export()
    """form of the exported model"""
    verify: Verify = Verify()
    """verification of the exported model"""
    promote: Promote = Promote()
    """rules of the gate between challenger and champion"""
    retrain: Retrain = Retrain()
    """triggers of automatic training"""
    environment: Annotated[
        SerializeAsAny[Environment] | None, BeforeValidator(pick_environment)
    ] = None
    """the environment in which a policy acts and is evaluated"""
    control: Control | None = None
    """the objective of a controller"""
    loop: Loop | None = None
    """the learning loop: rounds of collecting and training"""
    tune: Tune = Tune()
    """hyperparameter search"""

    _path: Path | None = PrivateAttr(default=None)
    _notes: list[str] = PrivateAttr(default_factory=list[str])

    def __repr__(self) -> str:
        """Return learn type, time step and channels by role; all settings have 9,000 characters."""
        roles = dict.fromkeys(channel.role for channel in self.channels.values())
        lines = [f"  {role}: {', '.join(self._with_roles(role))}" for role in roles]
        title = f"Task {self.name}: {self.learn.type}, dt {self.dt:g} s"
        return "\n".join(line[:_LINE] for line in (title, *lines))

    __str__ = __repr__

    @property
    def states(self) -> list[str]:
        """Names of the state channels, in the task's order: the order of every state tensor."""
        return self._with_roles("state")

    @property
    def actions(self) -> list[str]:
        """Names of the action channels, in the task's order: the order of every action tensor."""
        return self._with_roles("action")

    @property
    def outputs(self) -> list[str]:
        """Names of the output channels, in the task's order: predicted, but not fed back."""
        return self._with_roles("output")

    @property
    def columns(self) -> list[str]:
        """States, then actions, in the order of columns of packed arrays."""
        return [*self.states, *self.actions]

    @property
    def numbers(self) -> list[str]:
        """Columns, outputs, observations, rewards: every channel that is a number at each step."""
        return [*self.columns, *self.outputs, *self._with_roles("observation", "reward")]

    @property
    def media(self) -> list[str]:
        """Names of the image and text channels; a step holds a reference to the value."""
        return self._with_roles(*MEDIA)

    @property
    def recorded(self) -> list[str]:
        """Numbers, then media: columns of tracks and episodes after `time_s`."""
        return [*self.numbers, *self.media]

    @property
    def logged(self) -> list[str]:
        """The recorded channels that are read from logs; the others are computed."""
        return [name for name in self.recorded if not is_computed(self.channels[name])]

    @property
    def logged_numbers(self) -> list[str]:
        """The logged channels that are numbers."""
        return [name for name in self.logged if name not in self.media]

    @property
    def derived(self) -> dict[str, str]:
        """The derived states, each with the state whose time derivative it is."""
        channels = {name: self.channels[name] for name in self.states}
        return {name: str(channel.of) for name, channel in channels.items() if channel.derived}

    def _with_roles(self, *roles: str) -> list[str]:
        return [name for name, channel in self.channels.items() if channel.role in roles]

    @property
    def path(self) -> Path | None:
        """The file this task was read from."""
        return self._path

    @property
    def notes(self) -> list[str]:
        """Messages for the user about how this task was loaded, such as dropped keys."""
        return list(self._notes)

    @property
    def max_gap(self) -> float:
        """Longest gap between timestamps that is interpolated, s."""
        return self.ingest.resample.max_gap or 5.0 * self.dt

    def method(self, channel: str) -> str:
        """Return the resampling method of a channel: `linear`, `cubic` or `hold`."""
        definition = self.channels[channel]
        usual = "hold" if definition.role in {"reward", *MEDIA} else self.ingest.resample.method
        return definition.resample.method or usual

    def bridged(self, channel: str) -> float:
        """Return the longest gap that is interpolated in a channel with its own timestamps, s."""
        return self.channels[channel].resample.max_gap or self.max_gap

    def part(self, *names: str) -> Json:
        """Return parts of the task as JSON, for digests; `part("learn", "dt")`.

        Raises:
            BadInput: The part does not exist, or the environment lacks a file.
        """
        whole = self.model_dump(mode="json", by_alias=True)
        unknown = set(names) - set(whole)
        if unknown:
            raise BadInput(f"task {self.name}", f"has no part {sorted(unknown)}")
        if "environment" in names and self.environment is not None:
            whole["environment"] = self.environment.content()
        if "control" in names and self.control is not None:
            whole["control"] = self.control.content()
        return {name: whole[name] for name in names}
