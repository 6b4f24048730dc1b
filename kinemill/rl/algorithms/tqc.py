"""Truncated quantile critics (Kuznetsov et al., 2020): SAC that distrusts the highest returns."""

from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from kinemill.rl.algorithms._off_policy import OffPolicy
from kinemill.task.reinforcement import ALGORITHMS


@ALGORITHMS.register("tqc")
class TQC(OffPolicy):
    """Settings."""

    type: Literal["tqc"] = "tqc"
    entropy: float | Literal["auto"] = "auto"  # weight of the entropy; auto: learned
    quantiles: PositiveInt = Field(default=25, description="of the return, in each critic")
    dropped: NonNegativeInt = Field(default=2, description="of the highest ones, in each critic")

    def learner(self, site: Any) -> Any:
        """Return what learns."""
        import sb3_contrib

        settings = self.usual(site.learn)
        settings |= {"ent_coef": self.entropy, "top_quantiles_to_drop_per_net": self.dropped}
        settings["policy_kwargs"] |= {"n_quantiles": self.quantiles}
        return self.made(site, sb3_contrib.TQC, settings)
