"""Stage two: from gaits or clips to a policy in physics, by reinforcement learning.

Loop, checkpoints, resume and evaluation are those of `learn.type: reinforcement`
(`kinemill.policies.rl.training_loop`). The environment (`motion_tracking`) and the policy
(`tracking_policy`) are different.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from kinemill.augment.mirror import Mirror
from kinemill.errors import BadInput
from kinemill.policies.environments.kinds.legged import LeggedEnvironment
from kinemill.policies.environments.legged.body import CROUCHED, Body
from kinemill.policies.environments.legged.clips import COMMAND_UNITS, ClipTable
from kinemill.policies.environments.legged.commands import largest_command
from kinemill.policies.motion.clip_reference import ClipFamily, ClipReference
from kinemill.policies.motion.gait_policy import GaitPolicy
from kinemill.policies.motion.gait_reference import GaitReference
from kinemill.policies.motion.gait_setup import (
    describe,
    describe_layout,
    fit_family,
    make_policy,
    scale_of,
    select_clips,
)
from kinemill.policies.motion.motion_prior import MotionPrior
from kinemill.policies.motion.motion_tracking import Tracking
from kinemill.policies.motion.policy_inputs import PRIVILEGED, input_size, mirror_inputs
from kinemill.policies.motion.reference import Reference
from kinemill.policies.motion.settings import MotionSettings
from kinemill.policies.motion.tracking_policy import TrackingPolicy
from kinemill.policies.rl.learner import Learner, Site
from kinemill.policies.rl.mirror_image import MirrorImage
from kinemill.policies.rl.training_loop import TrainingLoop
from kinemill.runtime.json_values import from_json
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store import Json
from kinemill.task.document import Task
from kinemill.train.checkpoint import Groups
from kinemill.train.context import Trained, TrainingContext
from kinemill.train.demonstrations import Demonstrations, layout_of

_GAIT_LOG_STD = -1.6  # initial, of the actions: 0.2 of the largest correction
# 0.07 of it: clips have no second try. With 0.2, a humanoid that squats fell in half of the trials
# after 500,000 steps; with 0.07 in none after 100,000.
_CLIP_LOG_STD = -2.7
_RAMP = 1.5  # s, least time of the exported policy from one end of the commands to the other


def fit_tracking(
    task: Task, data: Sequence[Demonstrations], description: Json, bench: TrainingContext
) -> Trained:
    """Train in the task's environment, and return the best policy.

    Args:
        task: with `learn.type: motion` and a legged robot as `environment`.
        data: `Demonstrations` of the dataset and of its training set.
        description: as `Motion.describe` returned it.
        bench: device, folder and listeners of the training.
    """
    learn = task.learn
    environment = task.environment
    assert isinstance(learn, MotionSettings)
    assert isinstance(environment, LeggedEnvironment)  # `check_environment`
    torch.manual_seed(learn.seed)
    family = make_family(description)
    table = clips_of(task)
    reference: Reference
    if isinstance(family, ClipFamily):
        assert table is not None
        family.load_clips(table)
        reference = ClipReference(table, environment.clip_error)
    else:
        clips = select_clips(learn, task, data[1], "train")
        family.load_gaits(fit_family(learn, task, clips)[0], scale_of(clips))
        reference = GaitReference(family.eval(), clips.mean_commands(), environment.body())
    own_task = task.model_copy(update={"learn": learn.in_physics})
    layout = from_json(PolicyLayout, description["layout"])
    return _TrackingLoop(own_task, layout, (family, reference, learn), bench).run()


def clips_of(task: Task) -> ClipTable | None:
    """Return the clips that a task's environment tracks; None for gaits.

    Raises:
        BadInput: They cannot be read, or leave the limits of the robot.
    """
    environment = task.environment
    return environment.clip_table(task) if isinstance(environment, LeggedEnvironment) else None


def describe_tracking(learn: MotionSettings, task: Task, data: Sequence[Demonstrations]) -> Json:
    """Return the JSON object of `Motion.describe` for a policy in physics.

    Raises:
        BadInput: As `check_environment` and `clips_of`.
    """
    check_environment(task, layout_of(task, learn.observed_channels(task.channels)))
    assert isinstance(task.environment, LeggedEnvironment)
    table = clips_of(task)
    servos = {"servos": task.environment.servos()}
    if table is None:
        return {**describe(learn, task, data), **servos, "command_step": _command_step(task)}
    sizes = {"clips": len(table.ends), "rows": table.joints.shape[1]}
    layout = describe_layout(learn, task, data[0])
    return {**layout, **servos, "clips": sizes, "command_step": []}


def _command_step(task: Task) -> list[float]:
    """Return the largest change of each part of the command in a time step."""
    environment = task.environment
    assert isinstance(environment, LeggedEnvironment)
    # A part that is zero in training may be given later.
    span = 2.0 * np.maximum(largest_command(environment.commands), COMMAND_UNITS)
    return (span * task.dt / _RAMP).tolist()


def make_family(description: Json) -> GaitPolicy | ClipFamily:
    """Return the gaits or clips of a description, without their values."""
    if "clips" not in description:
        return make_policy(description)
    return ClipFamily(from_json(PolicyLayout, description["layout"]), **description["clips"])


def rebuild_policy(learn: MotionSettings, description: Json) -> TrackingPolicy:
    """Return a policy from what `Motion.describe` returned, without its weights."""
    layout = from_json(PolicyLayout, description["layout"])
    physics = learn.in_physics
    joints = len(layout.actions)
    core = physics.algorithm.core(physics, input_size(joints), joints)
    return TrackingPolicy(layout, make_family(description), core, description["command_step"])


def check_environment(task: Task, layout: PolicyLayout) -> None:
    """Check that the environment is a legged robot with the channels of the clips.

    Raises:
        BadInput: It is another kind, has wrappers, or has other channels or another order.
    """
    where = f"task {task.name}: environment"
    environment = task.environment
    if not isinstance(environment, LeggedEnvironment):
        kind = getattr(environment, "type", "missing")
        raise BadInput(where, f"is {kind}", expected="a legged robot, such as {type: legged}")
    robot = environment.make(task)
    expected = (robot.observation_names, robot.action_names)
    for names, required in zip((layout.observation, layout.actions), expected, strict=True):
        if tuple(names) != required:
            raise BadInput(
                where,
                f"has channels {', '.join(names)}",
                expected=f"those of the robot, in its order: {', '.join(required)}",
            )
    robot.close()
    if environment.wrappers:
        names = ", ".join(wrapper.type for wrapper in environment.wrappers)
        raise BadInput(
            f"{where}.wrappers", f"has {names}", expected="none: motion tracking has no wrappers"
        )


class _TrackingLoop(TrainingLoop):
    """One training.

    Args:
        task: its `learn` part that of reinforcement.
        layout: what the policy observes, and its actions.
        motion: the gaits or clips to track as a part of the policy, the same for the training, and
            the settings of motion tracking.
        bench: device, folder and listeners of the training.
    """

    def __init__(
        self,
        task: Task,
        layout: PolicyLayout,
        motion: tuple[GaitPolicy | ClipFamily, Reference, MotionSettings],
        bench: TrainingContext,
    ) -> None:
        super().__init__(task, layout, bench)
        environment, (family, self._reference, self._motion) = task.environment, motion
        assert isinstance(environment, LeggedEnvironment)  # `check_environment`
        self._environment, self._family = environment, family.eval()
        is_gait = isinstance(self._reference, GaitReference)
        self._command_step = _command_step(task) if is_gait else []
        learn: Any = task.learn
        self._prior = MotionPrior(self._reference, len(self._reference.middle), learn.seed)
        self._warn_of_stance(environment.body())
        if learn.runner.type not in ("auto", "native"):
            where = f"learn.physics.runner: {learn.runner.type}"
            raise BadInput(where, "robots are simulated as one batch", expected="auto or native")

    def site(self) -> Site:
        """Return where the algorithm trains: robots that track gaits."""
        learn = self._learn
        privileged = learn.algorithm.has_privileged_critic(learn)
        prior = (self._prior, self._motion.prior) if self._motion.prior else None

        def native(count: int) -> Tracking:
            robots = self._environment.many(self._task, count, self._bench.device)
            return Tracking(
                self._environment,
                robots,
                self._reference,
                prior,
                self._motion.tracking,
                privileged=privileged,
            )

        environment = learn.runner.open(None, native, learn.num_envs or learn.algorithm.num_envs)
        return Site(
            learn,
            self._layout,
            environment,
            self._bench.device,
            (self._callbacks,),
            self._forecast,
            privileged=PRIVILEGED if privileged else 0,
            mirror=self._mirror_image(privileged=privileged),
        )

    def _warn_of_stance(self, body: Body) -> None:
        """Report gaits that crouch far below the height of the robot's stance."""
        middle = self._reference.middle
        stance_height = body.standing_height
        height = body.trunk_height(middle)
        if isinstance(self._reference, GaitReference) and height < CROUCHED * stance_height:
            mean = zip(body.joints, middle.round(2).tolist(), strict=True)
            pose = ", ".join(f"{name}: {angle + 0.0:g}" for name, angle in mean)
            self._progress.log_message(
                f"warning: robots start with the trunk at {stance_height:.3g} m, and the gaits "
                f"walk at {height:.3g} m: they fall into the gait. Start in its mean pose: "
                f"environment.stance: {{{pose}}}"
            )

    def _mirror_image(self, *, privileged: bool) -> MirrorImage | None:
        """Return that of the task's mirror; None without one, and for clips."""
        mirrors = [part for part in self._task.augment if isinstance(part, Mirror)]
        is_gait = isinstance(self._reference, GaitReference)
        if not mirrors or not is_gait or not self._learn.algorithm.single_steps:
            return None
        return mirror_inputs(mirrors[0], self._layout, privileged=privileged)

    def learner(self, site: Site) -> Learner:
        """Return the learner, with little exploration at first: the reference almost works."""
        learner: Any = super().learner(site)
        log_std = getattr(learner.model.policy, "log_std", None)
        if isinstance(log_std, torch.nn.Parameter):
            is_clip = isinstance(self._family, ClipFamily)
            log_std.data.fill_(_CLIP_LOG_STD if is_clip else _GAIT_LOG_STD)
        return learner

    def policy(self, learner: Learner) -> TrackingPolicy:
        """Return the present policy, on the CPU."""
        core = learner.core().cpu()
        return TrackingPolicy(self._layout, self._family, core, self._command_step).eval()

    def _groups(self, learner: Learner) -> Groups:
        return super()._groups(learner) | {"prior": self._prior.tensors()}

    def _restore(self, groups: Groups, state: Json) -> None:
        super()._restore(groups, state)
        self._prior.restore(groups["prior"])
