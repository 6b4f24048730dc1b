"""The parts of a task file that say how each stage works, with the reason for each default."""

import fnmatch
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
)

from kinemill.registry import nearest
from kinemill.task.channels import Channel, Sources, unit_problem
from kinemill.task.plugins import (
    READERS,
    Settings,
)
from kinemill.task.web_overrides import LOCAL

Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Patterns = list[str]
Suffix = Annotated[str, Field(pattern="^[^/]+$")]
_TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


class Resample(Settings):
    """How jittered stamps become the task's fixed time step."""

    method: Literal["linear", "cubic", "hold"] = Field(
        default="linear",
        description="cubic: a spline, for motions sampled hardly faster than they move; hold: the "
        "last sample at or before the step",
    )
    max_gap: PositiveFloat | None = Field(
        default=None, description="a longer silence, in s, ends the episode; default 5 dt"
    )


def as_list(value: Any) -> Any:
    """Take one name for a list of one."""
    return [value] if isinstance(value, str) else value


class Meta(Settings):
    """Where it is said which session, robot or operator a recording is of."""

    name: str | None = Field(
        default=None,
        description="regular expression on the log's name at first sight, relative to its folder; "
        "its named groups are metadata: `(?P<session>[^/]+)/.*`",
    )
    sidecar: Annotated[list[Suffix], BeforeValidator(as_list)] = Field(
        default=[".meta.json", ".meta.yaml", ".meta.yml"],
        description="ends of a file beside the log, `run7.meta.yaml` or `run7.csv.meta.yaml` for "
        "`run7.csv`, that holds metadata; it has the last word",
    )

    @field_validator("name")
    @classmethod
    def _has_groups(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            groups = re.compile(value).groupindex
        except re.error as error:
            message = f"is no regular expression ({error})"
            raise ValueError(message) from error
        if not groups:
            message = "has no named group; expected such as `(?P<session>[^/]+)/.*`"
            raise ValueError(message)
        return value

    def is_sidecar(self, name: str) -> bool:
        """Tell whether a file of this name holds metadata of the log beside it."""
        return bool(self.sidecar) and name.lower().endswith(tuple(self.sidecar))


class Ingest(Settings):
    """Which files are logs, and how they are read."""

    format: str = "auto"  # by content and suffix
    time: Annotated[list[str], BeforeValidator(as_list)] = ["time", "timestamp", "t"]
    time_unit: Literal["s", "ms", "us", "ns"] | PositiveFloat = Field(
        default="s", description="of stamps that are numbers; a number is s per tick of a counter"
    )
    rate: PositiveFloat | None = Field(
        default=None, description="rows per second of logs without stamps, Hz"
    )
    groups: Annotated[Patterns, BeforeValidator(as_list)] = Field(
        default=[], description="patterns on names of groups in a file that are episodes"
    )
    parts: dict[str, dict[str, Sources]] = Field(
        default={},
        description="experiments side by side in one file: for each the columns of its channels, "
        "and of its stamps as `time`, where they are not those of `channels`",
    )
    include: Annotated[Patterns, BeforeValidator(as_list)] = ["*"]
    exclude: Annotated[Patterns, BeforeValidator(as_list)] = []
    resample: Resample = Resample()
    meta: Meta = Meta()
    on_time_reversal: Literal["split", "quarantine"] = "split"
    settle: float = Field(
        default=2.0, ge=0.0, description="s a file must be unchanged before it is read"
    )
    watch: Annotated[str | None, LOCAL] = Field(
        default=None, description="drop folder; default logs/<task> under KINEMILL_HOME"
    )

    @field_validator("parts")
    @classmethod
    def _plain_names(cls, value: dict[str, Any]) -> dict[str, Any]:
        if odd := [name for name in value if not re.fullmatch(r"[\w-]+", name)]:
            message = f"{odd[0]!r} is no name of a part; letters, digits, _ and -"
            raise ValueError(message)
        return value

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value != "auto" and value not in READERS:
            message = f"unknown log format; {nearest(value, ['auto', *READERS])}"
            raise ValueError(message)
        return value

    def problems(self, channels: Mapping[str, Channel]) -> list[tuple[tuple[str | int, ...], str]]:
        """Say which parts name what is no channel, or columns whose unit does not convert."""
        found: list[tuple[tuple[str | int, ...], str]] = []
        for part, sources in self.parts.items():
            for name, listed in sources.items():
                where = ("parts", part, name)
                if name not in channels and name != "time":
                    known = nearest(name, [*channels, "time"])
                    found.append((where, f"unknown channel {name!r}; {known}"))
                elif name in channels and (wrong := unit_problem(listed, channels[name].unit)):
                    found.append((where, wrong))
        return found

    @property
    def ticks(self) -> float:
        """Units of the log's stamps per second."""
        unit = self.time_unit
        return _TICKS[unit] if isinstance(unit, str) else 1.0 / unit

    def wants(self, name: str) -> bool:
        """Tell whether a log of this name (relative to its folder) belongs to the task."""
        if self.meta.is_sidecar(name):
            return False
        return _matches(name, self.include) and not _matches(name, self.exclude)


def _matches(name: str, patterns: Patterns) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


class ValidateBase(Settings):
    """What happens to episodes that fail a check; each check's own settings join as a key."""

    on_fault: Literal["split", "cut", "quarantine", "repair"] = Field(
        default="split",
        description="split: the faulty stretch is cut out, what is before and after goes on as "
        "episodes; cut: the episode ends before its first fault; quarantine: none of it goes on; "
        "repair: as split, but lost values and spikes of up to repair_rows are interpolated",
    )
    repair_rows: PositiveInt = Field(
        default=5, description="longest stretch that `on_fault: repair` interpolates"
    )
    max_quarantined_share: float = Field(
        default=0.5, ge=0.0, le=1.0, description="share of recordings; more blocks the chain"
    )
    min_steps: PositiveInt = Field(
        default=20, description="a shorter piece holds no window worth learning from"
    )


class Tail(Settings):
    """The last share of every training episode."""

    tail: Share


class Rows(Settings):
    """Rows of recordings, as a benchmark prescribes them, on the grid of the task's time step."""

    rows: tuple[NonNegativeInt, PositiveInt | None] = Field(
        description="the first, from 0, and the one after the last; null: to the end"
    )
    of: str = Field(default="*", description="pattern on the recordings' names")

    @field_validator("rows")
    @classmethod
    def _not_empty(cls, value: tuple[int, int | None]) -> tuple[int, int | None]:
        if value[1] is not None and value[1] <= value[0]:
            message = f"rows {list(value)} are none; expected [first, one after the last]"
            raise ValueError(message)
        return value

    def spell(self) -> str:
        """Spell the choice as a task file does."""
        last = "null" if self.rows[1] is None else self.rows[1]
        return f"{{rows: [{self.rows[0]}, {last}], of: {self.of!r}}}"


Choice = list[str | Rows]


class Joined(Settings):
    """Another task whose episodes are learned from as well."""

    task: str = Field(
        pattern="^[a-z][a-z0-9_]*$", description="name of a task with all of this one's channels"
    )
    split: bool = Field(
        default=False,
        description="its episodes are split like this task's own; else all are for training",
    )


class Balance(Settings):
    """How often windows of each class of training episodes are drawn."""

    by: str = Field(
        default="episode",
        description="the classes: `episode`, `recording`, `task`, or a key of the metadata",
    )
    power: float = Field(
        default=1.0,
        ge=0.0,
        le=1.0,
        description="1: all classes equally often; 0: as often as they have rows; 0.5: by the root",
    )


def _as_joined(value: Any) -> Any:
    return [{"task": one} if isinstance(one, str) else one for one in _as_items(value)]


def _as_items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class Dataset(Settings):
    """Which episodes are for validation, test or nothing; the rest are for training."""

    by: str = Field(
        default="recording",
        description="what stays together: `recording`, `part` where one file holds several "
        "episodes, or a key of the metadata such as `session`",
    )
    joined: Annotated[list[Joined], BeforeValidator(_as_joined)] = Field(
        default=[], alias="with", description="tasks whose episodes join in"
    )
    balance: Balance | None = Field(
        default=None, description="how often training draws from each class; default: as they come"
    )
    repeats: Literal["together", "apart"] = Field(
        default="together",
        description="near-duplicates: together on the side of the one that came first, or apart, "
        "where a task is the same motion over and over",
    )
    validation: Tail | Share | Choice = 0.15
    test: Share | Choice = 0.2
    unused: Choice = []

    @field_validator("validation", "test", "unused", mode="before")
    @classmethod
    def _one_choice(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) and "rows" in value else as_list(value)
