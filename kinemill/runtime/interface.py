"""Interface of a dynamics model, stored in the metadata of its ONNX file.

Each field is one metadata property as JSON, so that the file alone is enough to run the model.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.runtime.input_checks import Array
from kinemill.runtime.json_values import from_json
from kinemill.store.json_io import Json

FORMAT = 1

Dtype = Literal["float32", "float64"]


@dataclass(frozen=True)
class Carry:
    """A tensor that a step passes to the next one; zeros before the first step."""

    name: str
    shape: tuple[int, ...]  # without the batch


@dataclass(frozen=True)
class Conformal:
    """Correction of standard deviations, by step (T,) and state (S,): scale * sqrt(σ² + floor²).

    Attributes:
        scale: factors, (T, S); the last row holds for all later steps.
        floor: smallest deviations before scaling, (T, S), in units.
        windows: number of validation windows they were computed from.
        online: whether intervals also follow the errors of the run, see
            `kinemill.runtime.interval_tracker`.
    """

    scale: tuple[tuple[float, ...], ...]
    floor: tuple[tuple[float, ...], ...]
    windows: int
    online: bool = False


@dataclass(frozen=True)
class Belief:
    """Carries that hold the uncertainty of an ensemble.

    Attributes:
        members: number of members, E.
        offsets: carry with the states of the members minus the predicted one, (E, S).
        covariance: carry with the mean covariance that the members predict, (S, S); or "".
        measured: variance of a measurement of each state, squared units; empty without covariance.
        conformal: correction from validation episodes; None without one.
    """

    members: int
    offsets: str
    covariance: str
    measured: tuple[float, ...]
    conformal: Conformal | None = None


@dataclass(frozen=True)
class Interface:
    """Names, order, units and limits of a dynamics model.

    Attributes:
        task: name of the task.
        dt: time step, s.
        history: rows before the first prediction, H; the last one is the present.
        states: names in the order of the last axis of state tensors.
        actions: names in the order of the last axis of action tensors.
        units: unit by channel.
        limits: lowest and highest physical value by channel, where defined.
        angles: states that are angles, returned within [-π, π] rad.
        carry: tensors passed from step to step in addition to the state.
        dataset: digest of the training dataset.
        versions: versions of the exporting libraries.
        belief: uncertainty of an ensemble, or None.
        dtype: type of its tensors and computation.
        outputs: channels that are predicted but not fed back, such as forces.
        derived: states that the files estimate from measurements, each with the state whose time
            derivative it is; their input values are ignored.
        memory: the last rows of the history that warm up the carry; 0: all of them.
    """

    task: str
    dt: float
    history: int
    states: tuple[str, ...]
    actions: tuple[str, ...]
    units: dict[str, str]
    limits: dict[str, tuple[float, float]]
    angles: tuple[str, ...]
    carry: tuple[Carry, ...]
    dataset: str
    versions: dict[str, str]
    belief: Belief | None = None
    dtype: Dtype = "float32"
    outputs: tuple[str, ...] = ()
    derived: dict[str, str] = field(default_factory=dict[str, str])
    memory: int = 0

    @property
    def is_angle(self) -> NDArray[np.bool_]:
        """Whether each state is an angle, (S,)."""
        return np.array([name in self.angles for name in self.states])

    @property
    def measured(self) -> tuple[str, ...]:
        """Names of the states that a robot measures: all but the derived ones."""
        return tuple(name for name in self.states if name not in self.derived)

    @property
    def surplus(self) -> int:
        """First rows of the history that only the estimates of derived states need."""
        return self.history - self.memory if self.memory else 0

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """Names of the channels by role: state, action, output."""
        return {"state": self.states, "action": self.actions, "output": self.outputs}

    def to_metadata(self) -> dict[str, str]:
        """Return the ONNX metadata properties, each value as JSON."""
        fields = {"format": FORMAT, "producer": "kinemill", **asdict(self)}
        return {name: json.dumps(value, allow_nan=False) for name, value in fields.items()}

    @classmethod
    def from_metadata(cls, where: object, properties: Mapping[str, str]) -> "Interface":
        """Read the properties of the ONNX file `where`.

        Raises:
            BadInput: The properties are not of a kinemill model, or of another format or dtype.
        """
        values = read_properties(where, properties, cls.__dataclass_fields__, "an ONNX file")
        if values["dtype"] not in ("float32", "float64"):
            raise BadInput(where, f"holds {values['dtype']}", expected="float32 or float64")
        return from_json(cls, values)


def read_properties(
    where: object, properties: Mapping[str, str], names: Iterable[str], kind: str
) -> Json:
    """Return metadata properties by name, parsed from JSON.

    Args:
        where: the ONNX file.
        properties: its metadata.
        names: names to read; `dt` is one of them.
        kind: kind of file, for the error.

    Raises:
        BadInput: A property is missing or invalid, or the file is of another format.
    """
    try:
        values = {name: json.loads(properties[name]) for name in ("format", *names)}
    except (KeyError, ValueError) as error:
        problem = f"its metadata lacks or misspells {error}"
        raise BadInput(where, problem, expected=f"{kind} exported by kinemill") from error
    if values["format"] != FORMAT:
        raise BadInput(
            where,
            f"is of format {values['format']}",
            expected=f"format {FORMAT}",
            fix="install the kinemill that exported it",
        )
    dt: object = values["dt"]
    if not (isinstance(dt, float | int) and 0.0 < dt < math.inf):
        # With dt 0 no state ever changes.
        raise BadInput(where, f"has dt {dt!r}", expected="a time step above 0 s")
    return values


def whole_turns(values: Array, angle: NDArray[np.bool_] | bool) -> NDArray[Any]:
    """Return the nearest multiples of 2π rad of values (..., S), 0 of other channels than angles.

    Torch has the same function: `kinemill.models.networks.scaling.wrap_angles`.
    """
    return np.where(angle, np.round(values / (2 * np.pi)) * (2 * np.pi), 0.0)


def wrapped(values: Array, angle: NDArray[np.bool_] | bool) -> NDArray[Any]:
    """Wrap values (..., S) of channels that are angles (S,) to [-π, π] rad."""
    return values - whole_turns(values, angle)


def safe_action(
    actions: Sequence[str], limits: Mapping[str, tuple[float, float]], declared: Mapping[str, float]
) -> dict[str, float]:
    """Return the safe action of a watchdog by name, in the units of the actions.

    It is the declared value, else the value within limits closest to 0.
    """
    free = (-np.inf, np.inf)
    rest = {name: float(np.clip(0.0, *limits.get(name, free))) for name in actions}
    return {name: declared.get(name, value) for name, value in rest.items()}


def described(names: Iterable[str], units: Mapping[str, str]) -> str:
    """Return channels with their units as text."""
    return ", ".join(f"{name} [{units[name]}]" if units.get(name) else name for name in names)
