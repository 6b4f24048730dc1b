"""Tables of a finished run: data, errors, latency and gate results."""

import math
from collections.abc import Mapping, Sequence

import typer

from kinemill.cli.output import Bad, notify, quantity, short_path, spell, table, wrap_text
from kinemill.register.run_summary import RunDocument
from kinemill.register.verdict import Verdict
from kinemill.register.versions import CHAMPION
from kinemill.task.portfolio import CandidateResult, untested_text
from kinemill.tracking.throughput import duration
from kinemill.verify.comparison import FREE_RUN, NRMSE
from kinemill.verify.document import Assessment, Verification
from kinemill.verify.findings import Cell, best_reference, cells_of, model_reference
from kinemill.verify.headline import causes
from kinemill.verify.phrases import counted, label
from kinemill.verify.results import Accuracy, ChannelAccuracy, Metrics

_STATES = {"worse": "worse", "behind": "unclear", "even": "unclear", "uncounted": "not counted"}
_STATE_KEY = {
    "even": "unclear: the difference can be chance",
    "uncounted": "not counted: no reference predicts so far, or the task leaves it out",
}
_POLICIES = ("model", "champion", "random")
_ACTIONS = ("model", "repeat", "linear")
_CANDIDATES = 5  # listed
_CANDIDATES_KEY = """\
score: mean error on the validation split, in standard deviations
free run: error over whole episodes
held out: score on rows that a fit left out; if measured, it decides"""
_COMPARED = ("champion", "persistence")  # displayed with a dynamics model and the best reference


def run_summary(
    result: RunDocument, verified: Verification | None = None, *, is_kept: bool = True
) -> None:
    """Print the result of `run` as tables, with the results of the verification.

    Args:
        result: result of the run.
        verified: the `Verification` of the same run; None if nothing was verified.
        is_kept: whether the home with the report is kept.
    """
    from kinemill.verify.output_errors import output_lines

    verified = verified or Verification()
    metrics = result.metrics
    reference = model_reference(verified)
    if result.headline:
        typer.echo(wrap_text(result.headline))
    _facts_table(result)
    candidates = result.selection.candidates if result.selection else []
    candidates_table(candidates, untested_text(candidates))
    errors_table(metrics, reference)
    tried_table(metrics)
    if metrics.test:
        comparison_table(verified)
        growth_table(verified.accuracy, best_reference(metrics.nrmse, reference))
    if verified.outputs:
        table("outputs, predicted but not fed back", *output_lines(verified.outputs))
    failed_table(result.gate)
    if diverged := first_not_finite(verified.accuracy):
        typer.echo(f"diverges    {diverged}: train with a longer learn.horizon or a smaller model")
    for warning in result.warnings:
        notify(wrap_text(f"warning: {warning}"))
    if is_kept:
        _next_steps(result)


def _next_steps(result: RunDocument) -> None:
    """Print what to do with the result of a run."""
    task = result.task
    steps = {"report": short_path(result.report)} if result.report else {}
    if result.alias == CHAMPION:
        address = f"models:/{task}@champion"
        steps["use it"] = f"python -c \"from kinemill import runtime; runtime.load('{address}')\""
        steps["export it"] = f"kinemill model export {task} --to FOLDER"
    if result.version:
        what = "all rules" if result.alias == CHAMPION else "what helps"
        steps[what] = f"kinemill model why {task}:{result.version}"
    steps["browser"] = "kinemill ui"
    for what, how in steps.items():
        typer.echo(f"{what:<12}{how}")


def _facts_table(result: RunDocument) -> None:
    episodes = result.episodes
    verification = result.verification
    rows = [["dataset", str(result.dataset)[:12]]]
    # A policy can be trained without episodes.
    if episodes.accepted or episodes.quarantined or episodes.cached:
        text = f"{episodes.quarantined} quarantined, {episodes.cached} cached"
        rows = [["episodes", f"{episodes.accepted} accepted"], ["recordings", text], *rows]
    if selection := result.selection:
        rows.append(["model", selection.text])
    if verification:
        latency = verification.latency_ms
        rows += [
            ["verification", "passed" if verification.passed else "FAILED"],
            ["same output", f"{spell(verification.parity)}, exported and trained model"],
            ["latency", f"p50 {spell(latency.p50)} ms, p99 {spell(latency.p99)} ms"],
        ]
    kind = "provisional " if result.provisional else ""
    alias = f" {kind}@{result.alias}" if result.alias == CHAMPION else ""
    rows.append(["version", f"{result.version}{alias}" if result.version else "none"])
    if result.gate:
        doubts = causes([line for line in result.gate if not line.passed])
        rows.append(["gate", f"provisional: {doubts}" if kind else spell_gate(result.gate)])
    rows.append(["took", duration(sum(result.seconds.values()))])
    table(f"{result.task}: {result.status}", ["", ""], rows)


def candidates_table(candidates: Sequence[CandidateResult], untested: str) -> None:
    """Print the best candidates with score, free run, parameters and time, then `untested`."""
    best = dict[str, CandidateResult]()  # round of each candidate
    for result in candidates:
        if not result.failure:
            best.setdefault(result.name, result)
    measured = list(best.values())
    rows = [
        [item.name, item.held_out, item.score, item.free_run, item.parameters, item.seconds]
        for item in measured[:_CANDIDATES]
    ]
    if rows:
        more = len(measured) - len(rows)
        title = f"candidates, the best first{f', and {more} more' * bool(more)}"
        table(title, ["", "held out", "score", "free run", "parameters", "seconds"], rows)
        typer.echo(_CANDIDATES_KEY)
    if untested:
        typer.echo(wrap_text(untested))


def errors_table(
    metrics: Metrics, reference: str | None = None, title: str = "error at the horizon"
) -> None:
    """Print each channel's error at the horizon, with the best reference and persistence.

    More references do not fit into 80 columns; the report shows all of them. `reference` was
    published as the model; it is omitted.
    """
    if not metrics.test:
        return

    policy = "repeat" in metrics.nrmse
    best = best_reference(metrics.nrmse, reference)
    names = _ACTIONS if policy else [*filter(None, ("model", best, *_COMPARED))]
    names = [name for name in dict.fromkeys(names) if name in metrics.nrmse]
    rows: list[list[object]] = [
        [channel, line.unit, *_errors(line.rmse, names)] for channel, line in metrics.test.items()
    ]
    rows.append(["nrmse", "", *_errors(metrics.nrmse, names)])
    heads = [f"{label(name)} (best)" if name == best else name for name in names]
    table("error of actions" if policy else title, ["channel", "unit", *heads], rows)
    for channel, line in metrics.test.items():
        if line.note:
            typer.echo(f"{channel}: {line.note}")


def _errors(line: Mapping[str, float], names: Sequence[str]) -> list[str]:
    """Return the errors of models as text; blank for models without a measurement."""
    return [quantity(line[name]) if name in line else "" for name in names]


def tried_table(metrics: Metrics) -> None:
    """Print the results of a policy in its environment, with champion and random actions."""
    rows = [
        [
            name,
            *_errors({who: error for who, error in by.items() if math.isfinite(error)}, _POLICIES),
        ]
        for name, by in metrics.trial_metrics().items()
    ]
    if rows:
        table("in the environment, on average", ["", *_POLICIES], rows)


def comparison_table(verified: Assessment) -> None:
    """Print model and best reference at each horizon and on each channel."""
    cells = cells_of(verified)
    horizons = list(dict.fromkeys(horizon for horizon, _ in cells))
    channels = list(dict.fromkeys(channel for _, channel in cells))
    rows = [
        [channel, *(_ratio(cells.get((horizon, channel))) for horizon in horizons)]
        for channel in [*(name for name in channels if name != NRMSE), NRMSE]
        if channel in channels
    ]
    if rows:
        heads = ["free run" if h == FREE_RUN else counted(int(h), "steps") for h in horizons]
        table("error / error of the best reference, by steps ahead", ["channel", *heads], rows)
        states = {cell.state for cell in cells.values()}
        typer.echo("\n".join(text for state, text in _STATE_KEY.items() if state in states))


def _ratio(cell: Cell | None) -> object:
    """Return a comparison as text, with its significance."""
    if cell is None:
        return ""
    ratio = quantity(cell.comparison.ratio, 3)
    spelled = f"{ratio} {_STATES.get(cell.state, '')}".rstrip()
    return Bad(spelled) if cell.state == "worse" else spelled


def growth_table(accuracy: Mapping[str, Accuracy], reference: str | None = "linear") -> None:
    """Print the error of each channel by step, with that of a reference."""
    channels = accuracy["model"].channels if "model" in accuracy else {}
    reference_lines = accuracy[reference].channels if reference and reference in accuracy else {}
    lines = {
        name: [line, *([reference_lines[name]] if name in reference_lines else [])]
        for name, line in channels.items()
    }
    steps_table(["model", *([str(reference)] if reference_lines else [])], lines, digits=2)


def steps_table(
    names: Sequence[str], lines: Mapping[str, Sequence[ChannelAccuracy]], digits: int = 3
) -> None:
    """Print the errors of some models by channel and step, side by side, unless it is one step."""
    last = max((len(models[0].by_step) for models in lines.values()), default=0)
    if last < 2:
        return
    steps = sorted({1, (last + 1) // 2, last})  # three models fit into 80 columns
    rows = [
        [
            channel,
            models[0].unit,
            *(" / ".join(quantity(line.by_step[k - 1], digits) for line in models) for k in steps),
        ]
        for channel, models in lines.items()
    ]
    title = f"error by steps ahead, {' / '.join(names)}"
    table(title, ["channel", "unit", *(counted(step, "steps") for step in steps)], rows)


def first_not_finite(accuracy: Mapping[str, Accuracy]) -> str | None:
    """Return a note with the first step at which test predictions are not finite."""
    from kinemill.verify.headline import diverging_steps

    failures = diverging_steps(accuracy)
    if not failures:
        return None
    step, name = min(failures)
    return f"predictions of {name} are not finite from {step} steps ahead on"


def failed_table(gate: Sequence[Verdict]) -> None:
    """Print the lines of the gate that failed, and the number of the others."""
    failed = [line for line in gate if not line.passed]
    gate_table(failed)
    if gate:
        typer.echo(f"{len(gate) - len(failed)} of {len(gate)} rules of the gate passed")


def gate_table(gate: Sequence[Verdict]) -> None:
    """Print the gate's decision by rule."""
    if gate:
        rows = [[line.rule, line.passed, line.value, line.expected] for line in gate]
        table("gate", ["rule", "passed", "value", "expected"], rows)


def spell_gate(gate: Sequence[Verdict]) -> str:
    """Return the decision of the gate as text, with the failed rules."""
    refused = [line.rule for line in gate if not line.passed]
    if refused == ["approval"]:
        return "waits for approval"
    if not refused:
        return "passed" if gate else "not decided"
    more = f" and {len(refused) - 2} more" if len(refused) > 3 else ""
    return f"refused: {', '.join(refused[: 2 if more else 3])}{more}"
