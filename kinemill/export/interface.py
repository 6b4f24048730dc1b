"""Interface of a trained step, and `io.yaml`, its description for readers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version

from kinemill.export._graph import DISAGREEMENT, ESTIMATED, OPSET, OUTPUTS
from kinemill.export.step import TrainedStep, carries
from kinemill.runtime import Belief, Interface
from kinemill.store import Json
from kinemill.train.ensemble import Ensemble

_ESTIMATES = "the same, with derived states estimated; the rollout starts from the last row"
LIBRARIES = ("kinemill", "onnx", "onnxscript", "torch")


def describe(model: Json, step: TrainedStep) -> Interface:
    """Return the interface of `step`; `model` is its `model.json`."""
    layout = step.layout
    channels = [*layout.states, *layout.actions]
    limits = {name: model["limits"][name] for name in channels}
    channels += layout.output_channels
    return Interface(
        task=model["task"],
        dt=layout.dt,
        history=step.rows,
        states=tuple(layout.states),
        actions=tuple(layout.actions),
        units={name: model["units"][name] for name in channels},
        limits={name: (float(pair[0]), float(pair[1])) for name, pair in limits.items() if pair},
        angles=tuple(
            name for name, angle in zip(layout.states, layout.angles, strict=True) if angle
        ),
        carry=carries(step),
        dataset=model["dataset"],
        versions={name: version(name) for name in LIBRARIES},
        belief=_belief(step),
        outputs=tuple(layout.output_channels),
        derived=dict(layout.derived),
        memory=layout.history,
    )


def uncertainty_carries(interface: Interface) -> tuple[str, ...]:
    """Return the carries with the uncertainty; a rollout returns them for every step."""
    belief = interface.belief
    return tuple(name for name in (belief.offsets, belief.covariance) if name) if belief else ()


def beliefs(interface: Interface) -> int:
    """Return the number of carries, the last ones, that warm-up does not update."""
    names = [item.name for item in interface.carry]
    return len(names) - names.index(interface.belief.offsets) if interface.belief else 0


def _over_time(shape: list[str | int]) -> list[str | int]:
    return [shape[0], "horizon", *shape[1:]]


def _belief(step: TrainedStep) -> Belief | None:
    """Return the carries that hold the uncertainty of an ensemble, or None."""
    if not isinstance(step, Ensemble):
        return None
    belief, has_elements = step.belief, [0 not in shape for shape in step.carry_shapes]
    names = [f"carry_{sum(has_elements[:index])}" for index in range(len(has_elements))]
    covariance = "" if belief.covariance is None else names[belief.covariance]
    return Belief(belief.members, names[belief.offsets], covariance, belief.measured)


def io_document(interface: Interface, files: Sequence[str], metadata: Mapping[str, str]) -> Json:
    """Return io.yaml: every tensor of all files with name, shape, channels, units and meaning."""
    return {
        "format": 3,
        "producer": f"kinemill {interface.versions['kinemill']}",
        "task": interface.task,
        "dt": interface.dt,
        "dt_unit": "s",
        "history": interface.history,
        "channels": _channels(interface),
        "derived": interface.derived,
        "not_finite": "NaN or infinity in a row of an input gives NaN in that row of every output",
        "safe_action": json.loads(metadata["safe_action"]),
        "lineage": json.loads(metadata["lineage"]),
        "opset": OPSET,
        "versions": interface.versions,
        "belief": _belief_document(interface),
        "files": {
            name: _step(interface) if name.startswith("step") else _rollout(interface)
            for name in files
        },
    }


def _belief_document(interface: Interface) -> Json | None:
    belief = interface.belief
    return asdict(belief) | {"measured": list(belief.measured)} if belief else None


def _step(interface: Interface) -> Json:
    states, actions, carry = _tensors(interface)
    return {
        "inputs": [
            _shaped(interface, states, "state", ["batch"], "state at step k"),
            _shaped(interface, actions, "action", ["batch"], "acts from step k to k+1"),
            *carry,
        ],
        "outputs": [
            _shaped(interface, states, "next_state", ["batch"], "state at step k+1"),
            *_next(carry, "carry for the step after"),
            *_outputs(interface, ["batch"], "at step k, under the action of step k"),
            *_disagreement(interface, states, ["batch"]),
        ],
    }


def _rollout(interface: Interface) -> Json:
    states, actions, carry = _tensors(interface)
    history = interface.history
    return {
        "inputs": [
            _shaped(interface, states, "states", ["batch", history], _states_meaning(interface)),
            _shaped(
                interface, actions, "past_actions", ["batch", history - 1], "actions between them"
            ),
            _shaped(
                interface, actions, "actions", ["batch", "horizon"], "the first acts from now on"
            ),
        ],
        "outputs": [
            _shaped(
                interface, states, "next_states", ["batch", "horizon"], "state after each action"
            ),
            *(
                [_shaped(interface, states, ESTIMATED, ["batch", history], _ESTIMATES)]
                if interface.derived
                else []
            ),
            *_outputs(interface, ["batch", "horizon"], "at the row of each action"),
            *_next(carry, "carry after the last action, to continue with step.onnx"),
            *(
                {**item, "name": f"path_{item['name']}", "shape": _over_time(item["shape"])}
                | {"meaning": "the same after each action"}
                for item in carry
                if item["name"] in uncertainty_carries(interface)
            ),
            *_disagreement(interface, states, ["batch", "horizon"]),
        ],
    }


def _states_meaning(interface: Interface) -> str:
    meaning = "past states, the last is now"
    if not interface.derived:
        return meaning
    return f"{meaning}; {', '.join(interface.derived)}: any finite number, estimated inside"


def _disagreement(interface: Interface, states: Json, leading: list[str | int]) -> list[Json]:
    meaning = "standard deviation of that state between the members"
    return [_shaped(interface, states, DISAGREEMENT, leading, meaning)] if interface.belief else []


def _outputs(interface: Interface, leading: list[str | int], when: str) -> list[Json]:
    if not interface.outputs:
        return []
    columns = _columns(interface, interface.outputs)
    return [_shaped(interface, columns, OUTPUTS, leading, f"predicted but not fed back, {when}")]


def _tensors(interface: Interface) -> tuple[Json, Json, list[Json]]:
    states = _columns(interface, interface.states)
    actions = _columns(interface, interface.actions)
    carry: list[Json] = [
        {
            "name": item.name,
            "dtype": interface.dtype,
            "shape": ["batch", *item.shape],
            "meaning": "carry from the step before; zeros before the first",
        }
        for item in interface.carry
    ]
    return states, actions, carry


def _columns(interface: Interface, names: tuple[str, ...]) -> Json:
    return {"channels": list(names), "units": [interface.units[name] for name in names]}


def _shaped(
    interface: Interface, columns: Json, name: str, leading: list[str | int], meaning: str
) -> Json:
    shape = [*leading, len(columns["channels"])]
    return {"name": name, "dtype": interface.dtype, "shape": shape, "meaning": meaning, **columns}


def _next(carry: list[Json], meaning: str) -> list[Json]:
    return [{**item, "name": f"next_{item['name']}", "meaning": meaning} for item in carry]


def _channels(interface: Interface) -> list[Json]:
    return [
        {
            "name": name,
            "role": role,
            "unit": interface.units[name],
            "kind": "angle" if name in interface.angles else "linear",
            "limits": list(interface.limits[name]) if name in interface.limits else None,
        }
        for role, names in interface.roles.items()
        for name in names
    ]
