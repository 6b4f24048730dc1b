"""Settings that models with encoded hidden states share."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import Field

from kinemill.errors import BadInput
from kinemill.models._layout import ModelLayout, feature_columns
from kinemill.task import Channel, Model, Problems, TaskFacts, TorchModule, unknown_channels
from kinemill.task.bounds import Limit

OFFSET = (  # description of a setting
    "add to predictions how far the last measured outputs were from those of the hidden states; it "
    "decays at a trained rate"
)
ENCODED = 200  # most weights of the encoder of a candidate with few parameters
ROWS = (4, 20)  # least and most rows of its history


class EncodedShape(NamedTuple):
    """Inputs and outputs of an `EncodedStateNetwork`.

    Attributes:
        inputs: number of features, F.
        history: rows of history, H.
        bounds: of each output, where its sensor saturates, in scaled units; None: nowhere.
        input_columns: columns of the features that act on the hidden states.
        measured: of each output with an offset, the feature that is its present value, with gain
            and shift from the scale of the feature to that of the output.
    """

    inputs: int
    history: int
    bounds: Sequence[tuple[float, float] | None]
    input_columns: Sequence[int]
    measured: Sequence[tuple[int, float, float] | None]


class EncodedStateModel(Model):
    """Base of settings: how sensors saturate, and which features act on the hidden states."""

    offset: bool = Field(default=False, description=OFFSET)
    limits: dict[str, tuple[Limit, Limit]] = {}
    """where a sensor saturates, by state, in its unit"""

    def problems(self, channels: Mapping[str, Channel]) -> Problems:
        """Return limits of unknown states, and empty intervals."""
        states = {name: channel for name, channel in channels.items() if channel.role == "state"}
        problems = unknown_channels(list(self.limits), states, "limits")
        return problems + [
            (("limits", name), f"{low} is not below {high}")
            for name, (low, high) in self.limits.items()
            if not low < high
        ]

    @abstractmethod
    def make(self, shape: EncodedShape) -> TorchModule:
        """Make the network."""

    def build_for(self, layout: ModelLayout, scale: Mapping[str, Any]) -> TorchModule:
        """Make the network.

        Raises:
            BadInput: A limit is of a state whose output is not its value.
        """
        bounds: list[tuple[float, float] | None] = []
        for number, (name, output) in enumerate(layout.outputs):
            limits = self.limits.get(output.of)
            if limits and output.relation != "equal":
                raise BadInput(
                    f"learn.model.limits: {output.of}",
                    f"its output {name!r} is a {output.relation}",
                    expected="relation: equal, so that the output is the value that saturates",
                )
            mean, std = (float(scale[f"output_{part}"][number]) for part in ("mean", "std"))
            low, high = ((edge - mean) / std for edge in limits or (0.0, 1.0))
            bounds.append((low, high) if limits else None)
        actions = len(layout.states)  # the first column of the actions
        input_columns = [n for n, column in enumerate(feature_columns(layout)) if column >= actions]
        none = [None] * len(layout.outputs)
        measured = _measured(layout, scale) if self.offset else none
        shape = EncodedShape(layout.features, layout.history, bounds, input_columns, measured)
        return self.make(shape)

    def build(self, inputs: int, outputs: int, history: int) -> TorchModule:
        """Make the network without limits, as a part of another model; all features act on it."""
        none = [None] * outputs
        return self.make(EncodedShape(inputs, history, none, range(inputs), none))


def few_rows(facts: TaskFacts, size: int) -> int:
    """Return the history of a candidate with few parameters and `size` hidden states, rows.

    0 if its encoder would have too many weights, or if the facts show a robot with joints or no
    data for long rollouts.
    """
    least, most = ROWS
    rows = min(most, facts.longest, ENCODED // (len(facts.columns) * size))
    is_process = not facts.angles and not facts.pairs and facts.rollout > 1
    return rows if is_process and rows >= least else 0


def _measured(
    layout: ModelLayout, scale: Mapping[str, Any]
) -> list[tuple[int, float, float] | None]:
    """Return `EncodedShape.measured` of a layout."""
    columns = feature_columns(layout)
    measured: list[tuple[int, float, float] | None] = []
    for number, (_, output) in enumerate(layout.outputs):
        column = layout.states.index(output.of)
        is_plain = layout.encodings[column].type == "plain" and not layout.transformed
        if output.relation != "equal" or not is_plain:
            measured.append(None)
            continue
        feature = columns.index(column)
        center, gain = (float(scale[f"feature_{part}"][feature]) for part in ("mean", "std"))
        mean, std = (float(scale[f"output_{part}"][number]) for part in ("mean", "std"))
        measured.append((feature, gain / std, (center - mean) / std))
    return measured
