"""Evaluate a policy on any logs and in its environment, for `kinemill model evaluate`."""

from dataclasses import dataclass

import numpy as np

from kinemill.environments.evaluation import Trials
from kinemill.errors import BadInput
from kinemill.runtime import Policy
from kinemill.store import Json
from kinemill.task import Task
from kinemill.verify.analysis import accuracy, plain
from kinemill.verify.errors import Errors
from kinemill.verify.logs import SPLIT, Logs

FORMAT = 1


@dataclass(frozen=True)
class PolicyEvaluation:
    """What was measured; None for what was not asked for.

    Attributes:
        task: name of the task.
        model: which policy it is.
        logs: whose actions were compared.
        errors: how far actions differ from the logged ones: `model`, and `repeat`.
        trials: episodes in the environment of the task.
    """

    task: str
    model: Json
    logs: Logs | None
    errors: dict[str, Errors] | None
    trials: Trials | None


def action_errors(policy: Policy, logs: Logs) -> dict[str, Errors]:
    """Measure how far actions differ from those of logs: of a policy, and of repeating the last.

    Raises:
        BadInput: the policy has other actions, or observes what the logs have no numbers of, or no
            episode has two rows.
    """
    from kinemill.train.demonstrations import Demonstrations  # which imports torch
    from kinemill.verify.policies.held_out import acted_on, errors_of, judged_rows

    layout, rows = policy.interface.layout, logs.rows
    if policy.actions != tuple(rows.actions):
        raise BadInput(
            "actions", f"are {', '.join(policy.actions)}", expected=", ".join(rows.actions)
        )
    beside = [*layout.images, *layout.texts]
    beside += [name for name in layout.observation if name not in rows.columns]
    if beside:
        raise BadInput(
            logs.where,
            f"are read without {', '.join(beside)}, which the policy observes",
            fix="kinemill model compare measures two versions on the complete test split",
        )
    data = Demonstrations(rows)
    judged = judged_rows(data)
    if not len(judged):
        raise BadInput(logs.where, "has no episode of two rows", expected="longer logs")
    acted = acted_on(policy, data)
    return {
        "model": errors_of(acted[judged], data, judged, policy),
        "repeat": errors_of(data.actions[judged - 1], data, judged, policy),
    }


def try_in_environment(task: Task, policy: Policy) -> Trials:
    """Run a policy in the environment of its task, from the starts of `environment.trials`."""
    from kinemill.environments.evaluation import try_policy
    from kinemill.verify.policies.trials import trial_seeds  # which imports torch

    return try_policy(task, policy, trial_seeds(task))


def policy_document(found: PolicyEvaluation) -> Json:
    """Return evaluation.json of a policy."""
    document: Json = {"format": FORMAT, "form": "policy", "task": found.task, "model": found.model}
    if found.logs is not None and found.errors is not None:
        rows = found.logs.rows
        document["logs"] = {
            "where": str(found.logs.where),
            "taken": list(found.logs.taken),
            "refused": list(found.logs.refused),
            "episodes": len(rows.of(SPLIT)),
            "rows": len(rows.values),
        }
        document["actions"] = {who: accuracy(errors) for who, errors in found.errors.items()}
    if found.trials is not None:
        document["environment"] = _tried(found.trials)
    return plain(document)


def _tried(trials: Trials) -> Json:
    return {
        "episodes": len(trials.seeds),
        "return": trials.mean_return,
        "success": trials.success,
        "intervals": {name: list(pair) for name, pair in trials.interval().items()},
        "steps": float(np.mean(trials.lengths)),
    }
