"""Accuracy on real hardware logs, over seeds: `make prove-accuracy`.

Each task has a separate home under `prove/` in the home. Each seed runs the whole chain there, and
its model and document are kept, so an interrupted proof resumes. All errors are those of the
exported ONNX files, on recordings that neither training nor selection used.
"""

import os
import shutil
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _proof
from kinemill import runtime
from kinemill.api.dataset import make_dataset
from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.selection.references.fit import fit_references
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.verify.accuracy import evaluate

SETS = {
    "double_pendulum": "double_pendulum_sysid",
    "simple_pendulum": "simple_pendulum",
    "silverbox": "silverbox",
    "cascaded_tanks": "cascaded_tanks",
}
SEEDS = range(int(os.environ.get("SEEDS", "3")))
OTHER_DAY = ("055903", "060143", "060245", "060329", "055032", "055640")
REPLAYED = ("055032", "055640")  # the torques of the training runs, once more
FAMILIES = ("persistence", "linear", "linear_sincos")  # in the tables
UNKNOWING = 32000  # rows of the arrow within the amplitudes of training

Lines = list[list[object]]


def home_of(task: str) -> Home:
    """Return the home of the proof of one task."""
    return Home(_proof.results_folder(task))


def prove(task: str, seed: int) -> Path:
    """Run the chain once for `seed`, unless it was; return the folder of the trained model.

    That is also the one that the gate refused in favor of a reference or of an earlier seed.

    Raises:
        RuntimeError: the chain failed, or its verification did.
    """
    home = home_of(task)
    result_folder = home.root / f"seed-{seed}"

    def train() -> dict[str, Any]:
        arguments = ["--logs", str(_proof.DATA / SETS[task]), "--set", f"learn.seed={seed}"]
        document = _proof.kinemill(home.root, "run", task, *arguments)
        if not (document.get("verification") or {}).get("passed"):
            message = f"{task}, seed {seed}: {document}"
            raise RuntimeError(message)
        candidates = document["selection"]["candidates"]
        (version,) = [
            candidate["version"] for candidate in candidates if candidate["candidate"] == "trained"
        ]
        shutil.rmtree(result_folder, ignore_errors=True)
        export = ["model", "export", f"{task}:{version}", "--to", str(result_folder)]
        _proof.kinemill(home.root, *export)
        return document

    _proof.cached(result_folder.with_suffix(".json"), train)  # outside: its files are sealed
    return result_folder


def simulators(task: str) -> list[Any]:
    """Return the exported model of every seed."""
    return [runtime.load(prove(task, seed)) for seed in SEEDS]


def pack(task: str, changed: dict[str, Any] | None = None) -> PackedDataset:
    """Return a task's dataset, as the chain makes it, with parts of the task changed."""
    loaded, home = load_task(task, {"ingest.min_file_age": 0.0, **(changed or {})}), home_of(task)
    return make_dataset(loaded, _proof.DATA / SETS[task], home=home).packed


def references(task: str, dataset: PackedDataset) -> dict[str, Any]:
    """Return the strongest reference of each family."""
    return fit_references(load_task(task), dataset).predictors()


def mean_and_std(values: list[float], digits: int = 3) -> str:
    """Spell the mean over seeds and their standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"**{statistics.mean(values):.{digits}g}** ± {deviation:.1g}"


def by_channel(task: str) -> Lines:
    """Return the errors at the horizon, by channel: rows of a table."""
    dataset, models = pack(task), simulators(task)
    reference_results = references(task, dataset)
    history = max(model.history for model in (*models, *reference_results.values()))
    errors = [evaluate(model, dataset, history=history) for model in models]
    others = {
        name: evaluate(reference_results[name], dataset, history=history) for name in FAMILIES
    }
    rows: Lines = []
    for index, name in enumerate(dataset.states):
        own = [float(error.rmse[index]) for error in errors]
        reference_errors = [float(one.rmse[index]) for one in others.values()]
        ratio = [value / reference_errors[-1] for value in own]
        reference_cells = [f"{value:.3g}" for value in reference_errors]
        cells = [task, name, dataset.units[name], mean_and_std(own), *reference_cells]
        rows.append([*cells, mean_and_std(ratio, 2)])
    sincos = others["linear_sincos"]
    ratio = [float((error.rmse / sincos.rmse).mean()) for error in errors]
    empty = [""] * (2 + len(FAMILIES))
    return [*rows, [task, "mean over channels", *empty, mean_and_std(ratio, 2)]]


def other_days() -> Lines:
    """Return the double pendulum's errors over those of the linear model, runs of another day."""
    rows: Lines = []
    for run in OTHER_DAY:
        rest = [f"*{one}*" for one in OTHER_DAY if one != run]
        changed = {"dataset.test": [f"*{run}*"], "dataset.unused": ["*traj03*", *rest]}
        dataset, models = pack("double_pendulum", changed), simulators("double_pendulum")
        linear = references("double_pendulum", dataset)["linear_sincos"]
        history = max(models[0].history, linear.history)
        reference = evaluate(linear, dataset, history=history).rmse
        ratios = [evaluate(model, dataset, history=history).rmse / reference for model in models]
        columns = [mean_and_std([float(ratio[i]) for ratio in ratios], 2) for i in range(4)]
        mean = mean_and_std([float(ratio.mean()) for ratio in ratios], 2)
        rows.append([f"{run}{' (replayed)' if run in REPLAYED else ''}", *columns, mean])
    return rows


def free_run(model: Any, dataset: PackedDataset, episode: PackedEpisode, warmup: int) -> Any:
    """Return the errors (rows - known,) of a simulation that sees `known` rows and the actions."""
    rows, states = dataset.rows(episode)[None], len(dataset.states)
    first, history = warmup - model.history, slice(warmup - model.history, warmup)
    predicted = model.rollout(
        rows[:, history, :states],
        rows[:, first : warmup - 1, states:],
        rows[:, warmup - 1 : -1, states:],
    )
    return (predicted - rows[:, warmup:, :states])[0, :, 0].astype(np.float64)


def simulations() -> Lines:
    """Return free-run errors on the official splits: rows of a table."""
    rows: Lines = []
    dataset, models = pack("silverbox"), simulators("silverbox")
    arrow, multisine = sorted(dataset.of("test"), key=lambda one: -one.rows)
    stretches = {
        "silverbox, multisine": (multisine, None, "1.49", "0.30"),
        "silverbox, arrow without extrapolation": (arrow, UNKNOWING - 50, "0.95", "0.26"),
        "silverbox, arrow": (arrow, None, "2.80", "0.26"),
    }
    for name, (episode, until, *published) in stretches.items():
        errors = [1e3 * rms(free_run(model, dataset, episode, 50)[:until]) for model in models]
        rows.append([name, "mV", mean_and_std(errors), *published])
    dataset, models = pack("cascaded_tanks"), simulators("cascaded_tanks")
    (test,) = dataset.of("test")
    errors = [rms(free_run(model, dataset, test, model.history)) for model in models]
    return [*rows, ["cascaded_tanks", "V", mean_and_std(errors), "0.396", "0.191"]]


def rms(errors: Any) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(errors**2)))


def report() -> str:
    """Return the tables of the section `accuracy`, as far as seeds are proven."""
    joints = ["shoulder", "elbow", "shoulder velocity", "elbow velocity"]
    channels = [*by_channel("double_pendulum"), *by_channel("simple_pendulum")]
    run = "free-run simulation"
    tables = [
        (["task", "channel", "unit", "kinemill", *FAMILIES, "ratio to linear_sincos"], channels),
        (["double pendulum, another day, ratio to linear_sincos", *joints, "mean"], other_days()),
        ([run, "unit", "kinemill", "published GRU", "best published"], simulations()),
    ]
    return "\n".join(_proof.table(head, rows) for head, rows in tables)


def main() -> None:
    """Prove all tasks and rewrite the section `accuracy` of docs/results-*.md."""
    _proof.require(_proof.DATA)
    _proof.write("accuracy", report())


if __name__ == "__main__":
    main()
