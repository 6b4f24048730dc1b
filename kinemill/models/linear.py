"""A linear model of the last `history` rows, fitted in closed form, with a residual network.

The initial weights of the linear part are the least-squares solution over all training rows, those
of the residual are zero; then both are trained through rollouts. This takes far fewer steps than
training a network alone (Schoukens and Ljung, 2019, section on initializing nonlinear models from
the best linear approximation).
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import field_validator

from kinemill.errors import BadInput
from kinemill.models._layout import ModelLayout, feature_columns
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.task import Candidate, RatioOrZero, TaskFacts, TorchModule
from kinemill.task.plugins import MODELS, Model, OptionalModel

MANY = 4  # states with an action each; fewer have few weights anyway


@MODELS.register("linear")
class Linear(Model):
    """Settings of the linear model and of its residual network."""

    type: Literal["linear"] = "linear"
    ridge: RatioOrZero = 1e-4
    """penalty on weights, relative to the rows fitted"""
    local: bool = False
    """whether each state depends on itself and the action of the same index alone, for many joints
    that are hardly coupled"""
    groups: list[str] = []
    """with `local`: patterns of coupled names, such as `left_*`; a state also depends on the
    changes of its group from row to row, and `ridge` penalizes the weights of these changes
    alone, in their standard deviations"""
    residual: OptionalModel = None
    """another model, trained on the residual of the linear one"""

    @field_validator("residual")
    @classmethod
    def _not_itself(cls, value: Model | None) -> Model | None:
        if isinstance(value, Linear):
            message = "the residual of a linear model cannot be a linear model"
            raise ValueError(message)
        return value

    @classmethod
    def candidates(cls, facts: TaskFacts) -> Sequence[Candidate]:
        """Propose linear models of each state alone, and one with a residual perceptron."""
        residual = {"type": "mlp", "hidden_sizes": [64, 64], "activation": "silu"}
        settings: dict[str, object] = {
            "model": {"type": "linear", "residual": residual},
            "history": facts.history,
            "horizon": min(10, facts.horizon),
            "optimizer": {"lr": 1e-3},
        }
        name = f"linear with residual network, history {facts.history}"
        return [*_of_each_state(facts), Candidate(name, settings, trains=True)]

    def build_for(self, layout: ModelLayout, scale: Mapping[str, object]) -> TorchModule:
        """Make the network of a dynamics model, `local` or not."""
        del scale
        sizes = layout.features, len(layout.outputs), layout.history
        if not self.local:
            return self._make(sizes, None)
        states = layout.states
        names = [*layout.states, *layout.actions]
        columns = [names[k] for k in feature_columns(layout)]
        numbers = [states.index(output.of) for _, output in layout.outputs]
        local_columns = [{states[k], *layout.actions[k : k + 1]} for k in numbers]
        return self._make_local(sizes, columns, local_columns)

    def build_acting(self, layout: PolicyLayout, sizes: tuple[int, int, int]) -> TorchModule:
        """Make the network of a policy, `local` or not.

        With `local`, the k-th action depends on its previous value and on the k-th other
        observation.

        Raises:
            BadInput: It is `local` with angles, images, texts or chunks.
        """
        if not self.local:
            return self.build(*sizes)
        names = layout.observation
        actions = layout.actions
        if sizes[:2] != (len(names), len(actions)):
            message = f"{sizes[0]} features of {len(names)} numbers, {sizes[1]} of {len(actions)}"
            fix = "leave out angles, images, texts and chunks, or set it to false"
            raise BadInput("learn.model.local", message, fix=fix)
        rest = [name for name in names if name not in actions]
        return self._make_local(
            sizes, names, [{name, *rest[k : k + 1]} for k, name in enumerate(actions)]
        )

    def build(self, inputs: int, outputs: int, history: int) -> TorchModule:
        """Make the network without knowledge of channels.

        Raises:
            BadInput: It is `local`.
        """
        if self.local:
            raise BadInput("learn.model.local", "true", expected="false, as part of another model")
        return self._make((inputs, outputs, history), None)

    def _make_local(
        self, sizes: tuple[int, int, int], columns: Sequence[str], local_columns: Sequence[set[str]]
    ) -> TorchModule:
        from kinemill.models.networks.local_regression import FeatureMask

        return self._make(sizes, FeatureMask.by_name(columns, local_columns, self.groups))

    def _make(self, sizes: tuple[int, int, int], mask: Any) -> TorchModule:
        """Make the network for inputs, outputs, history and a `FeatureMask` or None."""
        from kinemill.models.networks.local_regression import LocalRegression
        from kinemill.models.networks.regression import Regression
        from kinemill.models.networks.window_terms import WindowTerms

        inputs, outputs, history = sizes
        residual = self.residual.build(*sizes) if self.residual else None
        if mask is not None:
            return LocalRegression(inputs, history, self.ridge, mask, residual)
        terms = WindowTerms(inputs, history)
        return Regression(terms, history, outputs, self.ridge, residual=residual)


def _of_each_state(facts: TaskFacts) -> list[Candidate]:
    """Propose models without coupling, for many joints that follow a command each.

    The command of a joint has its index. A full model of 26 joints has 26 times the weights, and
    learns from a few logs that joints move together, which holds for their tasks alone.
    """
    if facts.pairs or not MANY <= len(facts.states) == len(facts.actions):
        return []
    return [
        Candidate(
            f"linear, each state alone, history {rows}",
            {
                "model": {"type": "linear", "local": True, "ridge": 1e-6},
                "history": rows,
                "outputs": facts.deltas,
                "optimizer": {"lr": 1e-4},
            },
        )
        for rows in facts.histories
        if rows > 1
    ]
