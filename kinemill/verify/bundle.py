"""`kinemill model verify FOLDER`: a model folder without its data and its trained network.

Nothing is taken on trust: what could run or read elsewhere is refused before anything is opened,
hashes are compared, then the files are looked at, and then they are run.
"""

import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from kinemill.errors import BadInput
from kinemill.runtime import Interface, Simulator, load, wrapped
from kinemill.runtime.integrity import POLICY
from kinemill.runtime.model_safety import refuse_folder, refuse_model
from kinemill.runtime.self_test import CASES, INPUTS, Arrays, files_lines, parity, read_cases
from kinemill.store import Json
from kinemill.verify.analysis import plain
from kinemill.verify.checklist import Gate, gate
from kinemill.verify.cold_start import cold_start
from kinemill.verify.contract_checks import SAME, manners, same_by_steps
from kinemill.verify.files import read_models, structures
from kinemill.verify.latency import latency, machine
from kinemill.verify.nan_propagation import poison
from kinemill.verify.structure import examine, read_interface
from kinemill.verify.test_inputs import Probe

ROWS, HORIZON = 64, 25
VARIANT = re.compile(r"rollout\.[^.]+\.onnx")
BITS = {"fp16": 11, "int8": 7}  # what a layer's inputs are rounded to, of their range or of each
ADDS_UP = 32.0  # times: ranges are not filled, and layers follow each other
TINY = 1e-9  # of a channel that rests
COPIES, BIT = 3, 2.0**-23  # of windows whose numbers are a bit of float32 apart
TIMES = 10.0  # what they differ by, as in parity with the trained step
UNKNOWN = 1.0  # what a channel without limits is tried up to, in its unit


def verify_folder(folder: Path) -> Json:
    """Try a model's or policy's folder in every way that needs nothing else.

    Returns:
        The document: `passed`, `gates`, `files`, and, unless a hash is wrong, `latency_ms`,
        `cold_start`, `machine`.

    Raises:
        BadInput: there is no model, or one that must not be opened.
        CorruptArtifact: `sha256sums` cannot be read.
    """
    check_folder(folder)
    gates = _hashed(folder)
    if not all(line.passed for line in gates):
        return _document(folder, gates, {})  # nothing of a changed file is run
    if (folder / POLICY).is_file():
        from kinemill.verify.policies.folder import try_folder

        more, about = try_folder(folder)
        return _document(folder, [*gates, *more], about)
    models = read_models(folder, every=True)
    gates += [line for path, model in models.items() for line in examine(path, model)]
    said = [read_interface(path, model) for path, model in models.items()]
    differ = [] if all(one == said[0] for one in said) else ["the files say different things"]
    gates.append(gate("metadata", differ, "the same in all files"))
    simulator = load(folder, non_finite="pass")
    probe = made_up(simulator.interface)
    gates += _runs(folder, simulator, probe)
    gates += variants(folder, models, simulator, probe)
    return _document(
        folder,
        gates,
        {
            "task": simulator.interface.task,
            "files": [asdict(one) for one in structures(models)],
            "latency_ms": {
                name: asdict(found) for name, found in latency(simulator, probe).items()
            },
            "cold_start": cold_start(folder),
            "machine": machine(),
            "dataset": simulator.interface.dataset,
            "versions": simulator.interface.versions,
        },
    )


def _document(folder: Path, gates: list[Gate], more: Json) -> Json:
    passed = all(line.passed for line in gates)
    about = {"folder": str(folder), "task": None, "passed": passed}
    return plain({**about, "gates": [asdict(line) for line in gates], "files": [], **more})


def _hashed(folder: Path) -> list[Gate]:
    """Compare hashes, and the metadata of the models with io.yaml."""
    return [Gate(**line) for line in files_lines(folder)]


def _runs(folder: Path, simulator: Simulator, probe: Probe) -> list[Gate]:
    """Run the files: on stored cases, where there are any, and on windows that are made up."""
    found: list[Gate] = []
    if (folder / CASES).is_file():
        cases = read_cases(folder)
        found += _tried("parity", lambda: [Gate(**line) for line in parity(simulator, cases)])
    refusing = load(folder, out_of_limits="raise")
    return [
        *found,
        *_tried("any batch", lambda: any_batch(simulator, probe)),
        *_tried("threads", lambda: other_threads(simulator, folder, probe)),
        *_tried("rollout equals steps", lambda: same_by_steps(simulator, probe)),
        *_tried("NaN stays in its row", lambda: contained(simulator, probe)),
        *_tried("manners", lambda: manners(simulator, refusing, [probe])),
    ]


def variants(
    folder: Path, models: Mapping[Path, onnx.ModelProto], original: Simulator, probe: Probe
) -> list[Gate]:
    """Try the same model in fewer bits in every way that the original is tried.

    Args:
        folder: with `rollout.fp16.onnx` and so on; there may be none.
        models: all files of the folder.
        original: the model in float32.
        probe: windows that are made up.
    """
    found = list[Gate]()
    for path in (each for each in models if VARIANT.fullmatch(each.name)):
        name = path.name.split(".")[1]
        lines = _tried("runs", partial(_variant, path, probe))
        if (folder / CASES).is_file():
            lines += _tried("rounding", partial(rounding, path, original, read_cases(folder)))
        said = {item.key: item.value for item in models[path].metadata_props}.get("precision")
        wrong = [] if said == json.dumps(name) else [f"says {said}"]
        lines.append(gate("precision", wrong, "as the file's name says"))
        found += [replace(line, name=f"{name}: {line.name}") for line in lines]
    return found


def _variant(path: Path, probe: Probe) -> list[Gate]:
    variant = load(path, non_finite="pass")
    return [
        any_batch(variant, probe),
        other_threads(variant, path, probe),
        same_by_steps(variant, probe),
        contained(variant, probe),
        *manners(variant, load(path, out_of_limits="raise"), [probe]),
    ]


def rounding(path: Path, original: Simulator, cases: Arrays) -> Gate:
    """Ask whether the first step differs from the original's by what fewer bits make of it.

    Later ones may differ by anything where motion is chaotic; they are to be finite.
    """
    name = path.name.split(".")[1]
    inputs = [cases[part] for part in INPUTS]
    variant = load(path, non_finite="pass").rollout(*inputs)
    if name not in BITS or not np.isfinite(variant).all():
        return Gate("rounding", False, "not finite or of no known kind", f"one of {[*BITS]}")
    angle = np.array([state in original.interface.angles for state in original.states])
    wanted = original.rollout(*inputs)[:, 0]
    off = wrapped((variant[:, 0] - wanted).astype(np.float64), angle)
    moved = wrapped((wanted - inputs[0][:, -1]).astype(np.float64), angle)
    share = np.sqrt(np.square(off).mean(axis=0)) / (np.sqrt(np.square(moved).mean(axis=0)) + TINY)
    most, worst = ADDS_UP * 2.0 ** -BITS[name], float(share.max())
    text = f"{worst:.2g} of what the first step changes"
    return Gate("rounding", worst <= most, text, f"at most {most:.2g} in {name}")


def check_folder(folder: Path) -> None:
    """Refuse what must not be opened.

    Raises:
        BadInput: something in the folder, or below it, is dangerous; or it is no folder.
    """
    if not folder.is_dir():
        raise BadInput(folder, "is no folder", expected="the folder of a model")
    for name, _, _ in os.walk(folder):  # into no link
        part = Path(name)
        refuse_folder(part)
        for path in part.glob("*.onnx"):
            refuse_model(path, path.read_bytes())


def made_up(interface: Interface) -> Probe:
    """Make windows up: at rest, then anywhere within the limits; from a fixed seed."""
    rng = np.random.default_rng(0)

    def draw(names: tuple[str, ...], steps: int) -> NDArray[np.float32]:
        turns = dict.fromkeys(interface.angles, (-np.pi, np.pi))
        ranges = [{**turns, **interface.limits}.get(name, (-UNKNOWN, UNKNOWN)) for name in names]
        low, high = np.reshape(np.array(ranges, dtype=float), (len(names), 2)).T
        found = rng.uniform(low, high, (ROWS, steps, len(names)))
        found[0] = np.clip(0.0, low, high)
        return found.astype(np.float32)

    known, states, actions = interface.history, interface.states, interface.actions
    return Probe("made up", draw(states, known), draw(actions, known - 1), draw(actions, HORIZON))


def any_batch(simulator: Simulator, probe: Probe) -> Gate:
    """Ask whether a row is answered as it is alone, whatever else is in its batch."""
    together = simulator.rollout(*probe.inputs)
    alone = np.concatenate(
        [simulator.rollout(*(part[[row]] for part in probe.inputs)) for row in range(7)]
    )
    return _same("any batch", simulator, alone, together[:7], _apart(simulator, probe, 7))


def other_threads(simulator: Simulator, folder: Path, probe: Probe) -> Gate:
    """Ask whether two threads give what one gives."""
    threaded = load(folder, threads=2, non_finite="pass").rollout(*probe.inputs)
    one = simulator.rollout(*probe.inputs)
    return _same("threads", simulator, threaded, one, _apart(simulator, probe, len(one)))


def _apart(simulator: Simulator, probe: Probe, rows: int) -> NDArray[Any]:
    """Return by how much rollouts of inputs a rounding apart differ, (rows, 1, S)."""
    parts, random = probe.first(rows).inputs, np.random.default_rng(0)
    one, found = simulator.rollout(*parts), list[NDArray[Any]]()
    for _ in range(COPIES):
        nudged = [part * (1.0 + BIT * random.choice([-1.0, 1.0], part.shape)) for part in parts]
        found.append(np.abs(simulator.rollout(*nudged).astype(np.float64) - one).max(axis=1))
    return np.max(found, axis=0)[:, None]


def _same(
    name: str,
    simulator: Simulator,
    one: NDArray[Any],
    other: NDArray[Any],
    apart: NDArray[Any],
) -> Gate:
    angle = np.array([state in simulator.interface.angles for state in simulator.states])
    reach = np.maximum(np.abs(other.astype(np.float64)).max(axis=(0, 1)), 1.0)
    off = np.abs(wrapped(one.astype(np.float64) - other, angle)) / reach
    passed = bool((off <= np.maximum(SAME, TIMES * apart / reach)).all())
    found = f"{float(off.max()):.1e} of a channel's reach apart"
    return Gate(name, passed, found, f"at most {SAME:g}, or what rounding explains")


def contained(simulator: Simulator, probe: Probe) -> Gate:
    """Ask whether NaN stays in its row, and fills it."""
    failed = sorted(
        {f"not from {row.tensor}" for row in poison(simulator, probe) if not row.passed}
    )
    return gate("NaN stays in its row", failed, "NaN in its row, in no other")


def _tried(name: str, ask: Callable[[], Gate | list[Gate]]) -> list[Gate]:
    """Ask, or say why that cannot be."""
    try:
        found = ask()
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises a dozen unrelated types
        text = str(error).strip().splitlines()
        return [Gate(name, False, text[0] if text else type(error).__name__, "runs")]
    return found if isinstance(found, list) else [found]
