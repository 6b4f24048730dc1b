"""Sections of reports about dynamics models, as HTML, from one analysis."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape

from kinemill.reports.charts import number
from kinemill.reports.components import card, error_cells, legend, name_of, table
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
from kinemill.verify.findings import cells_of, own_reference
from kinemill.verify.free_run import FreeRun
from kinemill.verify.phrases import counted, label

WORST = 10  # most episodes in the table of the worst ones


@dataclass(frozen=True)
class Parts:
    """The parts of the page that differ between kinds of models, as HTML where not stated.

    Attributes:
        kind: `Model` or `Policy`.
        cards: key figures.
        sections: sections before and after the checks.
        checks_note: remark next to the checks on what else the gate compares.
        channels: name, role, unit and limits of each channel, as text.
        facts: names and values, as text.
        code: Python code that runs the model, as text.
    """

    kind: str
    cards: list[str]
    sections: tuple[list[str], list[str]]
    checks_note: str
    channels: list[list[str]]
    facts: list[list[str]]
    code: str


def limits_text(limits: dict[str, tuple[float, float]], name: str) -> str:
    """Format the limits of a channel, in its unit; a dash if it has none."""
    return "{:g} to {:g}".format(*limits[name]) if name in limits else "–"


def analysis_sections(
    analysis: Analysis, document: Assessment, where: str, examples: Sequence[Example], text: str
) -> list[str]:
    """Return the sections about an analysis.

    Without `examples` there is no section of them.
    """
    analysis = _without_itself(analysis, own_reference(document))
    return [
        comparison_section(document),
        _errors(analysis, document, where),
        _growth_section(analysis),
        _rollouts(analysis, examples, text) if examples else "",
        _worst(analysis),
        _free_run(analysis, document),
        _residuals(analysis),
        _calibration(analysis),
    ]


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
    measured = math.isfinite(low) and math.isfinite(high)
    interval = f"95 % interval {number(low)} to {number(high)}"
    more = interval if measured else "the test split is too small for an interval"
    return card("Error, nRMSE", number(analysis.model.nrmse), "", more)


def windows_card(analysis: Analysis, title: str) -> str:
    """Return the card of the number of windows."""
    model = analysis.model
    more = f"worth {counted(model.effective_n, f'independent {model.unit}')}"
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


def _errors(analysis: Analysis, document: Assessment, where: str) -> str:
    """Return the section of errors at the horizon; `where` names the episodes."""
    model = analysis.model
    return (
        f"<h2>Error {model.horizon * model.dt:.4g} s ahead</h2>"
        f"<p>Root mean square error on {where}, in each channel's unit, after "
        f"{model.horizon} steps of own predictions with the true actions. Below each error is its "
        f"95 % interval, from {model.effective_n:.0f} independent {model.unit}. The best is bold; "
        "red means that a reference is significantly better.</p>"
        + error_table(analysis.errors, model.units, worse=_worse(document, str(model.horizon)))
        + _tolerances(model)
    )


def _tolerances(model: Errors) -> str:
    """Return the losses that do not count in the gate, and their causes, collapsed."""
    scale = model.scale
    columns = (scale.resolution, scale.noise, scale.tolerance)
    rows = [
        [name_of(name, model.units[index]), *(number(float(values[index])) for values in columns)]
        for index, name in enumerate(model.channels)
    ]
    return (
        "<details><summary>Losses that do not count</summary><p>The gate counts no loss below the "
        "tolerance: the largest of the resolution, the noise of measurements, both estimated from "
        "the training rows, and a hundredth of the range.</p>"
        + table(["Channel", "Resolution", "Noise", "Tolerance"], rows, numbers_from=1)
        + "</details>"
    )


def _worse(document: Assessment, horizon: str) -> set[str]:
    """Return the channels, or `nrmse`, on which a reference is significantly better."""
    cells = cells_of(document).values()
    return {cell.channel for cell in cells if cell.horizon == horizon and cell.state == "worse"}


def _growth_section(analysis: Analysis) -> str:
    """Return the charts of errors over the prediction time."""
    labels = {name: label(name) for name in analysis.errors}
    return (
        "<h2>Error over the prediction time</h2><p>Root mean square error by seconds ahead. The "
        f"bar at the end is the 95 % interval of the model.{_left_out(analysis.model)}</p>"
        + legend(labels)
        + error_growth(analysis)
    )


def _left_out(model: Errors) -> str:
    count = len(pictured(model))
    total = len(model.channels)
    if count == total:
        return ""
    return f" The {count} of {total} channels with the largest error are shown."


def _rollouts(analysis: Analysis, examples: Sequence[Example], text: str) -> str:
    """Return example rollouts with the measured values; `text` describes their selection."""
    styles = {name: label(name) for name in reversed(rollout_models(analysis))}
    return (
        "<h2>Rollouts and measured values</h2><p>Windows over seconds. Left of the dashed line "
        "are the known rows, right of it the predictions of the model from its own predictions. "
        f"{text}{_left_out(analysis.model)}</p>"
        + legend({"truth": "measured"} | styles)
        + rollouts(analysis, examples)
    )


def _free_run(analysis: Analysis, document: Assessment) -> str:
    """Return the section on errors over whole episodes, and which of them count in the gate."""
    model = analysis.model
    runs = analysis.free_runs
    longest = runs["model"].steps.max() * model.dt
    return (
        "<h2>Free run</h2><p>Root mean square error over whole episodes, simulated from their "
        f"first {model.history} rows and their actions: {len(runs['model'].steps)} episodes of up "
        f"to {longest:.4g} s. The table has the best member of each family of references that "
        f"stays bounded.{free_run_text(document)}</p>"
        + error_table(runs, model.units, worse=_worse(document, FREE_RUN))
    )


def _worst(analysis: Analysis) -> str:
    """Return the table of the episodes with the largest errors."""
    model = analysis.model
    episodes = worst_episodes(analysis)
    channels = pictured(model)
    rows = [
        [
            name_of(item.name, item.episode[:8]),
            str(item.windows),
            f"{item.worst_from:.2f} s",
            *(
                f"{number(item.rmse[name])}<span class='interval'>free run "
                f"{number(item.free_run[name])}</span>"
                for name in (model.channels[i] for i in channels)
            ),
        ]
        for item in episodes[:WORST]
    ]
    heads = [
        f'{escape(model.channels[i])} <span class="unit">{escape(model.units[i])}</span>'
        for i in channels
    ]
    many = len(episodes) > WORST
    which = f"The {WORST} of {len(episodes)} episodes" if many else "Episodes"
    return (
        f"<h2>Worst episodes</h2><p>{which} by error, the largest first: RMSE after "
        f"{model.horizon} steps, and below it over the whole episode.</p>"
        + table(["Episode", "Windows", "Worst from", *heads], rows, numbers_from=1)
    )


def _residuals(analysis: Analysis) -> str:
    """Return the section on one-step residuals: whiteness and correlation with actions."""
    residuals = analysis.residuals
    inputs = (
        "<p>Correlation with earlier actions by lag in steps, for the action with the largest "
        "correlation. A value outside the band on the right means that the model lacks an effect "
        "of this action; on the left, that the logs were recorded in closed loop.</p>"
        + cross_correlations(analysis)
        if analysis.dataset.actions
        else ""
    )
    return (
        "<h2>Residuals</h2><p>Autocorrelation of the model's errors one step ahead, by lag in "
        f"steps, over {residuals.rows} rows. For white noise, 99 % of the values are between the "
        "dashed lines, and the Ljung-Box p is above 0.01 in 99 % of the cases. Sensor noise in the "
        "states is enough to correlate neighboring errors.</p>"
        + autocorrelations(analysis)
        + inputs
    )


def _calibration(analysis: Analysis) -> str:
    """Return the section on the coverage of intervals; empty if the model states no uncertainty."""
    calibration = analysis.calibration
    model = analysis.model
    if calibration is None:
        return ""
    rows = [
        [
            name_of(channel, model.units[index]),
            *(f"{share:.0%}" for share in calibration.coverage[:, -1, index]),
            number(float(calibration.deviation[-1, index])),
            number(float(calibration.rmse[-1, index])),
        ]
        for index, channel in enumerate(calibration.channels)
    ]
    heads = ["Channel", *(f"in {level:.0%} intervals" for level in LEVELS)]
    uncorrected = calibration.uncorrected
    correction = (
        "The model has no conformal correction."
        if uncorrected is None
        else "Standard deviations have a conformal correction from validation episodes for 90 % "
        f"intervals. Without it, {uncorrected[-1, -1].mean():.0%} of the windows are in the "
        f"{LEVELS[-1]:.0%} interval after the last step (mean over channels)."
    )
    if calibration.offline is not None:
        correction += (
            " Intervals also follow the errors of the run, row by row in the order of time; with "
            f"the correction alone, it is {calibration.offline[-1, -1].mean():.0%}."
        )
    return (
        "<h2>Calibration of the uncertainty</h2><p>Share of windows whose measured value is in the "
        "stated interval, over the prediction time in s. Below the dashed nominal share, the "
        f"stated uncertainty is too small. {correction}</p>"
        + coverages(calibration, model)
        + f"<p>After {model.horizon} steps, the stated standard deviation and the error:</p>"
        + table([*heads, "stated deviation", "RMSE"], rows, numbers_from=1, even=True)
    )
