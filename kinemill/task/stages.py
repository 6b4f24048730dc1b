"""Settings of the data stages in a task file, with the reason for each default."""

import fnmatch
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SerializeAsAny,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from kinemill.query import QueryError, Vocabulary, parse
from kinemill.registry import nearest
from kinemill.store import Json
from kinemill.task.bounds import Frequency, RowCount, Seconds, SecondsOrZero, Steps, StepsOrZero
from kinemill.task.channels import Channel, Sources, unit_problem
from kinemill.task.expectation import Expectation
from kinemill.task.own_code import OWN_SCHEMA
from kinemill.task.plugins import CHECKS, READERS, Settings, pick_own
from kinemill.task.settings import MEDIA, Problems, listed_by
from kinemill.task.units import factor
from kinemill.task.web_overrides import LOCAL

Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Patterns = list[str]
CheckName = Annotated[str, Field(pattern="^[a-z][a-z0-9_]*$")]
Suffix = Annotated[str, Field(pattern="^[^/]+$")]
_TICKS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


class Resample(Settings):
    """Resampling of jittered timestamps to the task's fixed time step."""

    method: Literal["linear", "cubic", "mean", "hold"] = "linear"
    """cubic: a spline, for motions close to the Nyquist limit; mean: the mean over a time step, an
    anti-aliasing filter for logs that are much faster than dt; hold: the last sample at or
    before the step"""
    max_gap: Seconds | None = None
    """a longer gap between timestamps, s, ends the episode; default: 5 dt"""


def as_list(value: object) -> object:
    """Convert one name to a list with one item."""
    return [value] if isinstance(value, str) else value


class Meta(Settings):
    """Sources of metadata, such as the session, robot or operator of a recording."""

    name: str | None = None
    """regular expression on the log's first known name, relative to its folder; named groups become
    metadata: `(?P<session>[^/]+)/.*`"""
    sidecar: Annotated[list[Suffix], BeforeValidator(as_list)] = [
        ".meta.json",
        ".meta.yaml",
        ".meta.yml",
    ]
    """suffixes of metadata files next to the log, `run7.meta.yaml` or `run7.csv.meta.yaml` for
    `run7.csv`; they override other sources"""

    @field_validator("name")
    @classmethod
    def _has_groups(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            groups = re.compile(value).groupindex
        except re.error as error:
            raise ValueError(f"is not a regular expression ({error})") from error
        if not groups:
            raise ValueError("has no named group; expected such as `(?P<session>[^/]+)/.*`")
        return value

    def is_sidecar(self, name: str) -> bool:
        """Return whether a file with this name holds metadata of a log."""
        return bool(self.sidecar) and name.lower().endswith(tuple(self.sidecar))


class Ingest(Settings):
    """Selection of log files, and settings of their reader."""

    format: str = "auto"
    """reader of the logs; auto: by content and suffix"""
    time: Annotated[list[str], BeforeValidator(as_list)] = ["time", "timestamp", "t"]
    """column names of the timestamps; the first one present is used"""
    time_unit: Literal["s", "ms", "us", "ns"] | Seconds = "s"
    """unit of numeric timestamps; a number is s per counter tick"""
    time_kind: Literal["stamps", "steps"] = "stamps"
    """steps: the column holds the time since the row before, as `duration` does in logs of
    libfranka; timestamps are its sum"""
    rate: Frequency | None = None
    """sampling rate of logs without timestamps, Hz"""
    groups: Annotated[Patterns, BeforeValidator(as_list)] = []
    """name patterns of the groups in a file that are episodes"""
    parts: dict[str, dict[str, Sources]] = {}
    """experiments in parallel columns of one file: for each, the columns of its channels, and of
    its timestamps as `time`, where they differ from `channels`"""
    include: Annotated[Patterns, BeforeValidator(as_list)] = ["*"]
    """name patterns of the files that are logs"""
    exclude: Annotated[Patterns, BeforeValidator(as_list)] = []
    """name patterns of files that are not logs"""
    resample: Resample = Resample()
    """resampling to the task's time step"""
    meta: Meta = Meta()
    """sources of metadata"""
    partition_by: Literal["robot", "session", "day"] | None = None
    """metadata key by which Dagster shows recordings and episodes as partitions, with a status and
    backfill for each; at most 20,000 values; default: no partitions"""
    on_time_reversal: Literal["split", "quarantine"] = "split"
    """if timestamps decrease: split the log there, or quarantine it"""
    min_file_age: SecondsOrZero = 2.0
    """time that a file must be unchanged before it is read, s"""
    watch: Annotated[str | None, LOCAL] = None
    """drop folder; default: logs/<task> under KINEMILL_HOME"""

    @field_validator("parts")
    @classmethod
    def _plain_names(cls, value: Json) -> Json:
        if odd := [name for name in value if not re.fullmatch(r"[\w-]+", name)]:
            raise ValueError(f"{odd[0]!r} is not a valid part name; use letters, digits, _ and -")
        return value

    @field_validator("format")
    @classmethod
    def _known_format(cls, value: str) -> str:
        if value != "auto" and value not in READERS:
            raise ValueError(f"unknown log format; {nearest(value, ['auto', *READERS])}")
        return value

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems: parts with unknown channels, or with units that cannot be converted."""
        errors: Problems = []
        for part, sources in self.parts.items():
            for name, listed in sources.items():
                where = ("parts", part, name)
                if name not in channels and name != "time":
                    suggestion = nearest(name, [*channels, "time"])
                    errors.append((where, f"unknown channel {name!r}; {suggestion}"))
                elif name in channels and (wrong := unit_problem(listed, channels[name].unit)):
                    errors.append((where, wrong))
        return errors

    @property
    def ticks(self) -> float:
        """Units of the log's timestamps per second."""
        unit = self.time_unit
        return _TICKS[unit] if isinstance(unit, str) else 1.0 / unit

    def wants(self, name: str) -> bool:
        """Return whether a log of this name (relative to its folder) belongs to the task."""
        if self.meta.is_sidecar(name):
            return False
        return _matches(name, self.include) and not _matches(name, self.exclude)


def _matches(name: str, patterns: Patterns) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


class ValidateBase(Settings):
    """Handling of episodes that fail a check; each check adds its own key."""

    on_fault: Literal["split", "cut", "quarantine", "repair"] = "split"
    """split: remove the faulty rows and keep the rows before and after as episodes; cut: end the
    episode before its first fault; quarantine: keep no rows; repair: as split, but interpolate
    missing values and spikes of up to repair_rows"""
    repair_rows: RowCount = 5
    """longest gap that `on_fault: repair` interpolates, rows"""
    max_quarantined_share: float = Field(default=0.5, ge=0.0, le=1.0)
    """largest fraction of quarantined recordings; more blocks the pipeline"""
    min_steps: RowCount = 20
    """shorter pieces are dropped, rows"""
    checks: dict[
        CheckName,
        Annotated[
            SerializeAsAny[Settings],
            BeforeValidator(pick_own(CHECKS)),
            WithJsonSchema({"anyOf": [OWN_SCHEMA, {"type": "string"}]}),
        ],
    ] = {}
    """custom checks by name: `file.py:function` relative to the task file, (values, dt) -> faulty
    rows"""
    expectations: list[Expectation] = []
    """expectations of Great Expectations on the table of episodes, which add to the generated
    suite: `{type: expect_column_values_to_be_between, column: ...}`"""

    @field_validator("checks")
    @classmethod
    def _is_free(cls, value: dict[str, Settings]) -> dict[str, Settings]:
        if reserved := [name for name in value if name in CHECKS]:
            raise ValueError(f"{reserved[0]!r} is the name of a physical check; choose another")
        return value


class EpisodeShare(Settings):
    """A share of the rows of every training episode: its tail, or blocks."""

    tail: Share | None = None
    """share at the end of every training episode"""
    blocks: Share | None = None
    """share in one to four contiguous blocks of every training episode, at positions by content
    hash: a tail is often at rest"""

    @model_validator(mode="after")
    def _is_one(self) -> "EpisodeShare":
        if (self.tail is None) == (self.blocks is None):
            raise ValueError("expected one of `tail` and `blocks`")
        return self


class Rows(Settings):
    """Fixed rows of recordings at the task's time step, as defined by a benchmark."""

    rows: tuple[StepsOrZero, Steps | None]
    """first row, from 0, and last row + 1; null: to the end"""
    of: str = "*"
    """name pattern of the recordings"""

    @field_validator("rows")
    @classmethod
    def _not_empty(cls, value: tuple[int, int | None]) -> tuple[int, int | None]:
        if value[1] is not None and value[1] <= value[0]:
            raise ValueError(f"rows {list(value)} are empty; expected [first, one after the last]")
        return value

    def spell(self) -> str:
        """Return the choice in the syntax of a task file."""
        last = "null" if self.rows[1] is None else self.rows[1]
        return f"{{rows: [{self.rows[0]}, {last}], of: {self.of!r}}}"


Choice = list[str | Rows]


class Joined(Settings):
    """Another task with episodes to add."""

    task: str = Field(pattern="^[a-z][a-z0-9_]*$")
    """name of a task with all of this one's channels"""
    split: bool = False
    """split its episodes like those of this task; false: use all for training"""


class Balance(Settings):
    """Sampling weights of classes of training episodes."""

    group_by: str = "episode"
    """key of the classes: `episode`, `recording`, `task`, or a key of the metadata"""
    power: float = Field(default=1.0, ge=0.0, le=1.0)
    """1: equal weights; 0: weights proportional to rows; 0.5: proportional to the square root"""


class Dataset(Settings):
    """Assignment of episodes to validation, test or no split; the rest are for training."""

    group_by: str = "recording"
    """unit of the split: `recording`, `part` if one file holds several episodes, or a metadata key
    such as `session`"""
    join: Annotated[list[Joined], BeforeValidator(listed_by("task"))] = []
    """tasks with episodes to add"""
    balance: Balance | None = None
    """sampling weights of classes in training; default: none"""
    where: str | None = None
    """SQL condition that the task's own recordings must match; default: all"""
    near_duplicates: Literal["together", "apart"] = "together"
    """near-duplicates: `together` assigns them to the split of the first one; `apart` treats them
    as unrelated, for a task that repeats one motion"""
    validation: EpisodeShare | Share | Choice = 0.15
    """share of the recordings, name patterns, rows, or a tail or blocks of each training episode"""
    test: Share | Choice = 0.2
    """share of the recordings, name patterns, or rows"""
    unused: Choice = []
    """name patterns or rows that belong to no split"""

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return the problem of `where`: no condition, or an unknown channel or unit."""
        if self.where is None:
            return []
        units = {
            name: channel.unit for name, channel in channels.items() if channel.role not in MEDIA
        }
        try:
            parse(self.where, Vocabulary(units, factor, versions=False))
        except QueryError as error:
            return [(("where",), error.message)]
        return []

    @field_validator("validation", "test", "unused", mode="before")
    @classmethod
    def _one_choice(cls, value: object) -> object:
        return [value] if isinstance(value, dict) and "rows" in value else as_list(value)
