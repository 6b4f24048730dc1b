"""Truncated quantile critics (Kuznetsov et al., 2020): SAC without the highest quantiles."""

from typing import Any, ClassVar, Literal

from pydantic import Field

from kinemill.policies.rl.algorithms._off_policy import Stochastic
from kinemill.policies.rl.learner import Site
from kinemill.task.bounds import CountOrZero, Width
from kinemill.task.reinforcement import ALGORITHMS


@ALGORITHMS.register("tqc")
class TQC(Stochastic):
    """SAC with quantile critics, truncated against overestimation; for continuous actions."""

    library: ClassVar[str] = "sb3_contrib:TQC"
    type: Literal["tqc"] = "tqc"
    n_quantiles: Width = 25
    """quantiles of the return, per critic"""
    top_quantiles_to_drop_per_net: CountOrZero = Field(default=2, examples=[0, 2, 5])
    """highest quantiles left out, in each critic"""

    def settings(self, site: Site) -> dict[str, object]:
        """Return the settings under the names of sb3-contrib."""
        settings: dict[str, Any] = {**super().settings(site)}
        settings["policy_kwargs"] |= {"n_quantiles": self.n_quantiles}
        return settings
