"""IMPALA (Espeholt et al., 2018): asynchronous rollouts of older policies, corrected by V-trace."""

from collections.abc import Callable
from functools import partial
from typing import ClassVar, Literal

from pydantic import Field

from kinemill.errors import BadInput
from kinemill.rl.algorithms._on_policy import ActorCritic
from kinemill.rl.learner import Site
from kinemill.task.bounds import Count, Fraction, Ratio
from kinemill.task.reinforcement import ALGORITHMS


@ALGORITHMS.register("impala")
class Impala(ActorCritic):
    """Actor-critic with asynchronous actors: for environments with slow steps, on many cores.

    With the runners `processes` and `ray`, workers act during updates. An update uses `n_steps`
    steps per environment on average, from any workers.
    """

    multi_agent: ClassVar[bool] = False
    type: Literal["impala"] = "impala"
    n_steps: Count = Field(
        default=20, description="steps per environment of a rollout", examples=[5, 20, 50]
    )
    gae_lambda: Fraction = Field(
        default=1.0,
        description="λ of the traces of V-trace; 1 uses whole returns",
        examples=[0.9, 0.95, 1.0],
    )
    rho_bar: Ratio = Field(
        default=1.0, description="largest importance ratio of temporal differences and gradient"
    )
    c_bar: Ratio = Field(default=1.0, description="largest importance ratio of traces")
    order: Literal["arrival", "fixed"] = Field(
        default="arrival",
        description="arrival: use the first finished rollout; fixed: use each worker's in turn, "
        "which is reproducible and waits for slow workers",
    )

    def build(self, site: Site) -> Callable[..., object]:
        """Return the constructor of the library's model.

        Raises:
            BadInput: State-dependent exploration is set; workers do not support it.
        """
        import stable_baselines3

        from kinemill.rl.impala import Impala as Model

        if self.sde_sample_freq is not None:
            where, expected = "learn.algorithm.sde_sample_freq", "ppo or a2c"
            raise BadInput(where, "is not available with impala", expected=expected)
        return partial(
            Model,
            site=site,
            ratios=(self.rho_bar, self.c_bar),
            order=self.order,
            policy=self.policy_class(site, stable_baselines3.A2C),
            use_rms_prop=False,  # the task's optimizer
            **self.usual(site.learn),
        )
