"""References that start from the same measurements as a model with derived states.

A dataset holds derived states, such as velocities, from a filter that looks ahead. No predictor has
them when a robot runs, so references get the estimates of the model.

Symbols: W windows, H history, T horizon, S states, A actions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kinemill.runtime import Simulator
from kinemill.runtime.window_metrics import Floats, Predictor


@dataclass(frozen=True)
class EstimatedStart:
    """A reference whose history holds the estimates of a model.

    Attributes:
        reference: the reference.
        simulator: the model, which estimates derived states.
    """

    reference: Predictor
    simulator: Simulator

    @property
    def history(self) -> int:
        """Rows of history, enough for both."""
        return max(self.reference.history, self.simulator.history)

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        """(W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S)."""
        history = states.copy()
        last = self.simulator.history
        history[:, -last:] = self.simulator.estimate(states[:, -last:].astype("float32"))
        late = self.history - self.reference.history
        return self.reference.rollout(history[:, late:], past_actions[:, late:], actions)


def estimated_starts(
    references: Mapping[str, Predictor], simulator: Simulator
) -> dict[str, Predictor]:
    """Return references that start as `simulator` does; the same if all states are measured."""
    if not simulator.interface.derived:
        return dict(references)
    return {name: EstimatedStart(one, simulator) for name, one in references.items()}
