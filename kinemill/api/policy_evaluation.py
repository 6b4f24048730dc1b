"""Evaluate a policy on logs or frames, and in an environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinemill.api.arguments import count_or
from kinemill.api.evaluation import read_data
from kinemill.api.frames import FrameLogs
from kinemill.api.html import Summarized
from kinemill.api.models import LoadedModel, ModelLike, displayed_model, load_policy_of
from kinemill.errors import BadInput
from kinemill.runtime.policy import Policy
from kinemill.task.document import Task

if TYPE_CHECKING:
    import polars as pl

    from kinemill.policies.environments.evaluation import Trials
    from kinemill.policies.verification.evaluation import LogMeasurement
    from kinemill.verify.document import PolicyEvaluation


@dataclass(frozen=True, eq=False, repr=False)
class PolicyResults(Summarized):
    """Differences of a policy from logged actions, and trials in an environment.

    Attributes:
        document: all results, content of `evaluation.json`.
        folder: folder of the report, or None.
    """

    document: "PolicyEvaluation"
    folder: Path | None = None

    @property
    def mean_return(self) -> float | None:
        """Mean return of an episode; None without trials."""
        trials = self.document.trials.get("model")
        return None if trials is None else trials.mean_return

    @property
    def success(self) -> float | None:
        """Share of episodes that succeed; None if the environment does not report it."""
        trials = self.document.trials.get("model")
        return None if trials is None else trials.success

    @property
    def rmse(self) -> dict[str, float]:
        """RMSE between each action and the logged one, in its unit; empty without logs."""
        actions = self.document.actions
        return (
            {n: channel.rmse for n, channel in actions["model"].channels.items()} if actions else {}
        )

    def to_polars(self) -> "pl.DataFrame":
        """Return one row per model and action: `model`, `action`, `unit`, `rmse` and `mae`.

        Models are the policy, `model`, and its references; errors are in `unit`.
        """
        import polars as pl

        return pl.DataFrame(
            [
                {
                    "model": who,
                    "action": name,
                    "unit": channel.unit,
                    "rmse": channel.rmse,
                    "mae": channel.mae,
                }
                for who, accuracy in (self.document.actions or {}).items()
                for name, channel in accuracy.channels.items()
            ]
        )

    def _facts(self) -> tuple[str, Mapping[str, object]]:
        document = self.document
        trials = document.trials.get("model")
        facts = {
            "return": self.mean_return,
            "success": self.success,
            "episodes": len(trials.returns) if trials else None,
            **{f"RMSE {name}": error for name, error in self.rmse.items()},
            "report": self.folder,
        }
        return displayed_model(document.task, document.source.name), facts


def evaluate_policy(
    model: ModelLike,
    data: FrameLogs | str | Path | None = None,
    *,
    task: Task | None = None,
    episodes: int | None = None,
    variant: str | None = None,
    horizon: int | None = None,
    stride: int | None = None,
    to: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> PolicyResults:
    """Measure a policy: differences from logged actions, and trials in its environment.

    Trials start from the same seeds for the policy, for random actions, and for the champion if
    the policy is another version.

    Args:
        model: as in `evaluate`.
        data: frames, a log or a folder of logs; None: trials only.
        task: task of a model folder.
        episodes: number of trials; 0: none; default: `environment.trials.episodes`.
        variant: one of the environment's variants; default: `environment.trials.variant`.
        horizon: steps after a reset of a policy with a memory; default: `verify.horizon`.
        stride: rows between these resets; default: `verify.stride`.
        to: folder for `report.html` and `evaluation.json`; default: none is written.
        overrides: overrides of a registered model's task, such as `environment.id`.

    Raises:
        BadInput: There is no such policy or variant, the environment has other observations or
            actions, or there are neither logs nor trials.
        CorruptArtifact: The files of the policy are damaged.
    """
    from kinemill.policies.verification.evaluation import PolicyMeasurement
    from kinemill.verify.document import EvaluatedModel

    loaded: LoadedModel[Policy] = load_policy_of(model, task, overrides)
    model_task = loaded.task
    notes = list[str]()
    has_trials = model_task.environment is not None and episodes != 0
    if data is None and not has_trials:
        expected = "logs, or episodes in an environment"
        raise BadInput("evaluate", "has nothing to measure", expected=expected)
    on_logs = None
    if data is not None:
        horizon = count_or("horizon", horizon, model_task.verify.horizon)
        on_logs = _on_logs(loaded, data, horizon, stride, notes)
    trials = _trials(loaded, episodes, variant, notes) if has_trials else {}
    measurement = PolicyMeasurement(
        model_task.name,
        EvaluatedModel(**loaded.to_json()),
        on_logs,
        _environment_text(model_task, variant) if trials else None,
        trials,
        notes,
    )
    if to is None:
        return PolicyResults(measurement.document())
    folder = Path(to).expanduser().resolve()
    return PolicyResults(measurement.write(folder), folder)


def _on_logs(
    loaded: LoadedModel[Policy],
    data: FrameLogs | str | Path,
    horizon: int,
    stride: int | None,
    notes: list[str],
) -> "LogMeasurement":
    from kinemill.policies.verification.action_errors import action_curves, measure_logs
    from kinemill.policies.verification.evaluation import LogMeasurement
    from kinemill.train.demonstrations import Demonstrations
    from kinemill.verify.evaluation import refusal_note

    logs = read_data(loaded.task, loaded.home, data)
    notes += refusal_note(logs)
    if loaded.model.interface.layout.mask:
        notes.append("logs have no action mask: forbidden choices count as allowed")
    held_out = measure_logs(loaded.model, logs, loaded.task.learn.plan_rows)
    rows = Demonstrations(logs.rows, logs.media)
    steps = horizon, count_or("stride", stride, loaded.task.verify.stride)
    curves = action_curves(loaded.model, rows, held_out, *steps)
    return LogMeasurement(logs, held_out, curves)


def _trials(
    loaded: LoadedModel[Policy], episodes: int | None, variant: str | None, notes: list[str]
) -> "dict[str, Trials]":
    from kinemill.policies.environments.evaluation import require_fit, try_policy
    from kinemill.policies.environments.factory import environment_of
    from kinemill.policies.verification.trials import run_random

    model_task = loaded.task
    settings = environment_of(model_task).trials
    seeds = [
        settings.seed + index for index in range(count_or("episodes", episodes, settings.episodes))
    ]
    layout = loaded.model.interface.layout
    observed = (*layout.observation, *layout.images, *layout.texts)
    require_fit(model_task, observed, layout.actions, layout.choices, variant)
    actors = {"model": loaded.model} | _champion(loaded, notes)
    trials = {
        who: try_policy(model_task, actor, seeds, variant=variant) for who, actor in actors.items()
    }
    return trials | {"random": run_random(model_task, seeds, variant)}


def _champion(loaded: LoadedModel[Policy], notes: list[str]) -> dict[str, Policy]:
    """Return the champion by its alias if another version or a folder is evaluated, else {}."""
    from kinemill.register.gate.evaluation import differences
    from kinemill.register.versions import CHAMPION, aliases_of

    home = loaded.home
    name = loaded.task.name
    number = aliases_of(home, name).get(CHAMPION)
    if number in (None, loaded.version):
        return {}
    champion = load_policy_of(f"{name}:{number}").model
    if differs := differences(champion.interface, loaded.model.interface):
        notes.append(f"not compared with the champion, version {number}: {'; '.join(differs)}")
        return {}
    return {CHAMPION: champion}


def _environment_text(task: Task, variant: str | None) -> str:
    from kinemill.policies.environments.factory import environment_of

    environment = environment_of(task)
    name = getattr(environment, "id", None) or getattr(environment, "path", None)
    variant = variant or environment.trials.variant
    parts = [environment.type, name, f"variant {variant}" if variant else None]
    return ", ".join(str(part) for part in parts if part)
