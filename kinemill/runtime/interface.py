"""What goes into a model and comes out of it, as its ONNX file says in its own metadata.

The file alone is enough to run it: each field is one metadata property, spelled as JSON.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kinemill.errors import BadInput

FORMAT = 1
_DEFAULTS = {"belief": "null", "dtype": '"float32"'}  # later additions, and what holds without them

Dtype = Literal["float32", "float64"]


@dataclass(frozen=True)
class Carry:
    """What a step hands to the next one beside the state; all zeros before the first."""

    name: str
    shape: tuple[int, ...]  # without the batch


@dataclass(frozen=True)
class Belief:
    """Where the carry of an ensemble says how sure it is of the next state.

    Attributes:
        members: how many steps it is made of, E.
        offsets: the carry that holds the members' states minus the predicted one, (E, S).
        covariance: the carry that holds what the members say of themselves, (S, S); or "".
        measured: variance of a measurement of each state, squared units; empty without the latter.
    """

    members: int
    offsets: str
    covariance: str
    measured: tuple[float, ...]


@dataclass(frozen=True)
class Interface:
    """Names, order, units and limits of a dynamics model.

    Attributes:
        task: name of the task it was made for.
        dt: time step, s.
        history: rows known before the first prediction, H; the last of them is the present.
        states: names, the order of the last axis of every state tensor.
        actions: names, the order of the last axis of every action tensor.
        units: unit by channel.
        limits: lowest and highest physical value, by channel that has them.
        angles: the states that are angles; they come out wrapped to [-π, π].
        carry: what travels from step to step beside the state.
        dataset: digest of the dataset it was trained on.
        versions: of the libraries that made it.
        belief: how sure it says to be; None for a model that does not say.
        dtype: what its tensors hold and it computes in.
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

    def to_metadata(self) -> dict[str, str]:
        """Return the ONNX metadata properties, each value as JSON."""
        fields: dict[str, Any] = {
            "format": FORMAT,
            "producer": "kinemill",
            "task": self.task,
            "dt": self.dt,
            "history": self.history,
            "states": self.states,
            "actions": self.actions,
            "units": self.units,
            "limits": self.limits,
            "angles": self.angles,
            "carry": [{"name": item.name, "shape": item.shape} for item in self.carry],
            "dataset": self.dataset,
            "versions": self.versions,
            "belief": asdict(self.belief) if self.belief else None,
            "dtype": self.dtype,
        }
        return {name: json.dumps(value, allow_nan=False) for name, value in fields.items()}

    @classmethod
    def from_metadata(cls, where: object, properties: Mapping[str, str]) -> "Interface":
        """Read the properties of the ONNX file `where`.

        Raises:
            BadInput: they are not those of a kinemill model, or of a later format.
        """
        try:
            values = {name: json.loads(properties[name]) for name in cls._properties()}
            values |= {
                name: json.loads(properties.get(name, old)) for name, old in _DEFAULTS.items()
            }
        except (KeyError, ValueError) as error:
            raise BadInput(
                where,
                f"its metadata lacks or garbles {error}",
                expected="an ONNX file exported by kinemill",
            ) from error
        if values["format"] != FORMAT:
            raise BadInput(
                where,
                f"is of format {values['format']}",
                expected=f"format {FORMAT}",
                fix="install the kinemill that exported it",
            )
        if values["dtype"] not in ("float32", "float64"):
            raise BadInput(where, f"holds {values['dtype']}", expected="float32 or float64")
        interface = cls._from_values(values)
        dt: object = values["dt"]
        if not (isinstance(dt, float | int) and 0.0 < dt < math.inf):
            # Nothing that is integrated over no time ever moves.
            raise BadInput(where, f"says dt {dt!r}", expected="a time step above 0 s")
        return interface

    @classmethod
    def _properties(cls) -> tuple[str, ...]:
        return ("format", *(name for name in cls.__dataclass_fields__ if name not in _DEFAULTS))

    @classmethod
    def _from_values(cls, values: Mapping[str, Any]) -> "Interface":
        return cls(
            task=values["task"],
            dt=values["dt"],
            history=values["history"],
            states=tuple(values["states"]),
            actions=tuple(values["actions"]),
            units=values["units"],
            limits={name: (low, high) for name, (low, high) in values["limits"].items()},
            angles=tuple(values["angles"]),
            carry=tuple(Carry(item["name"], tuple(item["shape"])) for item in values["carry"]),
            dataset=values["dataset"],
            versions=values["versions"],
            belief=_belief(values["belief"]),
            dtype=values["dtype"],
        )


def _belief(value: Mapping[str, Any] | None) -> Belief | None:
    if value is None:
        return None
    measured = tuple(float(variance) for variance in value["measured"])
    return Belief(value["members"], value["offsets"], value["covariance"], measured)


def wrapped(difference: NDArray[Any], angle: NDArray[np.bool_]) -> NDArray[Any]:
    """Bring differences (..., S) of those channels that are angles (S,) to [-π, π] rad."""
    turns = np.round(difference / (2 * np.pi)) * (2 * np.pi)
    return difference - np.where(angle, turns, 0.0)


def safe_values(
    declared: Mapping[str, float], names: Sequence[str], limits: Mapping[str, tuple[float, float]]
) -> NDArray[np.float32]:
    """Return what to send when nothing better is known, (A,): as declared, else nearest to 0.

    Args:
        declared: what is declared, by action.
        names: of the actions.
        limits: lowest and highest value of those that have some.
    """
    ends = [limits.get(name, (-np.inf, np.inf)) for name in names]
    rest = [float(np.clip(0.0, *pair)) for pair in ends]
    pairs = zip(names, rest, strict=True)
    return np.array([declared.get(name, value) for name, value in pairs], dtype=np.float32)
