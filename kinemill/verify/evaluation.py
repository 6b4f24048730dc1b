"""A model on any logs: what `kinemill model evaluate` measures, and the folder it writes."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from kinemill.dataset import load_dataset
from kinemill.errors import BadInput
from kinemill.reports.components import name_of, table
from kinemill.runtime import Simulator
from kinemill.runtime.window_metrics import Predictor
from kinemill.store import ArtifactRef, Json, publish_file, publish_json
from kinemill.store.home import Home
from kinemill.task.document import Task
from kinemill.verify.accuracy import gather
from kinemill.verify.analysis import (
    MODEL,
    Analysis,
    Measurement,
    analysis_document,
    analyze,
    plain,
)
from kinemill.verify.comparison_sections import best_card, horizons_card, lead_section
from kinemill.verify.figures import Example, unwrapped
from kinemill.verify.files import unlike
from kinemill.verify.headline import headline
from kinemill.verify.logs import SPLIT, Logs
from kinemill.verify.plots import plot_examples, plot_growth
from kinemill.verify.references import (
    References,
    find_references,
    fit_references,
    histories_of,
)
from kinemill.verify.report_sections import (
    accuracy_card,
    analysis_sections,
    document,
    windows_card,
)

FORMAT = 1
NAMED = 8  # refused logs that are named


@dataclass(frozen=True)
class Evaluation:
    """What was found out.

    Attributes:
        logs: what the model was measured on.
        analysis: the model beside its rivals.
        examples: windows that are drawn and written out.
        model: which model it is, for the document.
        notes: what a reader has to know about the rivals and the logs.
    """

    logs: Logs
    analysis: Analysis
    examples: list[Example]
    model: Json
    notes: list[str]


def references_for(
    task: Task, home: Home, dataset: ArtifactRef, logs: Logs, horizon: int
) -> References:
    """Return the references of a dataset for logs, which may be too short for some of them.

    The published ones are taken where the logs are long enough; others are fitted, and not kept.

    Args:
        task: whose channels and horizon.
        home: where the dataset is; nothing is written to it.
        dataset: whose training and validation rows make the references.
        logs: what they are measured on.
        horizon: over how many steps.
    """
    published = find_references(task, home, dataset)
    longest = max(histories_of(logs.rows, horizon), default=1)
    if published is not None and published.history <= longest:
        return published
    return fit_references(task, load_dataset(home, dataset), longest=longest)


def evaluate_logs(
    simulator: Simulator,
    opponents: Mapping[str, Predictor],
    logs: Logs,
    measurement: Measurement,
    whole: Mapping[str, Predictor] | None = None,
) -> Analysis:
    """Measure a model and its rivals on logs.

    Args:
        simulator: loaded with `non_finite="pass"`.
        opponents: references to compare with, by name; see `labels.LABELS`.
        logs: see `read_logs`.
        measurement: over which horizon; in the training spread, where the training rows are known.
        whole: references over whole episodes; default: `opponents`.

    Raises:
        BadInput: the model speaks of other channels, or no episode is long enough.
    """
    if differing := unlike(simulator.interface, logs.rows):
        raise BadInput(
            "the model", f"has another interface than the task now: {'; '.join(differing)}"
        )
    predictors: dict[str, Predictor] = {MODEL: simulator, **opponents}
    rows = max(one.history for one in predictors.values()) + measurement.horizon
    longest = max(episode.rows for episode in logs.rows.episodes)
    if longest < rows:
        raise BadInput(
            logs.where,
            f"the longest accepted episode has {longest} rows",
            expected=f"at least history + horizon = {rows}",
            fix="take a smaller --horizon, or longer logs",
        )
    far = {MODEL: simulator, **(opponents if whole is None else whole)}
    return analyze(predictors, logs.rows, SPLIT, measurement, far)


def write_evaluation(found: Evaluation, out: Path) -> Json:
    """Write evaluation.json, report.html, the plots and the examples; return the document.

    Raises:
        BadInput: `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise BadInput(out, "is a file", expected="a folder, which may not be there yet")
    out.mkdir(parents=True, exist_ok=True)
    summary = evaluation_document(found)
    plot_growth(found.analysis, out / "error_growth.png")
    if found.examples:
        plot_examples(found.analysis, found.examples, out / "examples.png")
        _write_examples(found, out / "examples.csv")
    publish_file(out / "report.html", _page(found, summary).encode())
    publish_json(out / "evaluation.json", summary)
    return summary | {"folder": str(out)}


def evaluation_document(found: Evaluation) -> Json:
    """Return evaluation.json."""
    analysis, rows = found.analysis, found.logs.rows
    metrics = {
        name: {"unit": rows.units[name]}
        | {who: float(errors.rmse[index]) for who, errors in analysis.errors.items()}
        for index, name in enumerate(rows.states)
    }
    for name, note in analysis.model.notes().items():
        metrics[name]["note"] = note
    return plain(
        {
            "format": FORMAT,
            "task": rows.task,
            "model": found.model,
            "logs": {
                "where": str(found.logs.where),
                "taken": list(found.logs.taken),
                "refused": list(found.logs.refused),
                "episodes": len(rows.episodes),
                "rows": len(rows.values),
            },
            "notes": found.notes,
            "metrics": metrics,
            "nrmse": {who: errors.nrmse for who, errors in analysis.errors.items()},
            **analysis_document(analysis),
            "examples": [_about(found, example) for example in found.examples],
        }
    )


def _about(found: Evaluation, example: Example) -> Json:
    model = found.analysis.model
    start = int(model.starts[example.window])
    episode = next(one for one in found.logs.rows.episodes if one.start <= start < one.stop)
    row = start + model.history - 1 - episode.start
    about = {"episode": episode.id, "name": episode.name, "row": row}
    return {"title": example.title, **about, "from": row * model.dt}


def _write_examples(found: Evaluation, path: Path) -> None:
    """Write known and predicted rows of every example, one line a row."""
    analysis, rows = found.analysis, found.logs.rows
    model = analysis.model
    starts = model.starts[[example.window for example in found.examples]]
    windows = gather(rows, starts, model.history, model.horizon)
    predicted = unwrapped(analysis, MODEL, windows)
    blank = np.full((model.history - 1, len(rows.states)), np.nan)
    columns = [f"{name}_predicted" for name in rows.states]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        heads = ["example", "title", "episode", "time_s", "ahead_s"]
        writer.writerow([*heads, *rows.columns, *columns])
        for number, example in enumerate(found.examples):
            about = _about(found, example)
            now = windows.states[number, -1:]
            ahead = np.concatenate([blank, now, predicted[number]])
            for k, measured in enumerate(_rows(found, int(starts[number]))):
                seconds = (k - model.history + 1) * model.dt
                place = [f"{about['from'] + seconds:.9g}", f"{seconds:.9g}"]
                values = [f"{x:.9g}" if np.isfinite(x) else "" for x in (*measured, *ahead[k])]
                writer.writerow([number, example.title, about["episode"], *place, *values])


def _rows(found: Evaluation, start: int) -> list[list[float]]:
    model = found.analysis.model
    rows = found.logs.rows.values[start : start + model.history + model.horizon]
    return rows.tolist()


def _page(found: Evaluation, summary: Json) -> str:
    analysis, task = found.analysis, found.logs.rows.task
    title = f"{task} {found.model['name']}"
    where = f"{len(found.logs.rows.episodes)} episodes of the logs"
    cards = [accuracy_card(analysis)]
    if len(analysis.errors) > 1:
        cards += [best_card(summary), horizons_card(summary)]
    cards.append(windows_card(analysis, "Windows"))
    text = "They are spread evenly over all windows, from the best predicted to the worst."
    sections = [
        f'<header><div><div class="eyebrow">Model evaluation</div><h1>{escape(title)}</h1></div>'
        f"</header>{lead_section(headline(summary))}",
        f'<div class="cards">{"".join(cards)}</div>',
        *analysis_sections(analysis, summary, where, found.examples, text),
        _logs(found),
    ]
    footer = (
        "Made by kinemill from the exported ONNX file alone. The numbers are in evaluation.json "
        "beside this page."
    )
    return document(f"{title}: evaluation", sections, footer)


def _logs(found: Evaluation) -> str:
    logs = found.logs
    facts = [
        [name_of("Logs"), escape(str(logs.where))],
        [name_of("Taken"), f"{len(logs.taken)} logs, {len(logs.rows.episodes)} episodes, "],
        [name_of("Model"), escape(str(found.model["folder"]))],
        *[[name_of("Note"), escape(note)] for note in found.notes],
    ]
    facts[1][1] += f"{len(logs.rows.values)} rows of {logs.rows.dt * 1000:.4g} ms"
    return f"<h2>Logs and model</h2>{table(['What', ''], facts)}"


def refusal_note(logs: Logs) -> list[str]:
    """Say which logs were left out, if any."""
    if not logs.refused:
        return []
    more = f" and {len(logs.refused) - NAMED} more" if len(logs.refused) > NAMED else ""
    named = ", ".join(logs.refused[:NAMED])
    return [f"nothing was accepted of {named}{more}; kinemill data check says why"]
