"""Interface of a trained step, and `io.yaml`, its description for readers."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version

from kinemill.export._graph import DISAGREEMENT, ESTIMATED, OPSET, OUTPUTS
from kinemill.export.io_document import ChannelSpec, FileSpec, IoDocument, TensorSpec
from kinemill.export.step import TrainedStep, carries
from kinemill.runtime import Conformal, Interface
from kinemill.store import Json
from kinemill.train.ensemble import Ensemble

_ESTIMATES = "the same, with derived states estimated; the rollout starts from the last row"
Axes = list[str | int]  # sizes of leading axes, free ones by name
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
        belief=step.belief if isinstance(step, Ensemble) else None,
        outputs=tuple(layout.output_channels),
        derived=dict(layout.derived),
        memory=layout.history,
    )


def uncertainty_carries(interface: Interface) -> tuple[str, ...]:
    """Return the carries with the uncertainty; a rollout returns them for every step."""
    belief = interface.belief
    return tuple(name for name in (belief.offsets, belief.covariance) if name) if belief else ()


def beliefs(interface: Interface) -> int:
    """Return the number of carries at the end of the list that warm-up does not update."""
    names = [item.name for item in interface.carry]
    return len(names) - names.index(interface.belief.offsets) if interface.belief else 0


def with_conformal(interface: Interface, conformal: Conformal | None) -> Interface:
    """Return the interface with a correction of its standard deviations, if it has any."""
    if interface.belief is None:
        return interface
    return replace(interface, belief=replace(interface.belief, conformal=conformal))


def io_document(
    interface: Interface, files: Sequence[str], metadata: Mapping[str, str]
) -> IoDocument:
    """Return the content of io.yaml: name, shape, channels, units and meaning of every tensor."""
    return IoDocument(
        producer=f"kinemill {interface.versions['kinemill']}",
        form="dynamics",
        task=interface.task,
        dt=interface.dt,
        history=interface.history,
        channels=_channels(interface),
        derived=interface.derived,
        safe_action=json.loads(metadata["safe_action"]),
        lineage=json.loads(metadata["lineage"]),
        opset=OPSET,
        versions=interface.versions,
        belief=interface.belief,
        files={
            name: _step(interface) if name.startswith("step") else _rollout(interface)
            for name in files
        },
    )


def _step(interface: Interface) -> FileSpec:
    states = interface.states
    actions = interface.actions
    carry = _carry(interface)
    batch: Axes = ["batch"]
    return FileSpec(
        inputs=[
            _tensor(interface, states, "state", batch, "state at step k"),
            _tensor(interface, actions, "action", batch, "acts from step k to k+1"),
            *carry,
        ],
        outputs=[
            _tensor(interface, states, "next_state", batch, "state at step k+1"),
            *(item.as_next("carry for the step after") for item in carry),
            *_outputs(interface, batch, "at step k, under the action of step k"),
            *_disagreement(interface, batch),
        ],
    )


def _rollout(interface: Interface) -> FileSpec:
    states = interface.states
    actions = interface.actions
    carry = _carry(interface)
    history = interface.history
    path = list[str | int](["batch", "horizon"])
    past: Axes = ["batch", history - 1]
    estimated = [_tensor(interface, states, ESTIMATED, ["batch", history], _ESTIMATES)]
    uncertain = uncertainty_carries(interface)
    return FileSpec(
        inputs=[
            _tensor(interface, states, "states", ["batch", history], _states_meaning(interface)),
            _tensor(interface, actions, "past_actions", past, "actions between them"),
            _tensor(interface, actions, "actions", path, "the first acts from now on"),
        ],
        outputs=[
            _tensor(interface, states, "next_states", path, "state after each action"),
            *(estimated if interface.derived else []),
            *_outputs(interface, path, "at the row of each action"),
            *(item.as_next("carry after the last action, for step.onnx") for item in carry),
            *(item.as_path() for item in carry if item.name in uncertain),
            *_disagreement(interface, path),
        ],
    )


def _states_meaning(interface: Interface) -> str:
    meaning = "past states, the last is now"
    if not interface.derived:
        return meaning
    return f"{meaning}; {', '.join(interface.derived)}: any finite number, the file estimates it"


def _disagreement(interface: Interface, leading: Axes) -> list[TensorSpec]:
    meaning = "standard deviation of that state between the members"
    if not interface.belief:
        return []
    return [_tensor(interface, interface.states, DISAGREEMENT, leading, meaning)]


def _outputs(interface: Interface, leading: Axes, when: str) -> list[TensorSpec]:
    if not interface.outputs:
        return []
    meaning = f"predicted but not fed back, {when}"
    return [_tensor(interface, interface.outputs, OUTPUTS, leading, meaning)]


def _carry(interface: Interface) -> list[TensorSpec]:
    meaning = "carry from the step before; zeros before the first"
    return [
        TensorSpec(item.name, interface.dtype, ["batch", *item.shape], meaning)
        for item in interface.carry
    ]


def _tensor(
    interface: Interface, names: Sequence[str], name: str, leading: Axes, meaning: str
) -> TensorSpec:
    """Return a tensor with one column per channel in `names`."""
    units = [interface.units[channel] for channel in names]
    shape = [*leading, len(names)]
    return TensorSpec(name, interface.dtype, shape, meaning, list(names), units)


def _channels(interface: Interface) -> list[ChannelSpec]:
    return [
        ChannelSpec(
            name,
            role,
            interface.units[name],
            interface.limits.get(name),
            "angle" if name in interface.angles else "linear",
        )
        for role, names in interface.roles.items()
        for name in names
    ]
