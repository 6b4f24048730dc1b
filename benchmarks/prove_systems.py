"""Verdicts of whole runs on simulated systems, against the truth: part two of `make prove-gate`.

Each of 12 systems is logged without noise and with 1 %, 8 and 25 times; `kinemill new` drafts the
task and `kinemill run` trains it, unattended. The truth is the error on 20 fresh episodes, without
noise, that no stage has seen: of what is served, of the trained model if the gate refused it, and
of simple models that are fitted here, to the same training rows. Errors are nRMSE at
verify.horizon, and in free run.

A served model is false if it diverges in a fresh episode, or is worse than the best simple model
there, by more than 10 % and by more than 1 % of the states' deviation. A refusal is false if the
refused model has at least 25 % less error than what is served. Finished cells are kept below
`prove/systems` in the home. `--row NAME` runs one system.
"""

import json
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _proof
from benchmarks._systems import SYSTEMS, Floats, write_logs
from kinemill import runtime
from kinemill.api.dataset import make_dataset
from kinemill.dataset import PackedDataset
from kinemill.dataset.scale import training_scale
from kinemill.register.versions import versions_of
from kinemill.runtime.window_metrics import Predictor, normalized
from kinemill.selection.divergence import free_runs
from kinemill.selection.validation_errors import finite
from kinemill.store.home import Home
from kinemill.task import Task, load_task
from kinemill.verify.accuracy import evaluate
from kinemill.verify.free_run import free_run

NOISE = (0.0, 0.01)
LOGS = (8, 25)
FRESH = 20
SPLITS = {"test": "run_[01]*", "validation": "run_20*"}  # of the fresh logs; two are for nothing
HISTORIES = (1, 4, 10, 40)  # of the simple models
RIDGE = 1e-8
FALSE_SERVED = 1.1  # ratio of errors
TOLERANCE = 0.01  # standard deviations: no smaller difference of errors counts, as in the gate
FALSE_REFUSED = 0.75


@dataclass(frozen=True)
class Linear:
    """Least squares of the next change of the states, on rows of history, as any user would fit.

    Attributes:
        history: rows of states and actions.
        angle: states that also enter as sine and cosine, (S,); none: plain.
        weights: (features, S).
        scale: standard deviations of states and of actions, (S,), (A,).
    """

    history: int
    angle: Floats
    weights: Floats
    scale: tuple[Floats, Floats]

    def rollout(self, states: Floats, past_actions: Floats, actions: Floats) -> Floats:
        """Predict T steps: (W, H, S), (W, H-1, A), (W, T, A) -> (W, T, S)."""
        recent = states[:, -self.history :].astype(np.float64)
        acted = np.concatenate([past_actions, actions], axis=1).astype(np.float64)
        first = past_actions.shape[1] - self.history + 1
        steps = list[Floats]()
        for step in range(actions.shape[1]):
            window = acted[:, first + step : first + step + self.history]
            change = _features(recent, window, self.angle, self.scale) @ self.weights
            following = recent[:, -1] + change * self.scale[0]
            steps.append(following)
            recent = np.concatenate([recent[:, 1:], following[:, None]], axis=1)
        return np.stack(steps, axis=1)


def _features(
    states: Floats, actions: Floats, angle: Floats, scale: tuple[Floats, Floats]
) -> Floats:
    """Return features of histories (W, H, S) and (W, H, A) as (W, F)."""
    turned = states[:, :, angle.astype(bool)]
    parts = [states / scale[0], actions / scale[1], np.sin(turned), np.cos(turned)]
    flat = [part.reshape(len(states), -1) for part in parts]
    return np.concatenate([*flat, np.ones((len(states), 1))], axis=1)


def fit_linear(rows: PackedDataset, history: int, *, sine: bool) -> Linear:
    """Fit to the training episodes of a dataset."""
    count = len(rows.states)
    angle = np.array([sine and name in rows.angles for name in rows.states], dtype=float)
    parts = [rows.rows(episode).astype(np.float64) for episode in rows.of("train")]
    deviation = np.concatenate(parts).std(axis=0)
    deviation = np.where(deviation > 0.0, deviation, 1.0)
    scale = deviation[:count], deviation[count:]
    features = list[Floats]()
    changes = list[Floats]()
    for part in parts:
        if len(part) > history:
            windows = np.lib.stride_tricks.sliding_window_view(part[:-1], history, axis=0)
            windows = windows.transpose(0, 2, 1)
            features.append(_features(windows[..., :count], windows[..., count:], angle, scale))
            changes.append((part[history:, :count] - part[history - 1 : -1, :count]) / scale[0])
    matrix: Floats = np.concatenate(features)
    gram: Floats = matrix.T @ matrix + RIDGE * len(matrix) * np.eye(matrix.shape[1])
    weights = np.linalg.solve(gram, matrix.T @ np.concatenate(changes))
    return Linear(history, angle, weights, scale)


@dataclass(frozen=True)
class Truth:
    """Errors of a model on fresh episodes: nRMSE at the horizon and in free run; or infinite."""

    horizon: float
    free_run: float
    diverged: int


def true_errors(model: Predictor, fresh: PackedDataset, task: Task, std: Floats) -> Truth:
    """Measure a model on fresh episodes, in standard deviations of its training rows (S,)."""
    steps = task.verify.horizon
    history = max(*HISTORIES, model.history)
    errors = evaluate(model, fresh, "test", steps, 10, history)
    run = free_run(model, fresh, "test", history, training_scale(fresh))
    means = [float(normalized(rmse, std)) for rmse in (errors.rmse, run.rmse)]
    at_horizon, over_run = (math.inf if math.isnan(mean) else mean for mean in means)
    return Truth(at_horizon, over_run, len(free_runs(model, fresh).diverged))


def run_cell(name: str, noise: float, logs: int, budget: float) -> dict[str, Any]:
    """Log a system, draft and train its task, and compare the verdict with the truth."""
    task_name = f"{name}_{round(noise * 100)}_{logs}"
    folder = _proof.results_folder("systems") / task_name
    shutil.rmtree(folder, ignore_errors=True)
    system = SYSTEMS[name]
    seed = sum(map(ord, task_name))
    write_logs(system, folder / "logs", logs, noise, seed)
    write_logs(system, folder / "fresh", FRESH + 2, 0.0, seed + 1)
    began = time.monotonic()
    _kinemill(folder, "new", task_name, "--from", str(folder / "logs"))
    document = json.loads(
        _kinemill(
            folder, "run", task_name, "--logs", str(folder / "logs"), "--json",
            "--set", f"learn.budget={budget}",
        )
    )  # fmt: skip
    seconds = time.monotonic() - began
    home = Home(folder / "var")
    task = load_task(folder / "tasks" / f"{task_name}.yaml")
    training = make_dataset(task, folder / "logs", home=home).packed
    splits: dict[str, Any] = {f"dataset.{split}": [name] for split, name in SPLITS.items()}
    fresh_home = Home(folder / "fresh_home")
    fresh = make_dataset(load_task(task.path, splits), folder / "fresh", home=fresh_home).packed
    std = training_scale(training).std
    simple = {
        f"linear{' with sines' * sine}, {history} rows": true_errors(
            fit_linear(training, history, sine=sine), fresh, task, std
        )
        for history in HISTORIES
        for sine in ((False, True) if training.angles else (False,))
    }
    best = min(simple, key=lambda key: simple[key].horizon)
    models = {
        version.number: true_errors(_load(folder, version, task_name), fresh, task, std)
        for version in versions_of(home, task_name)
    }
    champion = next(
        (one.number for one in versions_of(home, task_name) if "champion" in one.aliases), None
    )
    refused = [truth.horizon for number, truth in models.items() if number != champion]
    served = models.get(champion) if champion is not None else None
    return {
        "system": name,
        "noise": noise,
        "logs": logs,
        "status": document["status"],
        "selected": document["selection"]["selected"],
        "dt": task.dt,
        "horizon": task.verify.horizon,
        "simple": best,
        "simple_error": simple[best].horizon,
        "simple_free_run": finite(min(truth.free_run for truth in simple.values())),
        "served": finite(served.horizon) if served else None,
        "served_free_run": finite(served.free_run) if served else None,
        "diverged": served.diverged if served else 0,
        "refused": finite(min(refused, default=math.inf)),
        "seconds": seconds,
    }


def _load(folder: Path, version: Any, task: str) -> Any:
    to = folder / "models" / str(version.number)
    _kinemill(folder, "model", "export", f"{task}:{version.number}", "--to", str(to))
    return runtime.load(to, non_finite="pass")


def _kinemill(folder: Path, *arguments: str) -> str:
    done = _proof.run(folder / "var", *arguments, project=folder)
    if done.returncode > 1 or (done.returncode == 1 and arguments[0] != "run"):
        raise SystemExit(f"kinemill {' '.join(arguments)}: {done.stderr[-1000:]}")
    return done.stdout


def verdict(cell: dict[str, Any]) -> str:
    """Return what is wrong with the verdict of a cell; empty: nothing."""
    served = cell["served"]
    if cell["diverged"]:
        return f"diverges in {cell['diverged']} of {FRESH}"
    if served is None:
        return "nothing served"
    if cell["served_free_run"] is None:  # of whole episodes from another row than `free_runs`
        return "diverges in free run"
    wrong = list[str]()
    if not served <= max(FALSE_SERVED * cell["simple_error"], cell["simple_error"] + TOLERANCE):
        wrong.append("worse than a simple model")
    if cell["refused"] is not None and cell["refused"] <= FALSE_REFUSED * served:
        wrong.append("a better one refused")
    return ", ".join(wrong)


def page(cells: Sequence[dict[str, Any]]) -> str:
    """Return the cells as a table in Markdown, with the counts of false verdicts."""
    wrong = [verdict(cell) for cell in cells]
    counted = {
        "nothing served": wrong.count("nothing served"),
        "served model diverges": sum(line.startswith("diverges") for line in wrong),
        "served model worse than the best simple one": sum("worse" in line for line in wrong),
        "better model refused": sum("refused" in line for line in wrong),
    }
    ratios = [cell["served"] / cell["simple_error"] for cell in cells if cell["served"]]
    mean = f"{np.exp(np.mean(np.log(ratios))):.2f}" if ratios else "none"
    lines = "".join(f"- {what}: {count} of {len(cells)}\n" for what, count in counted.items())
    head = ["system, noise, logs", "error", "best simple", "ratio", "free run, ratio"]
    rows = [
        [
            f"{cell['system']}, {cell['noise']:.0%}, {cell['logs']}",
            _number(cell["served"]),
            _number(cell["simple_error"]),
            _ratio(cell["served"], cell["simple_error"]),
            _ratio(cell["served_free_run"], cell["simple_free_run"]),
            line,
        ]
        for cell, line in zip(cells, wrong, strict=True)
    ]
    return (
        f"{lines}- geometric mean of served over the best simple model: {mean}\n\n"
        + _proof.table([*head, "wrong"], rows)
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3g}"


def _ratio(value: float | None, reference: float | None) -> str:
    return "none" if value is None or reference is None else f"{value / reference:.2f}"


def main() -> None:
    """Run all cells and rewrite the section `systems` of docs/results-*.md."""
    parser = _proof.parser(__doc__, SYSTEMS)
    parser.add_argument("--budget", type=float, default=60.0, help="of a portfolio, s")
    parser.add_argument("--noise", type=float, nargs="+", default=NOISE, help="shares")
    parser.add_argument("--logs", type=int, nargs="+", default=LOGS, help="of a system")
    options = parser.parse_args()
    cells = list[dict[str, Any]]()
    for name in options.row or SYSTEMS:
        for noise in options.noise:
            for logs in options.logs:
                path = _proof.results_folder("systems") / f"{name}_{noise}_{logs}.json"
                cell = _proof.cached(path, partial(run_cell, name, noise, logs, options.budget))
                cells.append(cell)
                print(json.dumps(cell), verdict(cell), flush=True)
    if options.row:
        print(page(cells))
    else:
        _proof.write("systems", page(cells))
    if any("nothing" in verdict(cell) or "diverges" in verdict(cell) for cell in cells):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
