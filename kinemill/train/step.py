"""The dynamics step in physical units: encoding, network, relations, integration, angles.

Training, evaluation and export all run this module, so their results agree by construction.

Symbols: B batch, H history, T horizon, S states, A actions, C = S + A columns, F features, Y
channels that are predicted but not fed back.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from kinemill.errors import BadInput
from kinemill.models.networks.scaling import angle_period, wrap_angles
from kinemill.task.plugins import Model
from kinemill.train.coordinate_network import make_network
from kinemill.train.estimator import Estimator
from kinemill.train.layout import Layout
from kinemill.train.readout import Readout

SCALES = ("state_std", "feature_mean", "feature_std", "output_mean", "output_std")
ESTIMATOR = "estimator.weight"  # one more of them, for a layout with derived states

SMALL = 16  # rows of a small matrix, see `_product`

_ORIGINS = ("previous", "first", "last")


class Step(nn.Module):
    """(state (B, S), action (B, A), carry...) -> (next_state (B, S), carry...), task units.

    A network maps the scaled features (B, F) of one row to scaled outputs (B, O). A network with
    the attribute `physical = True` has the inputs `state (B, S), action (B, A), features (B, F)`
    before its carry, rows (B, K, ...) of them in `warm_up`, and returns outputs in their own units:
    rad/s² for the derivative of a velocity.

    The carry depends on `layout.window`. `carried`: the carry of the network, after the previous
    row if coordinates are relative to it. `sliding`: the last H - 1 rows, measured or predicted;
    the network processes all of them at each step.

    Args:
        layout: order of channels, relations, integrator, encodings, window.
        network: `(features (B, F), carry...) -> (outputs (B, O), carry...)`, see `models`.
        scale: the tensors named in SCALES, from the training split (`scaling.scale_of`).

    Raises:
        BadInput: A column of a carried window is relative to the first or last row.
    """

    drift: Tensor
    gain: Tensor
    period: Tensor
    state_std: Tensor
    feature_mean: Tensor
    feature_std: Tensor
    output_mean: Tensor
    output_std: Tensor

    lowered: torch.dtype | None = None  # precision of the network in training, see `train.amp`

    def __init__(self, layout: Layout, network: Any, scale: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.layout = layout
        self.network = network
        self.encoder = _Encoder(layout)
        self.sliding = layout.window == "sliding"
        self.has_origin = self.encoder.has_origin and not self.sliding
        if self.has_origin and self.encoder.origins != frozenset(["previous"]):
            raise BadInput(
                "learn.encoding",
                "a carried window that counts from its first or last row",
                expected="differences to the previous row, or `learn.window: sliding`",
                fix="train the model again",
            )
        self.register_buffer("drift", torch.tensor(layout.drift, dtype=torch.float32))
        self.register_buffer("gain", torch.tensor(layout.gain, dtype=torch.float32))
        self.register_buffer("period", angle_period(layout.angles))
        for name in SCALES:
            self.register_buffer(name, scale[name].to(torch.float32))
        outputs = len(layout.output_channels)
        self.estimator = Estimator(layout, scale[ESTIMATOR]) if layout.derived else None
        self.readout = Readout(self._readout_size(), outputs) if outputs else None

    @property
    def history(self) -> int:
        """Rows known before the first prediction, H."""
        return self.layout.history

    @property
    def rows(self) -> int:
        """Rows to measure before the first prediction, R: H, or more with an estimator."""
        return self.history if self.estimator is None else self.estimator.rows

    def estimate_history(self, states: Tensor, past_actions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the inputs of `rollout` from measurements at run time.

        Args:
            states: (B, R, S) in task units, with any value where a state is derived.
            past_actions: (B, R-1, A).

        Returns:
            The last H rows with derived states estimated, and the actions between them.
        """
        if self.estimator is None:
            return states, past_actions
        late = self.rows - self.history
        return self.estimator(states)[:, late:], past_actions[:, late:]

    @property
    def carry_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shape of each carry tensor, without the batch."""
        columns = len(self.layout.encodings)
        if self.sliding:
            return ((self.history - 1, columns),)
        shapes = tuple(self.network.carry_shapes)
        return ((1 + columns,), *shapes) if self.has_origin else shapes

    def initial_carry(self, batch: int) -> tuple[Tensor, ...]:
        """Return the initial carry: zeros, (B, ...) each."""
        return self._zeros(batch, self.carry_shapes)

    def _zeros(self, batch: int, shapes: tuple[tuple[int, ...], ...]) -> tuple[Tensor, ...]:
        return tuple(self.drift.new_zeros(batch, *shape) for shape in shapes)

    def wrap(self, state: Tensor) -> Tensor:
        """Wrap the angles of states (..., S) to [-π, π] rad."""
        return wrap_angles(state, self.period)

    def network_inputs(self, rows: Tensor, origin: Tensor | None) -> tuple[Tensor, ...]:
        """Return the network's inputs of rows (..., C) in task units, relative to `origin`."""
        counted = rows if origin is None else rows - origin
        features = (self.encoder(counted) - self.feature_mean) / self.feature_std
        if not getattr(self.network, "physical", False):
            return (features,)
        return *rows.split([len(self.layout.states), len(self.layout.actions)], -1), features

    def window_inputs(self, states: Tensor, actions: Tensor) -> tuple[Tensor, ...]:
        """Return the network's inputs of a whole history (B, H, S), (B, H, A): (B, H, ...)."""
        rows = torch.cat([states, actions], dim=-1)
        return self.network_inputs(rows, self.encoder.origin(rows))

    def target_outputs(self, state: Tensor, following: Tensor) -> Tensor:
        """Return the scaled outputs (B, O) that lead to the next state.

        Args:
            state: (B, S).
            following: (B, S), one time step later.
        """
        moved = self.wrap(following - state)
        targets = list[Tensor]()
        for _, output in self.layout.outputs:
            column = self.layout.states.index(output.of)
            value = following[:, column] if output.relation == "equal" else moved[:, column]
            targets.append(value / self.layout.dt if output.relation == "derivative" else value)
        return (torch.stack(targets, dim=1) - self.output_mean) / self.output_std

    def predict_outputs(self, state: Tensor, action: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Run the network: outputs (B, O) in their units, then the carry after this row."""
        row = torch.cat([state, action], dim=-1)
        if self.sliding:
            outputs, *after = self._slide(row, *carry)
        elif self.has_origin:
            outputs, *after = self._from_previous(row, *carry)
        else:
            outputs, *after = self._ask(*self.network_inputs(row, None), *carry)
        if getattr(self.network, "physical", False):
            return outputs, *after
        return outputs * self.output_std + self.output_mean, *after

    def _ask(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the network on one row; outputs have the precision of the inputs."""
        return self._in_precision(self.network, *tensors)

    def _warm(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run the network over all rows but the last, see `_ask`."""
        return self._in_precision(self.network.warm_up, *tensors)

    def _in_precision(
        self, run: Callable[..., tuple[Tensor, ...]], *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        if self.lowered is None:
            return run(*tensors)
        with torch.autocast(tensors[0].device.type, self.lowered):
            return tuple(part.to(tensors[0].dtype) for part in run(*tensors))

    def _slide(self, row: Tensor, window: Tensor) -> tuple[Tensor, ...]:
        """Run the network over the last H rows: (B, C), (B, H-1, C) -> outputs, window."""
        rows = torch.cat([window, row.unsqueeze(1)], dim=1)
        inputs = self.network_inputs(rows, self.encoder.origin(rows))
        if self.history > 1:
            carry = self._warm(*(part[:, :-1] for part in inputs))
        else:
            carry = self._zeros(row.shape[0], self.network.carry_shapes)
        outputs, *_ = self._ask(*(part[:, -1] for part in inputs), *carry)
        return outputs, rows[:, 1:]

    def _from_previous(self, row: Tensor, previous: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Run the network on differences to the previous row; `previous` (B, 1 + C) is 1, row."""
        outputs, *after = self._ask(*self.network_inputs(row, self._origin(row, previous)), *carry)
        return outputs, self._mark_known(row * self.encoder.previous), *after

    def _origin(self, row: Tensor, previous: Tensor) -> Tensor:
        """Return the previous row; the row itself at the first step, where `previous` is zero."""
        return previous[:, 1:] + (1.0 - previous[:, :1]) * (row * self.encoder.previous)

    def _mark_known(self, origin: Tensor) -> Tensor:
        return torch.cat([torch.ones_like(origin[:, :1]), origin], dim=1)

    def change(self, state: Tensor, action: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Return the change in one Euler step: (B, S), (B, A), carry -> (B, S), carry."""
        outputs, *after = self.predict_outputs(state, action, *carry)
        return _product(state, self.drift) + _product(outputs, self.gain), *after

    def forward(self, state: Tensor, action: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Advance one time step of `layout.dt` s: (B, S), (B, A), carry -> (B, S), carry."""
        next_state, _, *after = self._advance(state, action, carry)
        return next_state, *after

    def advance(self, state: Tensor, action: Tensor, *carry: Tensor) -> tuple[Tensor, ...]:
        """Advance one time step: (B, S), (B, A), carry -> (B, S), outputs (B, Y), carry.

        Outputs belong to the row of `state` and `action`, not to that of the next state.
        """
        next_state, outputs, *after = self._advance(state, action, carry)
        if self.readout is None:
            return next_state, state[:, :0], *after
        return next_state, self.readout(self._readout_row(state, action, outputs, carry)), *after

    def readout_inputs(self, states: Tensor, actions: Tensor) -> Tensor:
        """Return the inputs of the readout at the last row of (B, H, S), (B, H, A): (B, K)."""
        carry = self.warm_up(states, actions[:, :-1])
        state = states[:, -1]
        action = actions[:, -1]
        outputs, *_ = self.predict_outputs(state, action, *carry)
        return self._readout_row(state, action, outputs, carry)

    def _readout_row(
        self, state: Tensor, action: Tensor, outputs: Tensor, carry: tuple[Tensor, ...]
    ) -> Tensor:
        """Return features of the row, outputs (B, O) of the network and its carry: (B, K)."""
        row = torch.cat([state, action], dim=-1)
        if self.sliding:
            rows = torch.cat([carry[0], row.unsqueeze(1)], dim=1)
            features = self.network_inputs(rows, self.encoder.origin(rows))[-1]
            return torch.cat([features.flatten(1), outputs], dim=-1)
        origin = self._origin(row, carry[0]) if self.has_origin else None
        network_carry = carry[1:] if self.has_origin else carry
        features = self.network_inputs(row, origin)[-1]
        return torch.cat([features, outputs, *(part.flatten(1) for part in network_carry)], dim=-1)

    def _readout_size(self) -> int:
        """Return the length K of `_readout_row`."""
        outputs = len(self.layout.outputs)
        if self.sliding:
            return self.history * self.layout.features + outputs
        carried = sum(math.prod(shape) for shape in self.network.carry_shapes)
        return self.layout.features + outputs + carried

    def _advance(
        self, state: Tensor, action: Tensor, carry: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """Return the next state (B, S), the outputs (B, O) of the network, and the carry."""
        outputs, *after = self.predict_outputs(state, action, *carry)
        change = _product(state, self.drift) + _product(outputs, self.gain)
        if self.layout.integrator == "rk4":
            # Kutta (1901) with the action held; k1 is `change`. All stages use the origin of k1:
            # an intermediate stage is not a row of the log.
            stage_carry = carry
            if self.has_origin:
                row = torch.cat([state, action], dim=-1)
                stage_carry = (self._mark_known(self._origin(row, carry[0])), *carry[1:])
            k2, *_ = self.change(state + change / 2, action, *stage_carry)
            k3, *_ = self.change(state + k2 / 2, action, *stage_carry)
            k4, *_ = self.change(state + k3, action, *stage_carry)
            change = (change + 2 * (k2 + k3) + k4) / 6
        return self.wrap(state + change), outputs, *after

    def warm_up(self, states: Tensor, past_actions: Tensor) -> tuple[Tensor, ...]:
        """Return the carry after states (B, H, S) without the last, under (B, H-1, A)."""
        if self.history == 1:
            return self.initial_carry(states.shape[0])
        rows = torch.cat([states[:, :-1], past_actions], dim=-1)
        if self.sliding:
            return (rows,)
        if not self.has_origin:
            return self._warm(*self.network_inputs(rows, None))
        previous = self._mark_known(rows[:, -1] * self.encoder.previous)
        return previous, *self._warm(*self.network_inputs(rows, self.encoder.origin(rows)))

    def rollout(self, states: Tensor, past_actions: Tensor, actions: Tensor) -> Tensor:
        """Roll out the model: feed its output back as the next state.

        Args:
            states: (B, H, S) in task units, the last row is the present.
            past_actions: (B, H-1, A); action k acts from state k to k+1.
            actions: (B, T, A), the first acts on the last state.

        Returns:
            (B, T, S) in task units, the states after each of `actions`.
        """
        carry = self.warm_up(states, past_actions)
        state = states[:, -1]
        predicted: list[Tensor] = []  # torch.compile cannot trace `list[Tensor]()`
        for action in actions.unbind(1):
            state, *rest = self(state, action, *carry)
            carry = tuple(rest)
            predicted.append(state)
        return torch.stack(predicted, dim=1)

    def rollout_channels(self, states: Tensor, past_actions: Tensor, actions: Tensor) -> Tensor:
        """Roll out states and outputs, (B, T, S + Y); arguments as in `rollout`.

        Row k holds the state after action k, and the outputs at the row of action k.
        """
        return roll_channels(self, states, past_actions, actions)

    def errors(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """Return errors of (..., S + Y) in standard deviations of training; angles are wrapped."""
        states = len(self.layout.states)
        error = self.wrap(predicted[..., :states] - truth[..., :states]) / self.state_std
        if self.readout is None:
            return error
        apart = (predicted[..., states:] - truth[..., states:]) / self.readout.output_std
        return torch.cat([error, apart], dim=-1)


def roll_channels(step: Any, states: Tensor, past_actions: Tensor, actions: Tensor) -> Tensor:
    """Roll out states and outputs of a step or an ensemble, see `Step.rollout_channels`."""
    if not step.layout.output_channels:
        return step.rollout(states, past_actions, actions)
    carry = step.warm_up(states, past_actions)
    state = states[:, -1]
    predicted: list[Tensor] = []
    for action in actions.unbind(1):
        state, outputs, *rest = step.advance(state, action, *carry)
        carry = tuple(rest)
        predicted.append(torch.cat([state, outputs], dim=-1))
    return torch.stack(predicted, dim=1)


def make_step(model: Model, layout: Layout, scale: Mapping[str, Tensor]) -> Step:
    """Return the step of `layout` with the network of `model` and random weights.

    Raises:
        BadInput: The model does not support the coordinates or the encodings of the layout.
    """
    return Step(layout, make_network(model, layout, scale), scale)


def _product(values: Tensor, matrix: Tensor) -> Tensor:
    """Return values @ matrix, (B, N), (N, S) -> (B, S).

    Compilers for a GPU fuse sums into their neighbors, but call a library for matrix products,
    which takes longer than the whole sum if the matrix is small.
    """
    if torch.compiler.is_compiling() and values.is_cuda and len(matrix) <= SMALL:
        return (values.unsqueeze(-1) * matrix).sum(-2)
    return values @ matrix


class _Encoder(nn.Module):
    """(..., C) in task units, minus their origins -> (..., F), not yet scaled.

    Args:
        layout: encodings of the columns.
    """

    previous: Tensor
    first: Tensor
    last: Tensor

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.groups = layout.groups
        self.transform = layout.transform
        self.names = (*layout.states, *layout.actions)
        self.transformed = layout.transformed
        for number, (_, columns) in enumerate(self.groups):
            # Tensors: torch exports indexing by a list as three ONNX operations.
            self.register_buffer(f"columns_{number}", torch.tensor(columns), persistent=False)
        for row in _ORIGINS:
            counted = [float(encoding.origin == row) for encoding in layout.encodings]
            self.register_buffer(row, torch.tensor(counted), persistent=False)
        self.origins = frozenset(
            encoding.origin for encoding in layout.encodings if encoding.origin is not None
        )

    @property
    def has_origin(self) -> bool:
        """Whether any column is relative to another row."""
        return bool(self.origins)

    def forward(self, values: Tensor) -> Tensor:
        """Encode group by group: (..., C) -> (..., F) in the order of `Layout.groups`."""
        if self.transform is not None:
            features = self.transform.encode(dict(zip(self.names, values.unbind(-1), strict=True)))
            return torch.stack([features[name] for name in self.transformed], dim=-1)
        parts: list[Tensor] = []  # torch.compile cannot trace `list[Tensor]()`
        for number, (encoding, columns) in enumerate(self.groups):
            picked = values
            if len(columns) < values.shape[-1]:
                picked = values.index_select(-1, self.get_buffer(f"columns_{number}"))
            parts += encoding.encode(picked)
        return torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]

    def origin(self, rows: Tensor) -> Tensor | None:
        """Return the origin of the columns of each row, 0 for plain ones; None: all are plain.

        The first row has no previous row: its differences are 0.

        Args:
            rows: (B, H, C), a whole window or history.

        Returns:
            (B, H, C), or (B, 1, C) where it is the same for all rows.
        """
        origins: list[Tensor] = []
        if "previous" in self.origins:
            origins.append(torch.cat([rows[:, :1], rows[:, :-1]], dim=1) * self.previous)
        if "first" in self.origins or "last" in self.origins:
            origins.append(rows[:, :1] * self.first + rows[:, -1:] * self.last)
        return sum(origins[1:], origins[0]) if origins else None
