"""Measurements of policies by the gate: trials from the same starts, or errors on logs."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.policies.environments.card import open_card
from kinemill.policies.environments.evaluation import Trials, bootstrap, trial_seeds, try_policy
from kinemill.register.comparison_results import (
    Compared,
    ComparedOutcome,
    ComparedStart,
    DynamicsComparison,
    PolicyComparison,
    compare_errors,
)
from kinemill.register.gate.inputs import (
    MEASUREMENTS,
    ChampionComparison,
    Findings,
    Loaded,
    Measured,
    Paired,
    RowOverlap,
)
from kinemill.register.gate.measurements import age_of, overlap_of
from kinemill.register.gate.metric import metric_of
from kinemill.register.gate.seen_episodes import seen_episodes, without_episodes
from kinemill.runtime import Policy
from kinemill.runtime.download import run_stored_cases
from kinemill.store import ArtifactRef, Home
from kinemill.task import Task
from kinemill.task.promote import RETURN, SUCCESS
from kinemill.verify.comparison import NRMSE
from kinemill.verify.errors import Errors


@MEASUREMENTS.register("policy")
@dataclass(frozen=True)
class PolicyMeasurements:
    """Measurements of policies in the task's environment, or on the test split of its logs.

    Attributes:
        task: task that sets the metric.
        home: home with the data.
        dataset: training dataset of the challenger, or the card of its environment.
    """

    task: Task
    home: Home
    dataset: ArtifactRef
    _trials: dict[int, tuple[Policy, Trials]] = field(
        default_factory=dict[int, tuple[Policy, Trials]], repr=False, compare=False
    )

    def measure(self, challenger: Loaded) -> Findings:
        """Run a policy from the starts, or measure its actions at held-out rows."""
        metric = metric_of(self.task)
        policy = cast(Policy, challenger)
        if metric.larger:
            return Findings(measured=_measured(self.trials(policy), metric.name))
        from kinemill.policies.verification.references import absent_references

        measured = _errors(_action_errors(policy, self._logs), self._logs.packed)
        return Findings(measured=measured, absent=absent_references(policy))

    def compare(
        self, challenger: Loaded, champion: Loaded, trained_on: Path | None = None
    ) -> ChampionComparison:
        """Run policies from the same starts, or measure their actions at the same rows.

        Demonstrations that the champion was trained on, with the dataset in `trained_on`, are left
        out; a start in the environment is no training row.

        Raises:
            BadInput: No demonstration is left.
        """
        policy = cast(Policy, challenger)
        opponent = cast(Policy, champion)
        if metric_of(self.task).larger:
            return self._compare(self.trials(policy), self.trials(opponent))
        trained_episodes = frozenset[str]()
        if trained_on is not None:
            trained_episodes = seen_episodes(self.home.root / self.dataset.path, trained_on)
        logs = self._logs
        if trained_episodes:
            logs = replace(logs, packed=without_episodes(logs.packed, trained_episodes))
        errors = _action_errors(policy, logs)
        opponent_errors = _action_errors(opponent, logs)
        measured = _errors(errors, logs.packed)
        reference = _errors(opponent_errors, logs.packed)
        headline = errors.compare(opponent_errors, self.task.promote.margin)["1"][NRMSE]
        paired = Paired.of(measured.error, reference.error, headline, {})
        return ChampionComparison(
            challenger=measured,
            measured=reference,
            paired=paired,
            left_out=len(trained_episodes),
        )

    def compare_versions(
        self, a: Loaded, b: Loaded, compared: Compared
    ) -> DynamicsComparison | PolicyComparison:
        """Compare two policies from the same starts, or by their actions at the same rows."""
        first = cast(Policy, a)
        second = cast(Policy, b)
        if metric_of(self.task).larger:
            return _compare_trials(self.trials(first), self.trials(second), compared)
        a_errors = _action_errors(first, self._logs)
        b_errors = _action_errors(second, self._logs)
        horizons = b_errors.compare(a_errors, self.task.promote.margin)
        return compare_errors(a_errors, b_errors, horizons, compared)

    def serve(self, folder: Path) -> tuple[bool, str]:
        """Run the stored cases of the bundle in a separate process."""
        return run_stored_cases(folder)

    def age(self) -> float:
        """Return the age of the dataset version in the catalog, s."""
        return age_of(self.home, self.task, self.dataset)

    def measure_overlap(self) -> RowOverlap:
        """Return the shares of repeated rows of the dataset version; 0 without logs."""
        return overlap_of(self.home, self.dataset) if self.task.learn.from_logs else RowOverlap()

    def trials(self, policy: Policy) -> Trials:
        """Return the trials of a policy in the environment; each policy runs once."""
        # By identity: the stored policy keeps its id from being reused.
        cached = self._trials.get(id(policy))
        if cached is None:
            trials = try_policy(self._world, policy, trial_seeds(self._world))
            cached = self._trials[id(policy)] = policy, trials
        return cached[1]

    @cached_property
    def _world(self) -> Task:
        """The task in the environment that the challenger was verified in."""
        if self.task.learn.from_logs:
            return self.task
        return open_card(self.home, self.dataset).task(self.task)

    def _compare(self, challenger: Trials, champion: Trials) -> ChampionComparison:
        name = metric_of(self.task).name
        new = _measured(challenger, name)
        old = _measured(champion, name)
        # Paired by start: the variance between starts cancels in the differences.
        apart = np.subtract(_values(challenger, name), _values(champion, name)).tolist()
        interval = bootstrap(apart) if apart else (math.nan, math.nan)
        paired = Paired(new.error, old.error, interval=interval)
        return ChampionComparison(challenger=new, measured=old, paired=paired)

    @cached_property
    def _logs(self) -> Any:
        from kinemill.train.demonstrations import Demonstrations  # which imports torch

        return Demonstrations.open(self.home, self.dataset)


def _action_errors(policy: Policy, data: Any) -> Errors:
    """Return the errors of a policy's actions on the test split of demonstrations.

    Raises:
        BadInput: Its actions differ from the dataset's.
    """
    from kinemill.policies.verification.action_errors import actions_on_logs, errors_of, scored_rows

    rows = scored_rows(data)
    return errors_of(actions_on_logs(policy, data)[rows], data, rows, policy)


def _values(trials: Trials, name: str) -> list[float]:
    return [float(value) for value in (trials.returns if name == RETURN else trials.successes)]


def _measured(trials: Trials, name: str) -> Measured:
    values = _values(trials, name)
    metrics = {RETURN: trials.mean_return}
    metrics |= {SUCCESS: trials.success} if trials.success is not None else {}
    mean = float(np.mean(values)) if values else math.nan
    return Measured(mean, metrics, len(trials.returns), len(trials.returns))


def _errors(errors: Errors, packed: PackedDataset) -> Measured:
    channels = dict(zip(errors.channels, errors.rmse.tolist(), strict=True))
    error = errors.nrmse if math.isfinite(errors.nrmse) else math.inf
    return Measured(error, channels, len(errors.starts), len(packed.of("test")))


def _compare_trials(first: Trials, second: Trials, compared: Compared) -> PolicyComparison:
    """Return the comparison of outcomes from the same starts."""
    from kinemill.policies.verification.subject import gain_of  # which imports onnx

    gain = gain_of(second, first)
    success = None
    low, high = gain.returns
    better = "b" if low > 0.0 else "a" if high < 0.0 else None
    if first.success is not None and second.success is not None and gain.success is not None:
        success = _compare_means(first.success, second.success, gain.success)
    pairs = zip(first.seeds, first.returns, second.returns, strict=True)
    return PolicyComparison(
        **vars(replace(compared, better=better)),
        returns=_compare_means(first.mean_return, second.mean_return, gain.returns),
        success=success,
        episodes=[ComparedStart(*returns) for returns in pairs],
    )


def _compare_means(first: float, second: float, interval: tuple[float, float]) -> ComparedOutcome:
    return ComparedOutcome(first, second, second - first, interval)
