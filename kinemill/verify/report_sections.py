"""Sections of reports about dynamics models, as HTML, from one analysis."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from kinemill.reports.charts import number
from kinemill.reports.components import card, error_cells, name_of
from kinemill.reports.templates import render, table
from kinemill.verify.analysis import Analysis, worst_episodes
from kinemill.verify.calibration import LEVELS
from kinemill.verify.comparison import FREE_RUN, NRMSE
from kinemill.verify.comparison_sections import comparison_section, free_run_text
from kinemill.verify.document import Assessment
from kinemill.verify.errors import Errors
from kinemill.verify.figures import (
    Example,
    autocorrelations,
    coverages,
    cross_correlations,
    error_growth,
    pictured,
    rollout_models,
    rollouts,
)
from kinemill.verify.findings import cells_of, model_reference
from kinemill.verify.free_run import FreeRun
from kinemill.verify.phrases import counted, label, samples


@dataclass(frozen=True)
class Parts:
    """The parts of the page that differ between kinds of models, as HTML where not stated.

    Attributes:
        kind: `Model` or `Policy`.
        cards: key figures.
        sections: sections before the checks.
        checks_note: remark next to the checks on what else the gate compares.
        channels: name, role, unit and limits of each channel, as text.
        facts: names and values, as text.
        code: Python code that runs the model, as text.
        details: sections after the checks.
    """

    kind: str
    cards: list[str]
    sections: list[str]
    checks_note: str
    channels: list[list[str]]
    facts: list[list[str]]
    code: str
    details: str = ""


def limits_text(limits: dict[str, tuple[float, float]], name: str) -> str:
    """Format the limits of a channel, in its unit; a dash if it has none."""
    return "{:g} to {:g}".format(*limits[name]) if name in limits else "–"


def analysis_sections(
    analysis: Analysis, document: Assessment, where: str, examples: Sequence[Example], text: str
) -> list[str]:
    """Return the sections about an analysis.

    Without `examples` there is no section of them.
    """
    analysis = _without_itself(analysis, model_reference(document))
    model = analysis.model
    calibration = analysis.calibration
    body = render(
        "verify/analysis.html.j2",
        model=model,
        where=where,
        evidence=samples(model.effective_n, model.unit) if has_interval(model) else "",
        counted=counted,
        drawn=pictured(model),
        errors=error_table(
            analysis.errors, model.units, worse=_worse(document, str(model.horizon))
        ),
        names={name: label(name) for name in analysis.errors},
        growth=error_growth(analysis),
        text=text,
        rollouts=rollouts(analysis, examples) if examples else "",
        styles={"truth": "measured"}
        | {name: label(name) for name in reversed(rollout_models(analysis))},
        worst=worst_episodes(analysis),
        runs=analysis.free_runs["model"],
        free_run=error_table(analysis.free_runs, model.units, worse=_worse(document, FREE_RUN)),
        free_run_text=free_run_text(document),
        residuals=analysis.residuals,
        autocorrelations=autocorrelations(analysis),
        cross_correlations=cross_correlations(analysis) if analysis.dataset.actions else "",
        calibration=calibration,
        levels=LEVELS,
        coverages=coverages(calibration, model) if calibration else "",
    )
    return [comparison_section(document), body]


def _without_itself(analysis: Analysis, reference: str | None) -> Analysis:
    """Return the analysis without the reference that the model is."""
    parts = analysis.predictors, analysis.errors, analysis.free_runs
    predictors, errors, free_runs = (
        {name: result for name, result in part.items() if name != reference} for part in parts
    )
    return replace(analysis, predictors=predictors, errors=errors, free_runs=free_runs)


def accuracy_card(analysis: Analysis) -> str:
    """Return the card of the nRMSE."""
    low, high = analysis.model.intervals()[1]
    interval = f"95 % interval {number(low)} to {number(high)}"
    missing = "the test split is too small for an interval"
    more = interval if has_interval(analysis.model) else missing
    return card("Error, nRMSE", number(analysis.model.nrmse), "", more)


def has_interval(model: Errors) -> bool:
    """Return whether the test data suffice for the 95 % interval of the nRMSE."""
    return all(map(math.isfinite, model.intervals()[1]))


def windows_card(analysis: Analysis, title: str) -> str:
    """Return the card of the number of windows."""
    model = analysis.model
    more = f"they overlap: as informative as {samples(model.effective_n, model.unit)}"
    return card(title, str(len(model.starts)), "", more)


def error_table(
    errors: Mapping[str, Errors] | Mapping[str, FreeRun],
    units: Sequence[str],
    head: str = "Channel",
    worse: Collection[str] = (),
) -> str:
    """Return the table of RMSE by channel and of nRMSE, with 95 % intervals of window errors.

    Args:
        errors: errors by model, `model` first.
        units: units of the channels.
        head: head of the first column.
        worse: channels, or `nrmse`, on which a reference is significantly better.
    """
    ends = {
        who: channel_errors.intervals()
        for who, channel_errors in errors.items()
        if isinstance(channel_errors, Errors)
    }

    def row(name: str, values: dict[str, float], index: int | None) -> list[str]:
        limits = {
            who: (pair[1] if index is None else pair[0][index]).tolist()
            for who, pair in ends.items()
        }
        return error_cells(values, limits, worse=name in worse)

    rows = [
        [
            name_of(channel, units[index]),
            *row(
                channel,
                {who: float(channel_errors.rmse[index]) for who, channel_errors in errors.items()},
                index,
            ),
        ]
        for index, channel in enumerate(errors["model"].channels)
    ]
    whole = row(NRMSE, {who: channel_errors.nrmse for who, channel_errors in errors.items()}, None)
    rows.append([name_of("nRMSE", "mean of RMSE / deviation"), *whole])
    return table([head, *map(label, errors)], rows, numbers_from=1, even=True)


def _worse(document: Assessment, horizon: str) -> set[str]:
    """Return the channels, or `nrmse`, on which a reference is significantly better."""
    cells = cells_of(document).values()
    return {cell.channel for cell in cells if cell.horizon == horizon and cell.state == "worse"}
