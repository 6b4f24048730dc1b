"""When a challenger becomes champion, and what starts a training by itself, with the reasons."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveFloat, PositiveInt, field_validator

from kinemill.registry import nearest
from kinemill.task.channels import Channel
from kinemill.task.plugins import Settings

NRMSE = "test/nrmse"
RETURN, SUCCESS, ACTIONS = "return", "success", "action_rmse"
FREE_RUN = "free_run"  # whole episodes on the model's own predictions
# What a dynamics model has to beat: see kinemill.verify.references.
REFERENCES = ("persistence", "constant_velocity", "linear", "linear_sincos", "physics")
TRIVIAL = REFERENCES[:2]  # no model file can be made of them: an exported reference beats them, too
_CRON = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))  # minute, hour, day, month, weekday
_CRON_ITEM = re.compile(r"(?:\*|(?P<from>\d+)(?:-(?P<to>\d+))?)(?:/[1-9]\d*)?")
_PERIODS = {"min": 60.0, "hour": 3600.0, "day": 86400.0, "week": 604800.0}  # s
_PERIOD = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s+(?P<unit>min|hour|day|week)s?")


def _seconds(value: Any) -> Any:
    """Read `30 days` as so many s; what is no such text stays as it is."""
    found = _PERIOD.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(found["number"]) * _PERIODS[found["unit"]] if found else value


class Promote(Settings):
    """When a challenger becomes champion: the rules of the gate that the task asks for."""

    metric: str = Field(
        default=NRMSE,
        pattern=r"^(test/.|return$|success$|action_rmse$)",
        description="what is compared on the test split, at the horizon: test/nrmse, the RMSE over "
        "the spread, averaged over channels; or test/CHANNEL, the RMSE of one state, in its unit. "
        "Of policies: return or success of the trials in their environment, or action_rmse, how "
        "far actions are off those of held-out logs; by default the return, or without an "
        "environment action_rmse",
    )
    beats: list[
        Literal[
            "persistence",
            "constant_velocity",
            "linear",
            "linear_sincos",
            "physics",
            "random",
            "repeat",
            "champion",
        ]
    ] = Field(
        default=[*REFERENCES, "champion"],
        description="the references that a model has to beat; by default for policies random and "
        "champion, or repeat, which repeats the action of the row before, linear and champion",
    )
    horizons: list[PositiveInt | Literal["free_run"]] | None = Field(
        default=None,
        min_length=1,
        description="steps, and free_run for whole episodes, at which a model may not be worse "
        "than a reference; default 1, the square root of verify.horizon, verify.horizon, free_run",
    )
    channels: list[str] | None = Field(
        default=None,
        min_length=1,
        description="states on which a model may not be worse than a reference; default all",
    )
    allow_reference: bool = Field(
        default=True,
        description="where the gate refuses the trained model in favor of a reference, the best "
        "reference is registered next",
    )
    margin: float = Field(
        default=0.02, ge=0.0, lt=1.0, description="relative: model <= (1 - margin) x reference"
    )
    ceiling: float | None = Field(
        default=None,
        description="of returns: the highest that an episode can bring, such as 500 of "
        "CartPole-v1; the margin asks for no more",
    )
    interval: bool = Field(
        default=True,
        description="the 95 % interval of model / reference, on the same rows, is below 1; of "
        "returns and successes that of model - reference, paired over starts, is above 0",
    )
    same_interface: bool = Field(
        default=True,
        description="channels, units, dt and history are the champion's, or approved as breaking",
    )
    max_channel_loss: float | None = Field(
        default=None, ge=0.0, description="of each channel: RMSE <= (1 + this) x the champion's"
    )
    max_size: PositiveFloat | None = Field(default=None, description="of the ONNX files, MB")
    max_diverged: float | None = Field(
        default=None, ge=0.0, le=1.0, description="share of long rollouts that may diverge"
    )
    max_data_age: Annotated[PositiveFloat, BeforeValidator(_seconds)] | None = Field(
        default=None, description="of the dataset at the decision, s or `30 days`"
    )
    min_test_episodes: PositiveInt = Field(
        default=5, description="test episodes; with fewer a champion is provisional"
    )
    min_independent: PositiveInt = Field(
        default=6,
        description="independent episodes or blocks of test rows; with fewer it is provisional",
    )
    max_repeated: float = Field(
        default=0.5, ge=0.0, le=1.0, description="share of the test rows that repeat training rows"
    )
    approval: bool = Field(default=False, description="a person has to agree: kinemill approve")

    @property
    def channel(self) -> str | None:
        """The state whose error is compared; None for all of them."""
        named = self.metric.startswith("test/") and self.metric != NRMSE
        return self.metric.removeprefix("test/") if named else None

    def problems(self, channels: Mapping[str, Channel]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return the metric and the channels that are no states."""
        states = [name for name, channel in channels.items() if channel.role == "state"]
        found: list[tuple[tuple[str | int, ...], str]] = [
            (("channels", index), f"{name!r} is no state; {nearest(name, states)}")
            for index, name in enumerate(self.channels or [])
            if name not in states
        ]
        if self.channel is not None and self.channel not in states:
            known = nearest(self.metric, [NRMSE, *(f"test/{name}" for name in states)])
            found.append((("metric",), f"unknown metric {self.metric!r}; {known}"))
        return found

    def unfit(
        self, *, policy: bool, environment: bool, horizon: int
    ) -> list[tuple[tuple[str, ...], str]]:
        """Return what cannot be asked of what is learned.

        Args:
            policy: whether it is one.
            environment: whether there is something to try it in.
            horizon: `verify.horizon`, the most steps that are measured.
        """
        longer = [one for one in self.horizons or [] if one != FREE_RUN and int(one) > horizon]
        found: list[tuple[tuple[str, ...], str]] = [
            (("horizons",), f"{one} steps are more than verify.horizon, {horizon}")
            for one in longer
        ]
        tried = self.metric in (RETURN, SUCCESS)
        if not policy and (tried or self.metric == ACTIONS):
            found.append((("metric",), f"{self.metric} is of policies; expected {NRMSE}"))
        if policy and tried and not environment:
            found.append((("metric",), f"{self.metric} needs an `environment` part"))
        if policy and self.channel is not None:
            found.append((("metric",), f"{self.metric} is of states; expected {ACTIONS}"))
        if self.ceiling is not None and not (
            policy and environment and self.metric in (NRMSE, RETURN)
        ):
            found.append((("ceiling",), "is of returns, which are not compared here"))
        rivals = [name for name in self.beats if not policy and name in ("random", "repeat")]
        return found + [(("beats",), f"{name} is beaten by policies alone") for name in rivals]


class Retrain(Settings):
    """What starts a training by itself."""

    on_arrival: bool = Field(default=True, description="new logs in the drop folder start a run")
    after_new_recordings: PositiveInt = 1
    on_drift: bool = Field(
        default=True, description="new episodes on which the champion errs too much start one, too"
    )
    drift_factor: float = Field(
        default=2.0,
        gt=1.0,
        description="times the error that the champion usually has on held-out stretches of the "
        "same length; more is drift",
    )
    cron: str | None = "0 3 * * *"
    max_age: Annotated[PositiveFloat, BeforeValidator(_seconds)] | None = Field(
        default=None,
        description="of a champion, s or `30 days`; an older one is trained again if logs came",
    )

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str | None) -> str | None:
        # One schedule that Dagster cannot read would keep it from loading any task.
        if value is not None and not _is_cron(value):
            message = "is no cron line of minute, hour, day, month, weekday, as `0 3 * * *`"
            raise ValueError(message)
        return value


def _is_cron(line: str) -> bool:
    """Tell whether every field of a cron line is numbers within its range, `*`, or a step of it."""
    fields = line.split()
    return len(fields) == len(_CRON) and all(
        (found := _CRON_ITEM.fullmatch(item)) is not None
        and all(low <= int(number) <= high for number in found.group("from", "to") if number)
        for field, (low, high) in zip(fields, _CRON, strict=True)
        for item in field.split(",")
    )
