"""Measured results of a model in `verification.json` and `evaluation.json`.

Numbers that are not finite are null in JSON, see `kinemill.store.numbers`.
"""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from kinemill.store.numbers import Interval, Number

NO_INTERVAL = (float("nan"), float("nan"))


@dataclass(frozen=True)
class ChannelError:
    """RMSE of each model on one channel at the horizon, in its unit.

    Attributes:
        rmse: RMSE by name of the model, `model` first.
        note: remark on the channel, such as that it never moves in training.
    """

    unit: str
    rmse: dict[str, Number]
    note: str = ""


@dataclass(frozen=True)
class Metrics:
    """Errors at the horizon, and for policies with an environment the outcomes of trials.

    Attributes:
        test: errors by channel.
        nrmse: RMSE / training standard deviation, averaged over channels, by name of the model.
        returns: mean return of an episode by name of the policy; None without an environment.
        success: share of successful episodes by name of the policy; None if it is unknown.
    """

    test: dict[str, ChannelError] = field(default_factory=dict[str, ChannelError])
    nrmse: dict[str, Number] = field(default_factory=dict[str, Number])
    returns: Annotated[dict[str, Number] | None, Field(alias="return")] = None
    success: dict[str, Number] | None = None

    def trial_metrics(self) -> dict[str, dict[str, Number]]:
        """Return the measured outcomes of trials, `return` and `success`."""
        metrics = {"return": self.returns, "success": self.success}
        return {name: values for name, values in metrics.items() if values is not None}

    def by_name(self, name: str) -> dict[str, Number]:
        """Return `nrmse`, `return` or `success` of each model; empty if it was not measured."""
        return ({"nrmse": self.nrmse} | self.trial_metrics()).get(name, {})


@dataclass(frozen=True)
class ChannelAccuracy:
    """Errors of one model on one channel, in its unit.

    Attributes:
        std: standard deviation in training.
        resolution: smallest difference between recorded values.
        noise: standard deviation of the noise of measurements.
        tolerance: largest difference of two errors that means nothing, see `dataset.scale`.
        rmse, mae, mse: root mean square, mean absolute and mean square error at the horizon.
        interval: 95 % interval of `rmse`.
        mean: RMSE averaged over the steps.
        by_step, mae_by_step, mse_by_step: errors after each step.
    """

    unit: str
    std: Number
    resolution: Number
    noise: Number
    tolerance: Number
    rmse: Number
    interval: Interval
    mean: Number
    mae: Number
    mse: Number
    by_step: list[Number]
    mae_by_step: list[Number]
    mse_by_step: list[Number]


@dataclass(frozen=True)
class Accuracy:
    """Errors of one model; `left_out` are the channels that never move in training."""

    nrmse: Number
    nrmse_interval: Interval
    left_out: list[str]
    channels: dict[str, ChannelAccuracy]


@dataclass(frozen=True)
class WindowCounts:
    """Amount of test data behind the errors.

    Attributes:
        count: windows of a dynamics model, or scored rows of a policy; None if not measured.
        history: known rows at the start of each window; None if not measured.
        horizon: number of predicted steps.
        stride: rows between the starts of windows.
        seconds: duration of the horizon, s.
        effective_n: effective number of independent episodes or blocks of windows.
        unit: `episodes` or `blocks`.
        episodes: trials of a policy in its environment.
    """

    count: int | None = None
    history: int | None = None
    horizon: int = 0
    stride: int | None = None
    seconds: Number = float("nan")
    effective_n: Number = float("nan")
    unit: str = "episodes"
    episodes: int | None = None


@dataclass(frozen=True)
class FreeRunErrors:
    """Errors of one model over whole episodes: nRMSE, and RMSE by channel in its unit."""

    nrmse: Number
    rmse: dict[str, Number]
    episodes: int
    steps: int


@dataclass(frozen=True)
class LjungBox:
    """Test of Ljung and Box (1978) that residuals are white: its statistic and p-value."""

    q: Number
    p: Number


@dataclass(frozen=True)
class InputCorrelation:
    """Correlation of residuals with one action by lag, and its 99 % band for white noise."""

    correlation: list[Number]
    band: Number


@dataclass(frozen=True)
class ChannelResiduals:
    """Errors one step ahead on one channel, in its unit, and their autocorrelation by lag."""

    unit: str
    mean: Number
    std: Number
    autocorrelation: list[Number]
    ljung_box: LjungBox
    inputs: dict[str, InputCorrelation]


@dataclass(frozen=True)
class ResidualStatistics:
    """Residuals over `rows` rows and `lags` lags; `band` is the 99 % band for white noise."""

    rows: int
    lags: int
    band: Number
    channels: dict[str, ChannelResiduals]


@dataclass(frozen=True)
class WorstEpisode:
    """Errors on one episode.

    Attributes:
        episode, name: id of the episode, and name of its recording.
        windows: windows that start in it.
        error: error at the horizon in training standard deviations, averaged over windows and
            channels.
        worst_from: time of the current row of its worst window, s after its start.
        rmse, free_run: RMSE by channel at the horizon, and over the whole episode.
    """

    episode: str
    name: str
    rows: int
    windows: int
    error: Number
    worst_from: float
    rmse: dict[str, Number]
    free_run: dict[str, Number]


@dataclass(frozen=True)
class CalibrationCurves:
    """Calibration by channel after each step.

    Attributes:
        coverage: share of windows inside the interval, by its level, such as `0.9`, and channel.
        deviation, rmse: stated standard deviation and RMSE by channel, in its unit.
        uncorrected: `coverage` without the conformal correction; None for a model without one.
        offline: `coverage` with the correction from validation episodes alone; None unless
            intervals follow the errors of the run.
    """

    windows: int
    coverage: dict[str, dict[str, list[Number]]]
    deviation: dict[str, list[Number]]
    rmse: dict[str, list[Number]]
    uncorrected: dict[str, dict[str, list[Number]]] | None = None
    offline: dict[str, dict[str, list[Number]]] | None = None


@dataclass(frozen=True)
class AnalysisResults:
    """Results of an analysis of a dynamics model, except the comparisons."""

    free_run: dict[str, FreeRunErrors]
    residuals: ResidualStatistics
    worst: list[WorstEpisode]
    calibration: CalibrationCurves | None


@dataclass(frozen=True)
class ChannelSensitivity:
    """Change of the last prediction by noise, in the unit of the channel and over the noise."""

    unit: str
    change: Number
    gain: Number


@dataclass(frozen=True)
class Sensitivity:
    """Effect after `steps` steps of noise of `noise` standard deviations in the known rows."""

    noise: float
    steps: int
    channels: dict[str, ChannelSensitivity]


@dataclass(frozen=True)
class Stability:
    """Divergence of long rollouts.

    Attributes:
        diverged: share of rollouts that are not finite, or far outside the range of a channel.
        outside: share of rollouts that leave the limits, by state with limits.
        first_diverged_step: the earliest step at which a rollout diverges; None if none does.
    """

    steps: int
    rollouts: int
    diverged: Number
    outside: dict[str, Number]
    first_diverged_step: int | None


@dataclass(frozen=True)
class ChannelPrecision:
    """RMS of the loss by rounding, of the model's error, and the allowed loss, in `unit`."""

    unit: str
    loss: Number
    error: Number
    allowed: Number


@dataclass(frozen=True)
class PrecisionResults:
    """Loss by rounding to `dtype` after `steps` steps, and whether it is negligible."""

    dtype: str
    steps: int
    passed: bool
    channels: dict[str, ChannelPrecision]


@dataclass(frozen=True)
class LoopEpisode:
    """One episode of a controller with the model, which found no plan at `refused` steps."""

    seed: int
    cost: Number
    success: bool | None
    steps: int
    refused: int = 0


@dataclass(frozen=True)
class ClosedLoop:
    """A controller with the exported model on the simulated robot.

    Attributes:
        successes: number of successful episodes; None if the task has no `control.success`.
        cost, idle_cost: mean cost of the controller, and of zero actions from the same starts.
        action_ms: median time to compute one action, ms.
    """

    plant: str
    episodes: list[LoopEpisode]
    successes: int | None
    cost: Number
    idle_cost: Number
    action_ms: Number


@dataclass(frozen=True)
class TrialResults:
    """Episodes of one policy in its environment; intervals are 95 % bootstrap intervals."""

    mean_return: Number
    return_interval: Interval
    success: float | None
    success_interval: Interval | None
    returns: list[Number]
    successes: list[bool]
    lengths: list[int]
    seeds: list[int]


@dataclass(frozen=True)
class TorchTrials:
    """Episodes with the exported policy and with the policy in torch from the same starts.

    Attributes:
        diverged_at: step at which the observations differ, by episode; None if they never differ.
        onnx_returns, torch_returns: return of each episode.
        faults: actions that differ although all earlier observations are equal.
    """

    episodes: int
    diverged_at: list[int | None]
    onnx_returns: list[Number]
    torch_returns: list[Number]
    faults: list[str]


@dataclass(frozen=True)
class PolicyGain:
    """95 % intervals of the mean paired difference from another policy."""

    returns: Interval
    success: Interval | None = None

    def by_name(self, name: str) -> Interval | None:
        """Return the interval of `return` or `success`; None if it was not measured."""
        return {"return": self.returns, "success": self.success}.get(name)
