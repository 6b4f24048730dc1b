"""A policy as the subject of verification, with the trained network, its environment or logs.

Symbols: N rows, T steps, A actions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import onnx

from kinemill.export.policy_cases import Cases, make_cases
from kinemill.export.summary import ExportSummary
from kinemill.policies.environments.evaluation import Trials, bootstrap
from kinemill.policies.environments.logs import write_steps
from kinemill.policies.verification.action_errors import MODEL, HeldOut, measure_held_out
from kinemill.policies.verification.episode_inputs import logged_probe, recorded_probe
from kinemill.policies.verification.exported_policy import ExportedPolicy
from kinemill.policies.verification.trials import EnvironmentTrials, run_trials, trial_results
from kinemill.runtime import Policy, PolicyInterface
from kinemill.task import Task, Verify
from kinemill.task.promote import RETURN, SUCCESS
from kinemill.train.demonstrations import Demonstrations
from kinemill.train.policy import PolicyModule
from kinemill.train.policy_runner import as_policy
from kinemill.verify.analysis import accuracy, metrics_of
from kinemill.verify.check_results import Parity
from kinemill.verify.checklist import Gate, finite, gate
from kinemill.verify.document import Verification
from kinemill.verify.execution_providers import THREADS
from kinemill.verify.losses import Counted
from kinemill.verify.parity import BATCHES, failed_parity
from kinemill.verify.results import PolicyGain, WindowCounts
from kinemill.verify.test_inputs import Probe

RANDOM = "random"


@dataclass(frozen=True)
class PolicySubject:
    """An exported policy, the trained policy, and the data.

    Attributes:
        task: the task, with the `environment` of the card, if there is a card.
        folder: folder of `policy.onnx`.
        module: the trained policy in torch.
        trained: interface of the trained policy.
        demonstrations: logs with a test split; None if the policy did not learn from logs.
        source: folder of the trained policy, with its learning curves.
        exported_summary: summary of the export, with C99.
    """

    task: Task
    folder: Path
    module: PolicyModule
    trained: PolicyInterface
    demonstrations: Demonstrations | None = None
    source: Path | None = None
    exported_summary: ExportSummary | None = None

    @cached_property
    def _exported(self) -> ExportedPolicy:
        return ExportedPolicy(self.folder)

    @property
    def exported(self) -> ExportedPolicy:
        """The file."""
        return self._exported

    @property
    def policy(self) -> Policy:
        """The file, loaded so that NaN inputs are accepted."""
        return self.exported.policy

    @property
    def kind(self) -> str:
        """Its name in `KINDS`."""
        return "policy"

    @property
    def task_name(self) -> str:
        """Name of the task."""
        return self.task.name

    @property
    def settings(self) -> Verify:
        """The `verify` part of the task."""
        return self.task.verify

    @property
    def probes(self) -> list[Probe]:
        """Test inputs; recorded observations, if there are any, come first."""
        return self._probes

    @cached_property
    def _probes(self) -> list[Probe]:
        recorded = self._recorded()
        return [*([recorded] if recorded else []), *self.exported.make_probes()]

    def _recorded(self) -> Probe | None:
        """Return observations of the environment, else of held-out logs, else None."""
        if self.trials is not None:
            return recorded_probe(self.trials.model.episodes, self.exported.interface)
        if self.demonstrations is not None:
            return logged_probe(self.demonstrations, self.exported.interface)
        return None

    def check_metadata(self, models: Mapping[Path, onnx.ModelProto]) -> Gate:
        """Compare the metadata of the file with the trained policy; versions may differ."""
        del models
        faults = [
            f"differs in {item.name}"
            for item in fields(self.trained)
            if item.name != "versions"
            and getattr(self.exported.interface, item.name) != getattr(self.trained, item.name)
        ]
        return gate("metadata", faults, "as in the trained policy")

    def compare_with_torch(self) -> list[Parity]:
        """Compare on all probes at several batch sizes, and on the first with two threads too."""
        rows = self._compare(self.exported.make_probes())
        if any(row.error for row in rows):
            return rows  # recorded observations need trials, which a policy that raises cannot run
        recorded = self._recorded()
        return [*(self._compare([recorded]) if recorded else []), *rows]

    def _compare(self, probes: list[Probe]) -> list[Parity]:
        rows: list[Parity] = []
        for index, probe in enumerate(probes):
            cases = make_cases(self.module, self.trained, probe.inputs)
            batches = [batch for batch in BATCHES if batch < probe.rows] + [probe.rows]
            rows += [self._compare_batch(cases, probe, batch, 1) for batch in batches]
            if index == 0:
                rows.append(self._compare_batch(cases, probe, probe.rows, THREADS))
        return rows

    def _compare_batch(self, cases: Cases, probe: Probe, batch: int, threads: int) -> Parity:
        """Compare the first `batch` rows of a probe, in one batch."""
        expected = cases.action[:batch]
        allowed = cases.allowed[:batch]
        try:
            actions = self.exported.outputs(probe.first(batch), threads)
        except Exception as error:  # noqa: BLE001 - ONNX Runtime raises many unrelated types
            return failed_parity("policy", probe, error, batch)
        off = np.abs(actions.astype(np.float64) - expected)
        excess = np.where(np.isfinite(off), off - allowed, np.inf)
        worst = np.unravel_index(int(excess.argmax()), off.shape)
        is_finite = bool(np.isfinite(actions).all())
        return Parity(
            call="policy",
            probe=probe.name,
            batch=batch,
            channel=self.policy.actions[int(worst[-1])],
            difference=float(off[worst]),
            allowed=float(allowed[worst]),
            finite=is_finite,
            passed=bool((off <= allowed).all()) and is_finite,
            steps=cases.steps,
            threads=threads,
        )

    @cached_property
    def trials(self) -> EnvironmentTrials | None:
        """Episodes in the environment; None without one."""
        if self.task.environment is None:
            return None
        in_torch = as_policy(self.module, self.task.name, finite=False)
        return run_trials(self.task, self.policy, in_torch, self.trained)

    @cached_property
    def held_out(self) -> HeldOut | None:
        """Differences from held-out logged actions; None if the policy does not imitate them."""
        learn = self.task.learn
        if self.demonstrations is None or not learn.imitates_actions(self.task):
            return None
        history = getattr(learn, "history", None) or getattr(learn, "seq_len", 1)
        return measure_held_out(self.policy, self.demonstrations, history, learn.plan_rows)

    def check_behavior(self) -> list[Gate]:
        """Check returns in the environment, and that errors on logs are finite."""
        gates = self.trials.gates() if self.trials else []
        if self.held_out is not None:
            errors = self.held_out.errors[MODEL].by_step
            gates.append(finite("finite errors", bool(np.isfinite(errors).all())))
        return gates

    def measure(self) -> list[Gate]:
        """Return no gates, because `check_behavior` has measured everything."""
        return []

    def throughput_of(self) -> tuple[Probe, int, tuple[int, ...]]:
        """Return the largest probe, one step, and one thread."""
        return max(self.probes, key=lambda probe: probe.rows), 1, (1,)

    def document(self) -> Verification:
        """Return errors of actions, returns, success, and the comparison with random actions."""
        held_out = self.held_out
        trials = self.trials
        errors = held_out.errors if held_out else {}
        metrics = metrics_of(errors)
        windows = WindowCounts(horizon=1)
        if held_out:
            model = errors[MODEL]
            windows = WindowCounts(
                count=len(model.starts), horizon=1, effective_n=model.effective_n, unit=model.unit
            )
        by_actor = {MODEL: trials.model, RANDOM: trials.random} if trials else {}
        if trials:
            metrics = replace(
                metrics,
                returns={who: actor_trials.mean_return for who, actor_trials in by_actor.items()},
            )
            windows = replace(windows, episodes=len(trials.model.returns))
            shares = {
                who: actor_trials.success
                for who, actor_trials in by_actor.items()
                if actor_trials.success is not None
            }
            if trials.model.success is not None:
                metrics = replace(metrics, success=shares)
        promote = self.task.promote
        # Then the gate compares returns, and errors of actions on logs do not count.
        in_environment = promote.metric in (RETURN, SUCCESS)
        return Verification(
            form="policy",
            metrics=metrics,
            accuracy={who: accuracy(action_errors) for who, action_errors in errors.items()},
            against={
                name: errors[MODEL].compare(action_errors)
                for name, action_errors in errors.items()
                if name != MODEL
            },
            gains={RANDOM: gain_of(trials.model, trials.random)} if trials else {},
            windows=windows,
            counted=Counted((), None, promote.margin) if trials and in_environment else None,
            trials={who: trial_results(actor_trials) for who, actor_trials in by_actor.items()},
            torch_trials=trials.torch_trials() if trials else None,
            c99=self.exported_summary.c99 if self.exported_summary else None,
        )

    def write_files(self, folder: Path) -> None:
        """Write the steps of the first trials to `rollouts.parquet` if there is an environment."""
        if self.trials:
            write_steps(self.trials.model.episodes, folder)


def gain_of(trials: Trials, baseline: Trials) -> PolicyGain:
    """Return 95 % intervals of the mean paired difference in return and success."""
    returns = bootstrap(np.subtract(trials.returns, baseline.returns).tolist())
    success = None
    if trials.successes and baseline.successes:
        apart = np.asarray(trials.successes, float) - np.asarray(baseline.successes, float)
        success = bootstrap(apart.tolist())
    return PolicyGain(returns, success)
