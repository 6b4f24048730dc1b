"""League of public data sets with defaults alone: `make prove-league`.

Each set is drafted by `kinemill new` and trained by `kinemill run`, unattended. The only settings
of a set are its test rows, if its publisher states them, and a rate if its logs have no timestamps.
The tasks name no model, so each run selects one from the portfolio within `--budget` seconds. All
errors are those of the exported ONNX files on test rows that neither training nor selection has
read. Finished sets are not run again: delete a folder under `prove/league` in the home to run its
set again. `--row NAME` runs one set.
"""

import json
import math
import os
import re
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import _proof, read_section
from benchmarks.prove_accuracy import free_run, rms
from kinemill import runtime
from kinemill.api.dataset import make_dataset
from kinemill.store import publish_document, read_document, read_json
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.task.portfolio import RESULTS

DATA = _proof.DATA
BUDGET = 480.0  # s of the portfolio; the whole run has to end within LIMIT
LIMIT = 600  # s of `kinemill new` and `kinemill run` together
RESULT = "result.json"
LEVEL = 0.02  # difference of two errors within which they count as the same
_BOLD = re.compile(r"\*\*([\d.e-]+)\*\*")


@dataclass(frozen=True)
class Published:
    """Errors in free run over the whole test stretch: Champneys et al. 2024, arXiv 2405.10779.

    Attributes:
        warmup: measured rows that a simulation starts from; a model with more history gets more.
        scale: of the unit in that of the channel.
        best: smallest error.
        tuned: row of the task that was tuned for it, in the section `accuracy` of the results.
    """

    warmup: int
    unit: str
    scale: float
    best: float
    gru: float
    tuned: str


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    Attributes:
        name: name of the task.
        source: log or folder in the data.
        test: `dataset.test` as its publisher states it; None: as drafted.
        rate: sampling rate of logs without timestamps, Hz.
        tuned: task that was tuned for it, in the section `accuracy` of the results.
        tuned_horizon: time ahead of the errors of that task, s.
        published: errors that others reached.
    """

    name: str
    source: str
    test: tuple[object, ...] | None = None
    rate: float | None = None
    tuned: str | None = None
    tuned_horizon: float = 0.0
    published: "Published | None" = None


SETS = (
    DataSet(
        "simple_pendulum",
        "simple_pendulum",
        ("*ilqr_measured*",),
        tuned="simple_pendulum",
        tuned_horizon=0.5,
    ),
    DataSet(
        "double_pendulum_sysid",
        "double_pendulum_sysid",
        ("*traj03*",),
        tuned="double_pendulum",
        tuned_horizon=0.25,
    ),
    DataSet("double_pendulum_c0", "double_pendulum_c0"),
    DataSet("pendubot", "pendubot_400hz"),
    DataSet("acrobot_pendubot", "acrobot_pendubot_33hz"),
    DataSet("g1", "g1_lerobot"),
    DataSet("px4", "px4_ulog"),
    DataSet("cartpole_sim", "cartpole_sim_mcap"),
    DataSet("bouc_wen", "bouc_wen_sim_h5"),
    DataSet("buck_converter", "buck_converter", ("*buck_valid*",)),
    DataSet("dc_generator", "dc_generator", None, 1.0),
    DataSet("rlc", "rlc_sim", ("*RLC_data_test*",)),
    DataSet(
        "silverbox",
        "silverbox",
        ({"rows": [100, 40575]},),
        610.35,
        published=Published(50, "mV", 1e-3, best=0.26, gru=2.80, tuned="silverbox, arrow"),
    ),
    DataSet(
        "cascaded_tanks",
        "cascaded_tanks/dataBenchmark.mat",
        published=Published(5, "V", 1.0, best=0.191, gru=0.396, tuned="cascaded_tanks"),
    ),
)


@dataclass(frozen=True)
class LeagueResult:
    """Result of one set.

    Attributes:
        status: `done`, `refused`, or the failure in one line.
        family: model family that was selected.
        model: its error at the horizon on the test split, nRMSE.
        reference: name of the best simple reference there.
        quarantined: logs without an accepted episode.
        seconds: wall time of `kinemill new` and `kinemill run`.
        budget: of the portfolio, s.
    """

    name: str
    status: str
    family: str = ""
    model: float | None = None
    reference: str = ""
    reference_error: float | None = None
    quarantined: int = 0
    seconds: float = 0.0
    budget: float = BUDGET

    @property
    def ratio(self) -> float | None:
        """Error over that of the best reference; None if there is none."""
        if self.model is None or not self.reference_error:
            return None
        return self.model / self.reference_error


def project() -> Path:
    """Return the folder of the project that all sets share."""
    return _proof.results_folder("league")


def play(entry: DataSet, budget: float) -> LeagueResult:
    """Draft and train one set, unless that was done."""
    path = project() / "results" / entry.name / RESULT
    if path.is_file():
        return read_document(path, LeagueResult)
    began = time.monotonic()
    result = _play(entry, budget)
    result = replace(result, seconds=time.monotonic() - began)
    publish_document(path, result)
    return result


def _play(entry: DataSet, budget: float) -> LeagueResult:
    source = str(DATA / entry.source)
    rate = ["--rate", str(entry.rate)] if entry.rate else []
    draft = _kinemill("new", entry.name, "--from", source, *rate)
    if draft.returncode != 0:
        return LeagueResult(entry.name, f"new: {_last_line(draft.stderr)}", budget=budget)
    test = [f"--set=dataset.test={json.dumps(entry.test)}"] if entry.test else []
    options = ["--logs", source, "--set", f"learn.budget={budget}", *test, "--json"]
    trained = _kinemill("run", entry.name, *options)
    if trained.returncode not in {0, 1} or not trained.stdout.strip():
        return LeagueResult(entry.name, f"run: {_last_line(trained.stderr)}", budget=budget)
    document = json.loads(trained.stdout)
    errors = document["metrics"]["nrmse"] or {}
    references = {
        name: value for name, value in errors.items() if value and name not in {"model", "champion"}
    }
    best = min(references, key=lambda name: references[name], default="")
    return LeagueResult(
        entry.name,
        document["status"],
        family=_family(entry.name),
        model=errors.get("model"),
        reference=best,
        reference_error=references.get(best),
        quarantined=document["episodes"]["quarantined"],
        budget=budget,
    )


def _kinemill(*arguments: str) -> "subprocess.CompletedProcess[str]":
    threads = str(len(os.sched_getaffinity(0)))
    folder = project()
    return _proof.run(folder / "var", *arguments, project=folder, OMP_NUM_THREADS=threads)


def _family(task: str) -> str:
    """Return the family of the newest model of a task."""
    folders = (project() / "var" / "store" / "model" / task).glob(f"*/{RESULTS}")
    newest = max(folders, key=lambda path: path.stat().st_mtime, default=None)
    return read_json(newest.parent / "summary.json").get("family", "") if newest else ""


def simulations(entries: Sequence[DataSet]) -> str:
    """Return errors in free run next to published ones, as a table in Markdown."""
    head = ["free run over the test stretch", "unit", "defaults", "tuned task"]
    head += ["published GRU", "best published", "ratio to the best"]
    rows = list[list[str]]()
    for entry in entries:
        if (published := entry.published) is not None:
            error = _free_run_error(entry, published)
            (tuned,) = _tuned_errors(published.tuned)
            cells = [entry.name, published.unit, _number(error), _number(tuned)]
            cells += [f"{published.gru:g}", f"{published.best:g}", _number(error / published.best)]
            rows.append(cells)
    return _proof.table(head, rows)


def by_channel(entries: Sequence[DataSet]) -> str:
    """Return errors next to those of tuned tasks, at their horizon, as a table in Markdown."""
    rows = list[list[str]]()
    for entry in entries:
        if entry.tuned is None:
            continue
        test, ratios = _errors(entry), list[float]()
        for (name, errors), tuned in zip(test.items(), _tuned_errors(entry.tuned), strict=True):
            ratios.append(errors["rmse"]["model"] / tuned)
            cells = [
                entry.name,
                name,
                errors["unit"],
                _number(errors["rmse"]["model"]),
                _number(tuned),
            ]
            rows.append([*cells, f"{ratios[-1]:.2f}"])
        mean = math.exp(statistics.fmean(map(math.log, ratios)))
        rows.append([entry.name, "geometric mean", "", "", "", f"{mean:.2f}"])
    return _proof.table(["set", "channel", "unit", "defaults", "tuned task", "ratio"], rows)


def _errors(entry: DataSet) -> dict[str, Any]:
    """Return the errors of the version by channel, at the horizon of the tuned task."""
    folder = project() / "results" / entry.name / "evaluation"
    path = folder / "evaluation.json"
    if not path.is_file():
        task = load_task(project() / "tasks" / f"{entry.name}.yaml")
        (log,) = (DATA / entry.source).glob(str((entry.test or ("*",))[0]))
        version = f"{entry.name}:{_newest(entry.name)['version']}"
        horizon = ["--horizon", str(round(entry.tuned_horizon / task.dt))]
        options = ["--logs", str(log), "--out", str(folder), *horizon]
        _kinemill("model", "evaluate", version, *options).check_returncode()
    test: dict[str, Any] = read_json(path)["metrics"]["test"]
    return test


def _tuned_errors(label: str) -> list[float]:
    """Return the errors of the rows of a task, as `make prove-accuracy` wrote them."""
    lines = read_section("accuracy").splitlines()
    rows = [line for line in lines if line.startswith(f"| {label} |")]
    return [float(match[1]) for row in rows if (match := _BOLD.search(row)) and "mean" not in row]


def _newest(task: str) -> dict[str, Any]:
    """Return the version that the last run of a task registered."""
    listed = json.loads(_kinemill("model", "list", task, "--json").stdout)["versions"]
    return max(listed, key=lambda version: version["version"])


def _free_run_error(entry: DataSet, published: Published) -> float:
    """Return the root mean square error of the version over the test stretch."""
    folder = project() / "results" / entry.name / "model"
    if not folder.is_dir():
        trained = f"{entry.name}:{_newest(entry.name)['version']}"
        _kinemill("model", "export", trained, "--to", str(folder)).check_returncode()
    model, home = runtime.load(folder), Home(project() / "var")
    changed = {"dataset.test": entry.test} if entry.test else {}
    task = load_task(project() / "tasks" / f"{entry.name}.yaml", changed)
    dataset = make_dataset(task, DATA / entry.source, home=home).packed
    (test,) = dataset.of("test")
    warmup = max(published.warmup, model.history)
    return rms(free_run(model, dataset, test, warmup)) / published.scale


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:160] if lines else "no output"


def table(results: Sequence[LeagueResult]) -> str:
    """Return the results as a table in Markdown, with the geometric mean of the ratios."""
    head = ["set", "family", "nRMSE", "best reference", "its nRMSE", "ratio", "gate"]
    rows = list[list[str]]()
    for result in results:
        cells = [result.name, result.family, _number(result.model), result.reference]
        cells += [_number(result.reference_error), _number(result.ratio)]
        cells += [result.status]
        rows.append(cells)
    ratios = [result.ratio for result in results if result.ratio]
    mean = math.exp(statistics.fmean(map(math.log, ratios))) if ratios else math.nan
    better = sum(ratio < 1.0 - LEVEL for ratio in ratios)
    level = sum(1.0 - LEVEL <= ratio <= 1.0 + LEVEL for ratio in ratios)
    late = sum(result.seconds > LIMIT for result in results)
    quarantined = sum(result.quarantined for result in results)
    budgets = ", ".join(sorted({f"{result.budget:g}" for result in results}))
    text = (
        f"Geometric mean of the ratios: {mean:.2f}. Better than every simple reference on {better} "
        f"of {len(results)} sets, level within {LEVEL:.0%} on {level}; {late} took longer than "
        f"{LIMIT} s, {quarantined} logs were quarantined. Budget of the portfolio: {budgets} s.\n"
    )
    return "\n".join([_proof.table(head, rows), text])


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def main() -> None:
    """Run the league and rewrite its section of docs/results-*.md."""
    parser = _proof.parser(__doc__, [entry.name for entry in SETS])
    parser.add_argument("--budget", type=float, default=BUDGET)
    options = parser.parse_args()
    _proof.require(DATA)
    project().mkdir(parents=True, exist_ok=True)
    _kinemill("init", ".")
    for entry in SETS:
        if not options.row or entry.name in options.row:
            print(play(entry, options.budget), flush=True)
    done = [entry for entry in SETS if (project() / "results" / entry.name / RESULT).is_file()]
    results = [play(entry, options.budget) for entry in done]
    text = "\n".join([table(results), by_channel(done), simulations(done)])
    _proof.write("league", text)


if __name__ == "__main__":
    main()
