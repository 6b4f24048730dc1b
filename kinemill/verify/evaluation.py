"""Evaluate a model on any logs, for `kinemill model evaluate`, and write the results."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kinemill.dataset import load_dataset
from kinemill.errors import BadInput, join_first
from kinemill.reports.components import html_page
from kinemill.reports.templates import render
from kinemill.runtime import Predictor, Simulator
from kinemill.selection.facts import histories_of
from kinemill.selection.references import stage
from kinemill.selection.references.family import References
from kinemill.selection.references.fit import fit_references
from kinemill.selection.references.published import load_references
from kinemill.store import ArtifactRef, Home, publish_document, publish_file
from kinemill.task.document import Task
from kinemill.verify.analysis import (
    MODEL,
    Analysis,
    Measurement,
    accuracy,
    analysis_results,
    analyze,
    metrics_of,
    window_counts,
)
from kinemill.verify.check_results import OutputAccuracy
from kinemill.verify.comparison_sections import best_card, horizons_card, lead_section
from kinemill.verify.document import EVALUATION, EvaluatedModel, ExampleFacts, LogEvaluation
from kinemill.verify.estimated import estimated_starts
from kinemill.verify.figures import Example
from kinemill.verify.files import unlike
from kinemill.verify.headline import headline
from kinemill.verify.logs import SPLIT, Logs
from kinemill.verify.output_errors import outputs_section
from kinemill.verify.report_sections import accuracy_card, analysis_sections, windows_card

NAMED = 8  # most refused logs that a note lists


@dataclass(frozen=True)
class Evaluation:
    """Results on logs.

    Attributes:
        analysis: errors of the model and its references.
        examples: windows to draw and write.
        source: the model.
        notes: remarks on the references and the logs.
        outputs: errors of channels that are predicted but not fed back, by name.
    """

    logs: Logs
    analysis: Analysis
    examples: list[Example]
    source: EvaluatedModel
    notes: list[str]
    outputs: dict[str, OutputAccuracy]


def references_for(
    task: Task, home: Home, dataset: ArtifactRef, logs: Logs, horizon: int
) -> References:
    """Return the references of a dataset, with a history that fits into the logs.

    They are the published references if the logs are long enough, else new ones with a shorter
    history. The home is not changed.
    """
    ref = stage.find_published(task, home, dataset)
    published = load_references(home, ref) if ref is not None else None
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
    """Measure a model and its references on logs.

    Args:
        simulator: loaded with `non_finite="pass"`.
        opponents: references by name; see `labels.LABELS`.
        logs: see `read_logs`.
        measurement: horizon and scale.
        whole: references for whole episodes; default `opponents`.

    Raises:
        BadInput: The channels of the model differ, or no episode is long enough.
    """
    if differing := unlike(simulator.interface, logs.rows):
        raise BadInput("the model", f"differs from the current task: {'; '.join(differing)}")
    predictors = {MODEL: simulator, **estimated_starts(opponents, simulator)}
    rows = max(predictor.history for predictor in predictors.values()) + measurement.horizon
    longest = max(episode.rows for episode in logs.rows.episodes)
    if longest < rows:
        raise BadInput(
            logs.path,
            f"the longest accepted episode has {longest} rows",
            expected=f"at least history + horizon = {rows}",
            fix="use a smaller --horizon, or longer logs",
        )
    estimated = estimated_starts(opponents if whole is None else whole, simulator)
    over_episodes = {MODEL: simulator, **estimated}
    return analyze(predictors, logs.rows, SPLIT, measurement, over_episodes)


def write_evaluation(evaluation: Evaluation, out: Path) -> LogEvaluation:
    """Write evaluation.json and report.html; return the document.

    Raises:
        BadInput: `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise BadInput(out, "is a file", expected="a folder, existing or new")
    out.mkdir(parents=True, exist_ok=True)
    summary = evaluation_document(evaluation)
    publish_file(out / "report.html", _page(evaluation, summary).encode())
    publish_document(out / EVALUATION, summary)
    return summary


def evaluation_document(evaluation: Evaluation) -> LogEvaluation:
    """Return evaluation.json."""
    analysis = evaluation.analysis
    return LogEvaluation(
        task=evaluation.logs.rows.task,
        source=evaluation.source,
        logs=evaluation.logs.facts(),
        notes=evaluation.notes,
        metrics=metrics_of(analysis.errors),
        accuracy={who: accuracy(model_errors) for who, model_errors in analysis.errors.items()},
        against=analysis.comparisons,
        outputs=evaluation.outputs,
        windows=window_counts(analysis.model),
        analysis=analysis_results(analysis),
        examples=[_example_facts(evaluation, example) for example in evaluation.examples],
    )


def _example_facts(evaluation: Evaluation, example: Example) -> ExampleFacts:
    model = evaluation.analysis.model
    start = int(model.starts[example.window])
    episode = next(
        packed for packed in evaluation.logs.rows.episodes if packed.start <= start < packed.stop
    )
    row = start + model.history - 1 - episode.start
    return ExampleFacts(example.title, episode.id, episode.name, row, row * model.dt)


def _page(evaluation: Evaluation, summary: LogEvaluation) -> str:
    analysis = evaluation.analysis
    logs = evaluation.logs
    title = f"{logs.rows.task} {evaluation.source.name}"
    where = f"{len(logs.rows.episodes)} episodes of the logs"
    cards = [accuracy_card(analysis)]
    if len(analysis.errors) > 1:
        cards += [best_card(summary), horizons_card(summary)]
    cards.append(windows_card(analysis, "Windows"))
    text = "They are evenly spaced among all windows, from the smallest error to the largest."
    sections = analysis_sections(analysis, summary, where, evaluation.examples, text)
    body = render(
        "verify/evaluation.html.j2",
        title=title,
        lead=lead_section(headline(summary)),
        cards=cards,
        sections=[*sections, outputs_section(evaluation.outputs, analysis.model.dt)],
        logs=logs,
        source=evaluation.source,
        notes=evaluation.notes,
    )
    footer = (
        "Made by kinemill from the exported ONNX file only. The numbers are in evaluation.json in "
        "this folder."
    )
    return html_page(f"{title}: evaluation", [body], footer)


def refusal_note(logs: Logs) -> list[str]:
    """Return a list with the note on refused logs, empty if none was refused."""
    if not logs.refused:
        return []
    named = join_first(logs.refused, NAMED)
    return [f"no episode was accepted of {named}; kinemill data check shows the reasons"]
