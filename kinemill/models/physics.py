"""System identification of simple joints: physics linear in its parameters, in closed form.

The acceleration of each joint is a sum of gravity (sines and cosines of angles), friction (viscous,
Coulomb's), drag, coupling between joints, actions, and what rows before say of delays and filters;
Brunton, Proctor and Kutz (2016) identify such libraries, `rigid_body` the equations themselves. It
starts as the least-squares solution over all training rows.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from kinemill.task.plugins import MODELS, Model, unknown_channels


@MODELS.register("physics")
class Physics(Model):
    """Settings of the library of terms."""

    type: Literal["physics"] = "physics"
    ridge: float = Field(
        default=1e-6, ge=0.0, description="penalty on weights, relative to the rows fitted"
    )
    coupling: bool = Field(
        default=True,
        description="products of velocities with each other, and of both velocities and actions "
        "with sines and cosines of angles",
    )
    pairs: dict[str, str] | None = Field(
        default=None,
        description="position by velocity; default: those that follow from each other in "
        "`learn.outputs` and `learn.relations`",
    )
    relative: list[str] | None = Field(
        default=None,
        description="channels that enter through their changes alone; default: those that "
        "`learn.encoding` shows as `relative`",
    )

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return names that are no channel."""
        pairs = [*(self.pairs or {}), *(self.pairs or {}).values()]
        found = unknown_channels(pairs, channels, "pairs")
        return found + unknown_channels(list(self.relative or []), channels, "relative")

    def build_for(self, layout: Any, scale: Mapping[str, Any]) -> Any:
        """Make the network of physical values."""
        from kinemill.models._lag_terms import relative_columns
        from kinemill.models._library import Library
        from kinemill.models._regression import Regression

        relative = relative_columns(layout, self.relative)
        pairs, spread = _pairs(layout, self.pairs), scale["state_std"]
        terms = Library(layout, relative, pairs, spread, coupling=self.coupling)
        return Regression(terms, layout.history, scale["output_std"], self.ridge)


def _pairs(layout: Any, named: Mapping[str, str] | None) -> list[tuple[int, int]]:
    """Return the columns of position and velocity: as named, else what a rate integrates to."""
    states = layout.states
    if named is not None:
        return [(states.index(q), states.index(v)) for v, q in named.items()]
    rates = [states.index(output.of) for _, output in layout.outputs]
    return [
        (position, rate)
        for rate in rates
        for position in range(len(states))
        if position != rate and layout.drift[rate, position] != 0.0
    ]
