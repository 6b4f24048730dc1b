"""References that start from the same measurements as a model with derived states.

The derived states of a dataset, such as velocities, come from a filter that uses later rows. They
are not available while a robot runs, so references get the estimates of the model instead.

Symbols: W windows, H history, T horizon, S states, A actions.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kinemill.runtime import Floats, Predictor, Simulator


@dataclass(frozen=True)
class EstimatedStart:
    """A reference with the estimates of a model in its history."""

    reference: Predictor
    simulator: Simulator

    @property
    def history(self) -> int:
        """Rows of history, enough for both."""
        return max(self.reference.history, self.simulator.history)

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        """Predict from estimates: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S), in units."""
        history = states.copy()
        last = self.simulator.history
        history[:, -last:] = self.simulator.estimate(states[:, -last:].astype("float32"))
        late = self.history - self.reference.history
        return self.reference.rollout(history[:, late:], past_actions[:, late:], actions)


def estimated_starts(
    references: Mapping[str, Predictor], simulator: Simulator
) -> dict[str, Predictor]:
    """Return references that start from the estimates of `simulator`, if it has derived states."""
    if not simulator.interface.derived:
        return dict(references)
    return {name: EstimatedStart(reference, simulator) for name, reference in references.items()}
