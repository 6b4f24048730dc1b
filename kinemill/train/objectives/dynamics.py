"""Dynamics: learn the next state from past states and actions, judged over rollouts.

Symbols: B batch, H `history`, T `horizon`, S states, A actions, k step index.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveInt, SerializeAsAny

from kinemill.registry import nearest
from kinemill.spec.parts import Learn
from kinemill.spec.plugins import MODELS, OBJECTIVES, Model, Settings, pick
from kinemill.train.layout import Output

EXAMPLES = 8192  # windows shown at once to a network that is fitted
VALIDATION_WINDOWS = 2048  # evenly spread; more would cost time and move the error little


class Growth(Settings):
    """A horizon that is short at first: long rollouts of an untrained model teach little."""

    first: PositiveInt = Field(default=1, description="horizon at the first training step")
    steps: PositiveInt = Field(
        default=1000, description="training steps until it is `learn.horizon`; it grows evenly"
    )


@OBJECTIVES.register("dynamics")
class Dynamics(Learn):
    """Learn to simulate: the next state from a history of states and actions."""

    type: Literal["dynamics"] = "dynamics"
    outputs: dict[str, Output] = {}  # none given: the delta of every state
    integrator: Literal["euler", "semi_implicit"] = "semi_implicit"
    model: Annotated[SerializeAsAny[Model], BeforeValidator(pick(MODELS, Model))]
    history: PositiveInt = 10
    horizon: PositiveInt = 10
    growth: Growth | None = Field(
        default=None, description="how the horizon grows while training; default: it does not"
    )
    checkpoint: Literal["single_step", "multi_step"] = "multi_step"

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return outputs of unknown channels, states given twice and states nobody predicts."""
        states = [name for name, channel in channels.items() if channel.role == "state"]
        if not states:
            return [(("type",), "dynamics needs a channel whose role is state")]
        found: list[tuple[tuple[str | int, ...], str]] = []
        predicted: dict[str, str] = {}
        for name, output in self.outputs.items():
            where = ("outputs", name, "of")
            if output.of not in states:
                found.append((where, f"no state {output.of!r}; {nearest(output.of, states)}"))
            elif output.of in predicted:
                found.append((where, f"{output.of!r} is already given by {predicted[output.of]!r}"))
            predicted[output.of] = name
        if found or not self.outputs:
            return found
        return [
            (("outputs",), message)
            for state in states
            if state not in predicted
            if (
                message := _unclear(
                    state, [n for n in states if channels[n].derivative_of == state]
                )
            )
        ]

    def horizon_at(self, step: int) -> int:
        """Return over how many steps rollouts go at a training step."""
        if self.growth is None or step >= self.growth.steps:
            return self.horizon
        first = min(self.growth.first, self.horizon)
        return first + (self.horizon - first) * step // self.growth.steps

    def prepare(self, task: Any, dataset: Any, training_set: Any, device: Any) -> Any:
        """Return the module to train and its objective.

        Args:
            task: the `Task` whose `learn` this is.
            dataset: packed episodes with the validation split.
            training_set: packed episodes to learn from.
            device: torch device of the training.

        Raises:
            BadInput: no training or validation episode is as long as history + horizon.
        """
        import torch

        from kinemill.train.data import make_windows, on_device, scale_of, window_weights
        from kinemill.train.layout import make_layout
        from kinemill.train.loop import Objective
        from kinemill.train.step import Step

        torch.manual_seed(self.seed)
        layout = make_layout(task, self.outputs, self.integrator, self.history)
        network = self.model.build(layout.features, len(layout.outputs), layout.history)
        module = Step(layout, network, scale_of(dataset, layout)).to(device)
        train = on_device(make_windows(training_set, "train", layout, self.horizon), device)
        watch = on_device(
            make_windows(dataset, "validation", layout, self.horizon, most=VALIDATION_WINDOWS),
            device,
        )

        if hasattr(network, "fit"):
            with torch.no_grad():
                network.fit(examples(module, train))

        def error(windows: Any, which: Any, horizon: int) -> Any:
            """Return (B, T, S): prediction minus truth in channel spreads, angles the short way."""
            states, past_actions, actions, truth = windows.gather(which)
            found = module.rollout(states, past_actions, actions[:, :horizon])
            return module.wrap(found - truth[:, :horizon]) / spread

        def evaluate() -> dict[str, float]:
            with torch.no_grad():
                squares = torch.cat(
                    [error(watch, some, self.horizon) ** 2 for some in everything.split(512)]
                )
            return {
                "validation/single_step": squares[:, 0].mean().sqrt().item(),
                "validation/multi_step": squares.mean().sqrt().item(),
            }

        spread: Any = module.state_std
        everything = torch.arange(len(watch), device=device)
        return module, Objective(
            loss=lambda batch, step: error(train, batch, self.horizon_at(step)).square().mean(),
            evaluate=evaluate,
            watched=f"validation/{self.checkpoint}",
            windows=len(train),
            weights=window_weights(training_set, layout, self.horizon),
        )


def examples(module: Any, windows: Any) -> Iterator[tuple[Any, Any]]:
    """Yield features (N, H, F) and wanted outputs (N, O) of all windows, a few at a time."""
    import torch

    everything = torch.arange(len(windows), device=windows.values.device)
    for some in everything.split(EXAMPLES):
        states, past_actions, actions, truth = windows.gather(some)
        acting = torch.cat([past_actions, actions[:, :1]], dim=1)
        features = module.encode(states, acting)
        yield features, module.outputs_of(states[:, -1], truth[:, 0])


def _unclear(state: str, rates: list[str]) -> str | None:
    """Say what is wrong with a state without an output, unless one state is its derivative."""
    if len(rates) == 1:
        return None
    if not rates:
        return f"nothing predicts {state!r}; give it an output, or a state that is its derivative"
    of = " and ".join(repr(name) for name in rates)
    return f"{of} are both the derivative of {state!r}; give {state!r} an output of its own"
