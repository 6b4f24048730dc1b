"""Reference motion: a policy that reproduces recorded clips under a command.

Stage one learns from the clips alone: each target is the joint angle of the next row. A family of
gaits is fitted first (`motion.gaits`), so that few clips are enough. The network learns
the residual in rollouts of `horizon` rows. If the task has an environment, stage two learns a
correction of these gaits in physics (`motion.motion_tracking`).
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from kinemill.policies.motion.settings import MotionSettings
from kinemill.store import Json
from kinemill.task import OBJECTIVES, Task, TorchModule
from kinemill.train.context import Trained, TrainingContext


@OBJECTIVES.register("motion")
class Motion(MotionSettings):
    """Imitate recorded gaits: the targets are the next joint angles of the clips."""

    reads_clips: ClassVar[bool] = True
    version: ClassVar[int] = 8

    def needed_rows(self, task: Task) -> dict[str, dict[str, int]]:
        """Return the rows of one window of training and of one of validation, without physics."""
        if task.environment is not None:
            return {}
        from kinemill.policies.motion.gait_rollout import EVALUATION_ROWS  # with torch

        history = {"learn.history": self.history}
        return {
            "train": history | {"learn.horizon": self.horizon},
            "validation": history | {"rows after it": EVALUATION_ROWS},
        }

    def imitates_actions(self, task: Task) -> bool:
        """Return whether it learns from the clips alone.

        In physics a target differs from the clip's next angle by what the servo needs to reach it.
        """
        return task.environment is None

    def check_clips(self, task: Task, clips: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise BadInput if the clips cannot be learned from.

        Gaits need a common cycle, twice; clips that an environment tracks have to be readable and
        within the limits of the robot.
        """
        from kinemill.policies.motion.cycles import check_cycles
        from kinemill.policies.motion.tracking_fit import clips_of

        if clips_of(task) is None:
            check_cycles(self, task, clips)

    def setup_function(self) -> Callable[..., object]:
        """Return the function that prepares a training."""
        from kinemill.policies.motion.gait_setup import prepare

        return prepare

    def train(self, task: Task, data: Any, bench: TrainingContext) -> Trained:
        """Train on the clips, or in the task's environment if it has one."""
        if task.environment is not None:
            from kinemill.policies.motion.tracking_fit import fit_tracking

            return fit_tracking(task, data, self.describe(task, data), bench)
        return super().train(task, data, bench)

    def describe(self, task: Task, data: Any) -> Json:
        """Return the policy's layout, units, limits, standard deviations and sizes."""
        from kinemill.policies.motion.gait_setup import describe
        from kinemill.policies.motion.tracking_fit import describe_tracking

        if task.environment is None:
            return {**describe(self, task, data), "physics": False}
        return {**describe_tracking(self, task, data), "physics": True}

    def rebuild(self, description: Json, weights: Mapping[str, object]) -> TorchModule:
        """Return a `GaitPolicy`, or a `TrackingPolicy` if it was trained in an environment."""
        del weights
        if description["physics"]:
            from kinemill.policies.motion.tracking_fit import rebuild_policy

            return rebuild_policy(self, description)
        from kinemill.policies.motion.gait_setup import make_policy

        return make_policy(description)
