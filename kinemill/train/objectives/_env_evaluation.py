"""Evaluate a policy in its environment during training."""

import math

from kinemill.environments.evaluation import try_policy
from kinemill.environments.factory import environment_of
from kinemill.errors import BadInput
from kinemill.task.document import Task
from kinemill.train.objectives._bc_loss import Cloning
from kinemill.train.policy_runner import as_policy

FAILURE = "validation/missed"
_TIE = 1e-3  # upper bound of the loss term, which decides between equal success rates


class EnvEvaluation:
    """Errors on validation episodes, and return and success rate in the environment.

    Its seeds come after those of the trials, so the final evaluation uses other starts.

    Args:
        cloning: loss and errors of the policy.
        task: task with an `environment` part.

    Raises:
        BadInput: The task has no environment.
    """

    def __init__(self, cloning: Cloning, task: Task) -> None:
        trials = environment_of(task).trials
        self._cloning, self._task = cloning, task
        first = trials.seed + trials.episodes
        self.seeds = range(first, first + trials.n_eval_episodes)

    def __call__(self) -> dict[str, float]:
        """Return the metrics; `missed` is the failure rate, and the loss breaks ties.

        Raises:
            BadInput: `learn.checkpoint` is success, and the environment does not report it.
        """
        errors = self._cloning.evaluate()
        trials = try_policy(self._task, as_policy(self._cloning.module), self.seeds)
        errors["validation/return"] = trials.mean_return
        if trials.success is not None:
            errors["validation/success"] = trials.success
            loss = errors["validation/loss"]
            errors[FAILURE] = 1.0 - trials.success + _TIE * (0.5 + math.atan(loss) / math.pi)
        elif self._cloning.learn.checkpoint == "success":
            where = "learn.checkpoint: success"
            raise BadInput(where, "the environment does not report it (info['is_success'])")
        return errors
