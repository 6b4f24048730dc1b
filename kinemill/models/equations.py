"""Difference equations of a task file, with parameters, curves and hidden states that are fitted.

For a system whose equations are known and whose numbers are not: tanks, valves, thermal models,
tendons, motors with a current loop. This is a gray-box model (Bohlin, Springer, 2006). Fit it
with `learn.gauss_newton`: it has few parameters, and these differ too much in their reach for one
learning rate.
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from kinemill.errors import BadInput
from kinemill.models._layout import ModelLayout
from kinemill.registry import nearest
from kinemill.task import Channel, Problems, Settings, TorchModule
from kinemill.task.bounds import Quantity, QuantityOrZero
from kinemill.task.expressions import FUNCTIONS, Expression, Formula
from kinemill.task.plugins import MODELS, Model, OptionalModel

STEP = "dt"  # name of the time step in formulas, s


class Curve(Settings):
    """An unknown function of one value: a sum of Gaussian bumps, 0 before the fit and far outside.

    Bumps at equal distances, as wide as their distance: radial basis functions (Broomhead and Lowe,
    Complex Systems, 1988).
    """

    of: str
    """its argument: a state, action, hidden state or term"""
    range: tuple[Quantity, Quantity]
    """of the argument, from the first bump to the last"""
    points: int = Field(default=7, ge=2, le=100)
    """number of bumps"""

    @model_validator(mode="after")
    def _has_a_range(self) -> "Curve":
        low, high = self.range
        if not low < high:
            message = f"range: {low:g} is not below {high:g}"
            raise ValueError(message)
        return self


@MODELS.register("equations")
class Equations(Model):
    """Own difference equations with unknown parameters; for processes with known equations."""

    type: Literal["equations"] = "equations"
    parameters: dict[str, Quantity] = {}
    """name: value that the fit starts from"""
    hidden: dict[str, Quantity] = {}
    """state that no sensor measures: its usual value; an observer estimates it from the history"""
    terms: dict[str, Formula] = {}
    """name: a formula that those below it can use"""
    curves: dict[str, Curve] = {}
    """name: an unknown function of one value, which formulas below that value use"""
    equations: dict[str, Formula] = {}
    """hidden state: formula of its next value, of states, actions, hidden states, parameters, terms
    and `dt`; name in `learn.outputs`: as defined by its relation, `equal`: the next value,
    `delta`: the change in a step, `derivative`: the rate"""
    start_std: QuantityOrZero = 0.0
    """relative standard deviation of random starts, for gauss_newton.n_init"""
    residual: OptionalModel = None
    """another model, of the residual outputs"""

    @model_validator(mode="after")
    def _are_complete(self) -> "Equations":
        names = [*self.parameters, *self.hidden, *self.terms, *self.curves]
        for name in names:
            if names.count(name) > 1 or name in (*FUNCTIONS, "pi", STEP) or not name.isidentifier():
                message = f"{name!r} is used twice, or no name that a formula can have"
                raise ValueError(message)
        if not self.equations:
            message = "equations: there are none"
            raise ValueError(message)
        if missing := [name for name in self.hidden if name not in self.equations]:
            message = f"equations: the hidden state {missing[0]!r} has none"
            raise ValueError(message)
        return self

    @property
    def has_few_parameters(self) -> bool:
        """Whether no network is trained on the residuals."""
        return self.residual is None

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return unknown names in formulas, and names that are channels."""
        problems = Problems()
        allowed = {
            name for name, channel in channels.items() if channel.role in {"state", "action"}
        }
        for key in ("parameters", "hidden", "terms", "curves"):
            names = getattr(self, key)
            problems += [((key, name), "is a channel") for name in names if name in channels]
        allowed |= set(self.hidden)
        arguments = allowed | set(self.terms)
        for name, curve in self.curves.items():
            if curve.of not in arguments:
                hint = nearest(curve.of, sorted(arguments))
                problems.append((("curves", name, "of"), f"{curve.of!r} is unknown; {hint}"))
        allowed |= {STEP, *self.parameters, *self.curves_of(*allowed)}
        for key in ("terms", "equations"):
            for name, text in getattr(self, key).items():
                for unknown in sorted(Expression(text).names - allowed):
                    hint = nearest(unknown, sorted(allowed))
                    problems.append(((key, name), f"{unknown!r} is unknown; {hint}"))
                allowed |= {name, *self.curves_of(name)} if key == "terms" else set()
        return problems

    def curves_of(self, *names: str) -> list[str]:
        """Return the curves whose argument is one of `names`."""
        return [name for name, curve in self.curves.items() if curve.of in names]

    def output_problems(self, outputs: Mapping[str, object]) -> Problems:
        """Return a problem if there is not one equation of each output."""
        formulas = [name for name in self.equations if name not in self.hidden]
        if sorted(formulas) == sorted(outputs):
            return []
        message = (
            f"has formulas of {sorted(formulas)}; expected one of each of learn.outputs "
            f"{sorted(outputs)}, and of hidden states; set "
            "learn.outputs: {NAME: {relation: equal, of: STATE}}, or rename them"
        )
        return [(("equations",), message)]

    def build_for(self, layout: ModelLayout, scale: Mapping[str, Any]) -> TorchModule:
        """Make the `EquationsNetwork`; its outputs (B, O) are in their own units.

        Raises:
            BadInput: The integrator is rk4, and hidden states are advanced once a step.
        """
        from kinemill.models.networks.equations import EquationsNetwork

        if self.hidden and layout.integrator == "rk4":
            raise BadInput(
                "learn.model.hidden",
                "with learn.integrator: rk4",
                expected="another integrator: hidden states advance once a step",
            )
        residual = self.residual
        sizes = (layout.features, len(layout.outputs))
        make_residual = residual and (lambda: residual.build(*sizes, layout.history))
        return EquationsNetwork(self, layout, scale, make_residual)
