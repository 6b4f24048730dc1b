"""A linear model of the last rows, as levels of the newest row and changes from row to row (ARX).

The autoregressive model with exogenous inputs of Ljung, System Identification (1999), chapter 4.
Levels and changes span the same model as raw rows. They make a penalty on the weights favor
constant changes, and avoid cancellation of large numbers in float32. The initial weights are the
least-squares solution over all training rows.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

from kinemill.models._layout import ModelLayout
from kinemill.models._regression import RegressionModel
from kinemill.task import MODELS, TorchModule
from kinemill.task.portfolio import Structure, TaskFacts


@MODELS.register("arx")
class Arx(RegressionModel):
    """A linear model of the last rows, solved in closed form; the baseline to try first."""

    type: Literal["arx"] = "arx"
    angles: Literal["sin_cos", "wrapped"] = "sin_cos"
    """sin_cos: angles enter as sine, cosine and changes; wrapped: as angles in [-π, π] and
    changes"""

    @classmethod
    def structures(cls, facts: TaskFacts) -> Sequence[Structure]:
        """Return linear models, with angles as sine and cosine if there are any."""
        modes = [("linear", "linear", "wrapped")]
        if facts.angles:
            modes.append(("linear_sincos", "linear, sin cos", "sin_cos"))
        return [
            Structure(
                family,
                name,
                {"type": "arx", "angles": mode, "relative": list(facts.relative)},
                facts.deltas,
                facts.columns,
            )
            for family, name, mode in modes
        ]

    def terms_of(
        self, layout: ModelLayout, relative: Sequence[bool], scale: Mapping[str, object]
    ) -> TorchModule:
        """Make the `Lags`."""
        del scale
        from kinemill.models.networks.lag_terms import Lags

        return Lags(layout, relative, trigonometric=self.angles == "sin_cos")
