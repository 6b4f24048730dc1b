"""A robot of `kinemill.control.sim` in MuJoCo, rewarded by the task's `control` part."""

from typing import Literal

from kinemill.policies.environments.gym_types import Env
from kinemill.task import KINDS, Environment, Task


@KINDS.register("plant")
class PlantEnvironment(Environment):
    """True physics; an episode lasts `control.seconds` unless `steps` is set.

    `randomize` and `variants` change the plant's parameters: mass, length, damping.
    """

    type: Literal["plant"] = "plant"

    def make(self, task: Task, *, render: bool = False) -> Env:
        """Return the environment.

        Raises:
            BadInput: the task has no `control` part, or its channels are not the plant's.
        """
        from kinemill.policies.environments._controlled import make_plant_environment

        return make_plant_environment(task, self.steps, render=render)
