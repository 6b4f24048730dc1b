"""The `promote` and `retrain` parts: promotion rules and triggers of automatic training."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, SerializeAsAny, ValidationInfo, field_validator

from kinemill.errors import BadInput
from kinemill.registry import nearest
from kinemill.task.bounds import Count, Fraction, Quantity, Ratio, RatioOrZero, RowCount, Seconds
from kinemill.task.channels import Channel
from kinemill.task.plugins import RULES, GateRule
from kinemill.task.settings import Problems, Settings

NRMSE = "test/nrmse"
RETURN = "return"
SUCCESS = "success"
ACTIONS = "action_rmse"
FREE_RUN = "free_run"  # whole episodes, simulated from the first state
# Reference models that a dynamics model must beat: see kinemill.selection.references.
DynamicsReference = Literal[
    "persistence", "constant_velocity", "linear", "linear_sincos", "physics"
]
REFERENCES: tuple[str, ...] = get_args(DynamicsReference)
# References of policies on logs: see kinemill.policies.verification.references.
PolicyReference = Literal["mean", "repeat", "linear", "nearest"]
POLICY_REFERENCES: tuple[str, ...] = get_args(PolicyReference)
TRIVIAL = REFERENCES[:2]  # without a model file; an exported reference must beat them, too
_CRON = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))  # minute, hour, day, month, weekday
_CRON_ITEM = re.compile(r"(?:\*|(?P<from>\d+)(?:-(?P<to>\d+))?)(?:/[1-9]\d*)?")
_PERIODS = {"min": 60.0, "hour": 3600.0, "day": 86400.0, "week": 604800.0}  # s
_PERIOD = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s+(?P<unit>min|hour|day|week)s?")


def _seconds(value: object) -> object:
    """Convert text such as `30 days` to s; return any other value unchanged."""
    match = _PERIOD.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match["number"]) * _PERIODS[match["unit"]] if match else value


def _rules(value: object, info: ValidationInfo) -> object:
    """Build the settings of each rule by its class."""
    if not isinstance(value, dict):
        return value
    built: dict[str, object] = {}
    for name, settings in value.items():
        try:
            rule = RULES[name]
        except BadInput as error:
            raise ValueError(str(error)) from error
        if not (isinstance(rule, type) and issubclass(rule, GateRule)):
            limited = [key for key in RULES if isinstance(RULES[key], type)]
            raise ValueError(
                f"{name!r} takes no settings; rules with settings: {', '.join(limited) or 'none'}"
            )
        built[name] = rule.model_validate(settings, context=info.context)
    return built


class Promote(Settings):
    """Promotion rules: when a challenger becomes champion."""

    metric: str = Field(default=NRMSE, pattern=r"^(test/.|return$|success$|action_rmse$)")
    """metric to compare on the test split at verify.horizon. Dynamics models: test/nrmse, the RMSE
    divided by the standard deviation, averaged over channels; or test/CHANNEL, the RMSE of one
    state, in its unit. Policies: return or success of the trials in the environment, or
    action_rmse, the RMSE to the actions of held-out logs; default: return, or action_rmse
    without an environment"""
    beats: list[Literal[DynamicsReference, "random", PolicyReference, "champion"]] = [
        *get_args(DynamicsReference),
        "champion",
    ]
    """references that a model must beat; default for policies: random and champion, or without an
    environment mean (the mean action), repeat (the last observed action), linear, nearest (the
    most similar demonstration) and champion"""
    horizons: list[RowCount | Literal["free_run"]] | None = Field(default=None, min_length=1)
    """horizons in steps, or free_run for whole episodes, at which a model must not be worse than a
    reference; default: 1, the square root of verify.horizon, verify.horizon, free_run"""
    channels: list[str] | None = Field(default=None, min_length=1)
    """states on which a model must not be worse than a reference; default: all"""
    allow_reference: bool = True
    """if the trained model is worse than a reference, evaluate and register the best reference
    instead"""
    margin: float = Field(default=0.02, ge=0.0, lt=1.0)
    """relative: model <= (1 - margin) x reference"""
    ceiling: Quantity | None = None
    """highest possible return of an episode, such as 500 for CartPole-v1; the margin never requires
    more"""
    interval: bool = True
    """require that the 95 % confidence interval of the error ratio model / reference on the same
    rows is below 1; for return and success, that of the difference model - reference, paired by
    start, is above 0"""
    same_interface: bool = True
    """require the champion's channels, units, dt and history, or an approval of the breaking
    change"""
    max_channel_loss: RatioOrZero | None = None
    """largest relative loss of a channel: RMSE <= (1 + this) x the champion's"""
    max_size: Ratio | None = None
    """size of the ONNX files, MB"""
    max_diverged: float | None = Field(default=None, ge=0.0, le=1.0)
    """largest fraction of long rollouts that diverge"""
    min_success: Fraction | None = None
    """smallest success rate: the share of the `verify.closed_loop` episodes; without these, the
    lower end of the 95 % interval of the trials on the robot that kinemill model trials records"""
    max_refused: float | None = Field(default=None, ge=0.0, le=1.0)
    """largest share of the steps of these episodes at which the planner refuses all plans, see
    `control.uncertainty.max_std`"""
    coverage: tuple[Fraction, Fraction] | None = None
    """lowest and highest share of the test windows in the 90 % intervals of a model with
    uncertainty, the mean over states, after every step up to verify.horizon"""
    max_data_age: Annotated[Seconds, BeforeValidator(_seconds)] | None = None
    """age of the dataset at the decision, s or `30 days`"""
    min_test_episodes: Count = 5
    """test episodes; with fewer, a champion is provisional"""
    min_independent: Count = 6
    """independent episodes or blocks of test rows; with fewer, a champion is provisional"""
    max_repeated: float = Field(default=0.5, ge=0.0, le=1.0)
    """largest fraction of test rows that are copies of training rows"""
    approval: bool = False
    """require a manual approval: kinemill model approve"""

    rules: Annotated[dict[str, SerializeAsAny[GateRule]], BeforeValidator(_rules)] = {}
    """settings of further gate rules by name, such as those of plug-ins"""

    @property
    def channel(self) -> str | None:
        """The state whose error is compared; None: all states."""
        named = self.metric.startswith("test/") and self.metric != NRMSE
        return self.metric.removeprefix("test/") if named else None

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return problems: an unknown metric, or channels that are not states."""
        states = [name for name, channel in channels.items() if channel.role == "state"]
        errors: Problems = [
            (("channels", index), f"{name!r} is not a state; {nearest(name, states)}")
            for index, name in enumerate(self.channels or [])
            if name not in states
        ]
        if self.channel is not None and self.channel not in states:
            suggestion = nearest(self.metric, [NRMSE, *(f"test/{name}" for name in states)])
            errors.append((("metric",), f"unknown metric {self.metric!r}; {suggestion}"))
        return errors

    def unfit(self, *, policy: bool, environment: bool, horizon: int) -> Problems:
        """Return the rules that do not apply to the trained model.

        Args:
            policy: whether the model is a policy.
            environment: whether the task has an environment to evaluate in.
            horizon: `verify.horizon`, the largest number of steps that is measured.
        """
        longer = [
            steps for steps in self.horizons or [] if steps != FREE_RUN and int(steps) > horizon
        ]
        errors: Problems = [
            (("horizons",), f"{steps} steps are more than verify.horizon, {horizon}")
            for steps in longer
        ]
        in_environment = self.metric in (RETURN, SUCCESS)
        if not policy and (in_environment or self.metric == ACTIONS):
            errors.append((("metric",), f"{self.metric} applies to policies; expected {NRMSE}"))
        if policy and in_environment and not environment:
            errors.append((("metric",), f"{self.metric} needs an `environment` part"))
        if policy and self.channel is not None:
            errors.append((("metric",), f"{self.metric} applies to states; expected {ACTIONS}"))
        if self.ceiling is not None and not (
            policy and environment and self.metric in (NRMSE, RETURN)
        ):
            errors.append((("ceiling",), "applies to returns, which are not compared here"))
        of_policies = {"random", *POLICY_REFERENCES} - {*REFERENCES}
        unusable = [name for name in self.beats if not policy and name in of_policies]
        return errors + [(("beats",), f"{name} applies to policies only") for name in unusable]


class Retrain(Settings):
    """Triggers of automatic training."""

    on_arrival: bool = True
    """start a run on new logs in the drop folder"""
    on_task_change: bool = False
    """start a run when the task file or the program changed"""
    after_new_recordings: Count = 1
    """number of new recordings that starts a training"""
    on_drift: bool = True
    """start a run when the champion's error on new episodes is too large"""
    drift_factor: float = Field(default=2.0, gt=1.0, le=1e6)
    """drift: the error exceeds this factor times the 95 % quantile of the champion's errors on
    held-out segments of the same length"""
    cron: str | None = "0 3 * * *"
    """times of scheduled runs in cron syntax; null: none"""
    freshness: Annotated[Seconds, BeforeValidator(_seconds)] | None = 7 * 86400.0
    """time without a run, s or `7 days`, after which Dagster shows the registered model as not
    fresh; null: never"""

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str | None) -> str | None:
        # A single invalid schedule would keep Dagster from loading all tasks.
        if value is not None and not _is_cron(value):
            message = "is not a cron line of minute, hour, day, month, weekday, such as `0 3 * * *`"
            raise ValueError(message)
        return value


def _is_cron(line: str) -> bool:
    """Return whether each field of a cron line is `*` or numbers in range."""
    fields = line.split()
    return len(fields) == len(_CRON) and all(
        (match := _CRON_ITEM.fullmatch(item)) is not None
        and all(low <= int(number) <= high for number in match.group("from", "to") if number)
        for field, (low, high) in zip(fields, _CRON, strict=True)
        for item in field.split(",")
    )
