"""Stage two: from a family of gaits to a policy that walks in physics, by reinforcement learning.

Loop, checkpoints, resuming and evaluation are those of `learn.type: reinforcement`
(`kinemill.rl.training_loop`). The environment (`motion_tracking`) and the policy
(`tracking_policy`) are different.
"""

from typing import Any

import torch

from kinemill.environments import make_environment
from kinemill.environments.kinds.walker import Walker
from kinemill.errors import BadInput
from kinemill.motion.gait_policy import GaitPolicy, GaitSizes
from kinemill.motion.gait_reference import Reference
from kinemill.motion.gait_setup import clips_of, family_of, scale_of
from kinemill.motion.motion_prior import MotionPrior
from kinemill.motion.motion_tracking import Tracking
from kinemill.motion.tracking_policy import WIDTH, TrackingPolicy, see
from kinemill.rl.learner import Learner, Site
from kinemill.rl.training_loop import Fitting
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store import Json
from kinemill.task.document import Task
from kinemill.train.checkpoint import Groups
from kinemill.train.context import Trained, TrainingContext

_SPREAD = -1.6  # logarithm of the spread of actions at first: 0.2 of what can be added to a gait


def fit_tracking(task: Task, data: Any, about: dict[str, Any], bench: TrainingContext) -> Trained:
    """Learn to walk in the task's environment, and return the best policy.

    Args:
        task: with `learn.type: motion` and an `environment` that is a walker.
        data: `Demonstrations` of the dataset and of its training set.
        about: what `Motion.describe` returned.
        bench: where to work.
    """
    learn: Any = task.learn
    clips = clips_of(learn, task, data[1], "train")
    torch.manual_seed(learn.seed)
    family = GaitPolicy(PolicyLayout.from_json(about["layout"]), _sizes(about))
    family.adopt(family_of(learn, task, clips)[0], scale_of(clips))
    own = task.model_copy(update={"learn": learn.in_physics})
    return _Fitting(own, family, (clips.told(), learn.prior), bench).run()


def rebuilt(learn: Any, about: dict[str, Any]) -> TrackingPolicy:
    """Return a policy from what `Motion.describe` returned, its weights still to come."""
    layout, physics = PolicyLayout.from_json(about["layout"]), learn.in_physics
    core = physics.algorithm.core(physics, WIDTH, len(layout.actions))
    return TrackingPolicy(layout, GaitPolicy(layout, _sizes(about)), core)


def refuse_others(task: Task, layout: PolicyLayout) -> None:
    """Pass if a task's environment is a walker with the channels of its clips.

    Raises:
        BadInput: it is another one, has wrappers, or the channels are not those that it observes
            and takes.
    """
    environment = make_environment(task)
    core = environment.unwrapped
    where = f"task {task.name}: environment"
    if not isinstance(core, Walker):
        raise BadInput(where, f"is a {type(core).__name__}", expected="{type: walker}")
    wanted = (Walker.observation_names, Walker.action_names)
    for found, names in zip((layout.observation, layout.actions), wanted, strict=True):
        if tuple(found) != tuple(names):
            raise BadInput(
                where,
                f"has channels {', '.join(found)}",
                expected=f"those of the walker, in its order: {', '.join(names)}",
            )
    environment.close()
    own: Any = task.environment
    if own.wrappers:
        found = ", ".join(wrapper.type for wrapper in own.wrappers)
        raise BadInput(
            f"{where}.wrappers", f"has {found}", expected="none: walkers learn as they are"
        )


def _sizes(about: dict[str, Any]) -> GaitSizes:
    return GaitSizes.from_json(about["sizes"])


class _Fitting(Fitting):
    """One training.

    Args:
        task: its `learn` part that of reinforcement.
        family: the gaits that are tracked.
        style: commands of the clips, (E, 3), and the share of a motion prior in imitation.
        bench: where to work.
    """

    def __init__(
        self, task: Task, family: GaitPolicy, style: tuple[Any, float], bench: TrainingContext
    ) -> None:
        super().__init__(task, family.layout, bench)
        self._family, (commands, self._share) = family.eval(), style
        self._reference = Reference(self._family, commands)
        learn: Any = task.learn
        self._prior = MotionPrior(self._reference, len(family.layout.actions), learn.seed)
        if learn.runner.type not in ("auto", "native"):
            where = f"learn.physics.runner: {learn.runner.type}"
            raise BadInput(where, "walkers are computed at once", expected="auto or native")

    def site(self) -> Site:
        """Return where the algorithm learns: walkers that track gaits."""
        learn = self._learn
        copies = learn.copies or learn.algorithm.copies
        style = (self._prior, self._share) if self._share else None

        def native(count: int) -> Tracking:
            own: Any = self._task.environment
            walkers = own.many(self._task, count, self._bench.device)
            return Tracking(self._task, walkers, self._reference, see, style)

        environment = learn.runner.open(None, native, copies)
        return Site(learn, self._layout, environment, self._bench.device, tuple(learn.callbacks))

    def learner(self, site: Site) -> Learner:
        """Return what learns there, trying little at first: the gait alone is not bad."""
        learner: Any = super().learner(site)
        spread = getattr(learner.model.policy, "log_std", None)
        if isinstance(spread, torch.nn.Parameter):
            spread.data.fill_(_SPREAD)
        return learner

    def policy(self, learner: Learner) -> TrackingPolicy:
        """Return the policy as it is now, on the CPU."""
        return TrackingPolicy(self._layout, self._family, learner.core().cpu()).eval()

    def _groups(self, learner: Learner) -> Groups:
        return super()._groups(learner) | {"prior": self._prior.tensors()}

    def _restore(self, groups: Groups, state: Json) -> None:
        super()._restore(groups, state)
        self._prior.go_on(groups["prior"])
