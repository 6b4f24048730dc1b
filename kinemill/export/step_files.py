"""Write the files of a trained step, and compare them with it.

`cases.npz` holds parity cases: inputs of a few windows with the outputs of the trained step in
float64. `python -m kinemill.runtime verify FOLDER` compares a copy of the model with them on any
machine; it needs numpy and ONNX Runtime.

Symbols: N cases, H history, T horizon, S states, A actions.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput, Blocked
from kinemill.export._graph import OPSET
from kinemill.export.bundle import write_interface
from kinemill.export.c99.parity import write_c99
from kinemill.export.interface import io_document
from kinemill.export.rollout import rollout_model
from kinemill.export.rounding import FACTOR, evaluate, rollout
from kinemill.export.step import TrainedStep, export_any, step_model, trace, trace_estimator
from kinemill.export.summary import ExportSummary
from kinemill.runtime import Interface, load, wrapped
from kinemill.runtime.integrity import ROLLOUT
from kinemill.runtime.interface import safe_action
from kinemill.runtime.self_test import CASES
from kinemill.runtime.window_metrics import (
    Floats,
    Windows,
    cut_windows,
    draw_within,
    evenly_spaced,
    nonzero_std,
)
from kinemill.task.export import Export

STEPS = 3
GROSS = 100.0  # of the first comparison: steps, times the tolerance of a runtime

_MOST = 8
_HORIZON = 25
_TOLERANCE = 1e-5  # smallest tolerance, in standard deviations of a channel, as in verification

_Arrays = dict[str, NDArray[np.float32]]


def write_model(
    step: TrainedStep,
    interface: Interface,
    folder: Path,
    settings: Export | None = None,
    rows: PackedDataset | None = None,
    lineage: Mapping[str, str] | None = None,
) -> ExportSummary:
    """Write the files of a step into `folder`, compare them with it, and return the summary.

    Args:
        step: the trained step.
        interface: its channels, units and shapes.
        folder: an empty folder.
        settings: the `export` part of the task.
        rows: dataset of the parity cases; None draws random ones.
        lineage: digests of the inputs of the model, for its metadata.

    Raises:
        Blocked: The exported step returns NaN, or differs from the trained one.
    """
    settings = settings or Export()
    interface = replace(interface, dtype=settings.precision)
    metadata = _metadata(interface, settings, lineage or {})
    files = _models(trace(step, interface), trace_estimator(step, interface), interface, metadata)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    _check_loads(interface, folder)
    cases = _make_cases(step, interface, rows)
    _compare(folder, cases)
    np.savez(folder / CASES, allow_pickle=False, **cases)
    c99 = write_c99(folder, files["step.onnx"]) if settings.c99 else None
    write_interface(folder, io_document(interface, tuple(files), metadata))
    return ExportSummary(
        history=interface.history,
        states=list(interface.states),
        actions=list(interface.actions),
        carry=[[item.name, *item.shape] for item in interface.carry],
        opset=OPSET,
        bytes={name: (folder / name).stat().st_size for name in files},
        c99=c99,
    )


def _metadata(interface: Interface, settings: Export, lineage: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of a model: interface, safe action, lineage, precision."""
    more: dict[str, object] = {
        "safe_action": safe_action(interface.actions, interface.limits, settings.safe_action),
        "lineage": {"dataset": interface.dataset, **lineage},
        "precision": "fp32" if interface.dtype == "float32" else "fp64",
    }
    return interface.to_metadata() | {name: json.dumps(value) for name, value in more.items()}


def _models(
    core: onnx.GraphProto,
    estimator: onnx.GraphProto | None,
    interface: Interface,
    metadata: Mapping[str, str],
) -> dict[str, bytes]:
    """Return step and rollout by file name."""
    version = interface.versions["kinemill"]
    made = {
        "step.onnx": step_model(core, interface, version, metadata),
        "rollout.onnx": rollout_model(core, interface, version, metadata, estimator),
    }
    return {name: model.SerializeToString(deterministic=True) for name, model in made.items()}


def warm_up() -> None:
    """Export a tiny module, so that torch loads its exporter before a stage needs it."""
    export_any(torch.nn.Linear(1, 1).eval(), (torch.zeros(1, 1),))


def _check_loads(interface: Interface, folder: Path) -> None:
    """Check that ONNX Runtime implements all operations in float64; it lacks Erf and Elu."""
    try:
        load(folder / ROLLOUT)
    except BadInput as error:
        if interface.dtype != "float64" or "NOT_IMPLEMENTED" not in str(error):
            raise
        lacks = str(error).partition("implementation for ")[2].partition(" ")[0]
        raise BadInput(
            "export.precision",
            f"float64 is not possible: ONNX Runtime lacks {lacks or 'an operation'} in it",
            expected="operations that ONNX Runtime implements in float64",
            fix="use another activation, such as tanh or silu, or float32",
        ) from error


def _compare(folder: Path, cases: _Arrays) -> None:
    """Run the first steps of the parity cases and reject gross differences.

    The cases are rows of training, because random inputs mislead: a polynomial of a channel that
    stays within 0.005 m diverges from 1 m, also if its export is right. `verify` checks small
    differences.

    Raises:
        Blocked: The exported step returns NaN, or differs grossly.
    """
    simulator = load(folder / ROLLOUT, non_finite="pass")
    inputs = cases["states"], cases["past_actions"], cases["actions"][:, :STEPS]
    expected = cases["next_states"][:, :STEPS]
    allowed = GROSS * cases["allowed"][:, :STEPS]
    predicted = simulator.rollout(*inputs)
    angle = simulator.interface.is_angle
    difference = np.abs(wrapped(predicted - expected, angle))
    if not bool((difference <= allowed).all()):
        what = f"differs from the trained one by up to {difference.max():.3g}"
        if not np.isfinite(predicted).all():
            what = "returns values that are not finite"
        raise Blocked(
            f"{simulator.interface.task}: exported model",
            what,
            expected="the values of the trained step",
            fix="check the loss of the training, which may have diverged",
        )


def _training_windows(rows: PackedDataset, history: int, horizon: int, most: int) -> Windows | None:
    """Return up to `most` evenly spaced training windows; None if all episodes are too short.

    A window has `history` known rows (W, H, S) and `horizon` rows to predict (W, T, S).
    """
    starts = rows.window_starts("train", history + horizon)
    if not len(starts):
        return None
    selected = evenly_spaced(starts, most)
    return cut_windows(rows.values, len(rows.states), selected, history, horizon)


def _make_cases(step: TrainedStep, interface: Interface, rows: PackedDataset | None) -> _Arrays:
    """Return inputs, expected next states (N, T, S) and the tolerance of a runtime.

    Without `rows`, inputs are drawn within the limits.
    """
    windows = _training_windows(rows, interface.history, _HORIZON, _MOST) if rows else None
    inputs = _as_inputs(windows) if windows else _random_inputs(interface)
    std = np.ones(len(interface.states)) if rows is None else rows.std[: len(interface.states)]
    std = nonzero_std(std)  # a constant channel counts in its unit
    with np.errstate(over="ignore"):  # predictions may diverge
        return inputs | _expected(step, interface, inputs, std)


def _expected(step: TrainedStep, interface: Interface, inputs: _Arrays, std: Floats) -> _Arrays:
    exact, rounded = evaluate(step, rollout, [*inputs.values()], interface.dtype).part(0)
    angle = interface.is_angle
    rounding = np.max([np.abs(wrapped(values - exact, angle)) for values in rounded], axis=0)
    allowed = _allowed(exact, rounding, std)
    return {"next_states": exact.astype(np.float32), "allowed": allowed.astype(np.float32)}


def _allowed(exact: Floats, rounding: Floats, std: Floats) -> Floats:
    """Return the tolerance of each number (N, T, S); it never decreases along a rollout."""
    # One state's rounding reaches all others through the network, so the worst one counts for all.
    worst = (rounding / std).max(axis=2, keepdims=True) * std
    floor = np.maximum(_TOLERANCE * std, np.spacing(np.abs(exact).astype(np.float32)))
    return np.maximum.accumulate(np.maximum(FACTOR * worst, floor), axis=1)


def _as_inputs(windows: Windows) -> _Arrays:
    parts = {
        "states": windows.states,
        "past_actions": windows.past_actions,
        "actions": windows.actions,
    }
    return {name: part.astype(np.float32) for name, part in parts.items()}


def _random_inputs(interface: Interface) -> _Arrays:
    random = np.random.default_rng(0)
    limits = interface.limits
    history = interface.history
    return {
        "states": draw_within(random, limits, interface.states, (_MOST, history)),
        "past_actions": draw_within(random, limits, interface.actions, (_MOST, history - 1)),
        "actions": draw_within(random, limits, interface.actions, (_MOST, _HORIZON)),
    }
