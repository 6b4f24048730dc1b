"""Evaluate a policy on logs or frames, and in its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kinemill.api.evaluation import read_data
from kinemill.api.html import facts_table
from kinemill.api.models import LoadedModel, ModelLike, load_policy_of
from kinemill.data.frames import FrameLogs
from kinemill.errors import BadInput
from kinemill.runtime.policy import Policy
from kinemill.task.document import Task

if TYPE_CHECKING:
    import polars as pl

    from kinemill.verify.document import PolicyEvaluation


@dataclass(frozen=True, eq=False)
class PolicyResults:
    """Errors of a policy on the actions of logs, and trials in its environment.

    Attributes:
        document: all results, as `evaluation.json` has them.
    """

    document: "PolicyEvaluation"

    @property
    def mean_return(self) -> float | None:
        """Mean return of an episode; None without an environment."""
        trials = self.document.environment
        return None if trials is None else trials.mean_return

    @property
    def success(self) -> float | None:
        """Share of episodes that succeed; None if it is not known."""
        trials = self.document.environment
        return None if trials is None else trials.success

    def to_polars(self) -> "pl.DataFrame":
        """Return one row per action: errors of the policy and of repeating the last action."""
        import polars as pl

        return pl.DataFrame(
            [
                {"model": who, "action": name, "unit": one.unit, "rmse": one.rmse, "mae": one.mae}
                for who, accuracy in (self.document.actions or {}).items()
                for name, one in accuracy.channels.items()
            ]
        )

    def _repr_html_(self) -> str:
        trials = self.document.environment
        facts = {"return": self.mean_return, "success": self.success}
        return facts_table(
            f"{self.document.task}{self.document.source.name}",
            facts | {"episodes": trials.episodes if trials else None},
        )


def evaluate_policy(
    model: ModelLike,
    data: FrameLogs | str | Path | None = None,
    *,
    task: Task | None = None,
    to: str | Path | None = None,
    overrides: Mapping[str, object] | None = None,
) -> PolicyResults:
    """Measure a policy: its actions against those of logs, and trials in its environment.

    Args:
        model: as in `evaluate`.
        data: frames, a log or a folder of logs; None: trials alone.
        task: of a folder.
        to: folder for `evaluation.json`; default: none is written.
        overrides: of the task of a registered model.

    Raises:
        BadInput: there is no such policy, or neither logs nor an environment.
    """
    from kinemill.environments.evaluation import try_policy
    from kinemill.store import publish_document
    from kinemill.verify.document import EVALUATION, EvaluatedModel
    from kinemill.verify.policies.action_errors import action_errors, policy_evaluation
    from kinemill.verify.policies.trials import trial_seeds

    loaded: LoadedModel[Policy] = load_policy_of(model, task, overrides)
    own, policy = loaded.task, loaded.model
    if data is None and own.environment is None:
        raise BadInput("evaluate", "says too little", expected="logs: no environment to act in")
    read = read_data(own, loaded.home, data) if data is not None else None
    errors = action_errors(policy, read) if read else None
    trials = try_policy(own, policy, trial_seeds(own)) if own.environment else None
    source = EvaluatedModel(**loaded.to_json())
    document = policy_evaluation(own.name, source, read, errors, trials)
    if to is not None:
        folder = Path(to)
        folder.mkdir(parents=True, exist_ok=True)
        publish_document(folder / EVALUATION, document)
    return PolicyResults(document)
