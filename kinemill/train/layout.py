"""Layout of a dynamics model: the order of channels and outputs, relations and encodings.

Symbols: S states, A actions, O outputs, F features.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from kinemill.store import Json
from kinemill.task.computed import estimator_rows
from kinemill.task.document import Task
from kinemill.task.plugins import (
    COORDINATES,
    ENCODINGS,
    TRANSFORMS,
    Coordinates,
    Encoding,
    Transform,
    make,
)
from kinemill.train.dynamics_settings import Encodings
from kinemill.train.own_code import coordinate_names, feature_names
from kinemill.train.relations import (
    Array,
    Follows,
    Integrator,
    Output,
    integrate,
    outputs_of,
    relations_of,
)

Window = Literal["carried", "sliding"]


@dataclass(frozen=True)
class Layout:
    """The order of channels and outputs of a dynamics model, and how outputs move states.

    Attributes:
        states: names of the states, in the order of every state tensor.
        actions: names of the actions, in the order of every action tensor.
        angles: for each state, whether it is an angle (rad).
        outputs: name and relation of each output, the order of the network's outputs.
        history: rows known before the first prediction, H.
        dt: time step Δ, s.
        drift: D (S, S), see `train.relations`.
        gain: Q (O, S).
        integrator: integration method of outputs that are derivatives.
        window: `carried`: the network carries its state from step to step; `sliding`: it processes
            the last `history` rows at each step.
        encodings: encoding of each state, then of each action, with scales.
        output_channels: names of the channels that are predicted but not fed back.
        derived: states that no sensor measures, each with the state whose derivative it is.
        estimator_rows: measured rows that derived states are estimated from; 1 without any.
        transform: computes features from all channels together, instead of the encodings; or None.
        transformed: names of these features, in their order.
        coordinates: coordinates in which the network predicts changes; None: in states.
        coordinate_names: names of these coordinates, in their order.
    """

    states: tuple[str, ...]
    actions: tuple[str, ...]
    angles: tuple[bool, ...]
    outputs: tuple[tuple[str, Output], ...]
    history: int
    dt: float
    drift: Array
    gain: Array
    integrator: Integrator
    window: Window
    encodings: tuple[Encoding, ...]
    output_channels: tuple[str, ...] = ()
    derived: tuple[tuple[str, str], ...] = ()
    estimator_rows: int = 1
    transform: Transform | None = None
    transformed: tuple[str, ...] = ()
    coordinates: Coordinates | None = None
    coordinate_names: tuple[str, ...] = ()

    @property
    def features(self) -> int:
        """Number of encoded values of a row, F."""
        if self.transform is not None:
            return len(self.transformed)
        return sum(encoding.parts for encoding in self.encodings)

    @property
    def groups(self) -> list[tuple[Encoding, list[int]]]:
        """Columns (states, then actions) by encoding, plain ones last.

        Features are in the order of the groups; within a group, of its parts, then its columns.
        """
        groups: dict[str, tuple[Encoding, list[int]]] = {}
        for column, encoding in enumerate(self.encodings):
            key = encoding.model_dump_json(exclude={"scale"})
            groups.setdefault(key, (encoding, []))[1].append(column)
        return sorted(groups.values(), key=lambda group: group[0].type == "plain")

    def to_json(self) -> Json:
        """Return the layout as JSON for `model.json`."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "outputs": [[name, output.model_dump()] for name, output in self.outputs],
            "drift": self.drift.tolist(),
            "gain": self.gain.tolist(),
            "encodings": [encoding.model_dump(mode="json") for encoding in self.encodings],
            "coordinates": self.coordinates and self.coordinates.model_dump(mode="json"),
            "transform": self.transform and self.transform.model_dump(mode="json"),
        }

    @classmethod
    def from_json(cls, raw: Json) -> "Layout":
        """Return the layout of `to_json`."""
        transform = raw["transform"]
        coordinates = raw["coordinates"]
        return cls(
            states=tuple(raw["states"]),
            actions=tuple(raw["actions"]),
            angles=tuple(raw["angles"]),
            outputs=tuple((name, Output(**output)) for name, output in raw["outputs"]),
            history=raw["history"],
            dt=raw["dt"],
            drift=np.array(raw["drift"]),
            gain=np.array(raw["gain"]),
            integrator=raw["integrator"],
            window=raw["window"],
            encodings=tuple(make(ENCODINGS, Encoding, item) for item in raw["encodings"]),
            output_channels=tuple(raw["output_channels"]),
            derived=tuple((name, of) for name, of in raw["derived"]),
            estimator_rows=raw["estimator_rows"],
            transform=transform and make(TRANSFORMS, Transform, transform),
            transformed=tuple(raw["transformed"]),
            coordinates=coordinates and make(COORDINATES, Coordinates, coordinates),
            coordinate_names=tuple(raw["coordinate_names"]),
        )


def make_layout(
    task: Task,
    outputs: Mapping[str, Output],
    integrator: Integrator,
    history: int,
    relations: Mapping[str, Follows] | None = None,
) -> Layout:
    """Return the layout of `task`, with default encodings and a carried window.

    Without `outputs`, the network predicts the delta of each state that follows from no other.
    `history` is in rows.
    """
    follows = relations or {}
    states = task.states
    outputs = outputs_of(states, outputs, follows)
    channels = {name: task.channels[name] for name in states}
    follows = relations_of(channels, outputs, follows)
    drift, gain = integrate(task, list(outputs.values()), follows, integrator)
    return Layout(
        states=tuple(states),
        actions=tuple(task.actions),
        angles=tuple(task.channels[name].kind == "angle" for name in states),
        outputs=tuple(outputs.items()),
        history=history,
        dt=task.dt,
        drift=drift,
        gain=gain,
        integrator=integrator,
        window="carried",
        encodings=Encodings().of(task),
    )


def layout_of(task: Task) -> Layout:
    """Return the layout of a task with `learn.type: dynamics`.

    Raises:
        BadInput: Custom features or coordinates fail on a row of ones.
    """
    learn: Any = task.learn
    outputs = learn.outputs_for(task.channels)
    layout = make_layout(task, outputs, learn.integrator, learn.history, learn.relations)
    transform: Transform | None = learn.features
    encodings = learn.encoding.of(task, learn.window)
    if transform is not None:  # its inputs are channels in task units, with no row subtracted
        plain = ENCODINGS["plain"].model_validate({"type": "plain", "scale": learn.encoding.scale})
        encodings = (plain,) * len(encodings)
    derived = task.derived
    return replace(
        layout,
        window=learn.window,
        encodings=encodings,
        output_channels=tuple(task.outputs),
        derived=tuple(derived.items()),
        estimator_rows=estimator_rows([task.channels[name] for name in derived], task.dt),
        transform=transform,
        transformed=feature_names(transform, task.columns) if transform is not None else (),
        coordinates=learn.coordinates,
        coordinate_names=coordinate_names(learn.coordinates, task.states)
        if learn.coordinates is not None
        else (),
    )
