"""The sections that every report about a model has: HTML, from one analysis."""

from collections.abc import Sequence
from dataclasses import replace
from html import escape

from kinemill.reports.charts import number
from kinemill.reports.components import card, contest, name_of, style, table
from kinemill.store import Json
from kinemill.verify.analysis import Analysis, worst_episodes
from kinemill.verify.comparison import FREE_RUN, NRMSE
from kinemill.verify.comparison_sections import comparison_section, free_run_words
from kinemill.verify.errors import Errors
from kinemill.verify.figures import (
    Example,
    autocorrelations,
    coverages,
    cross_correlations,
    error_growth,
    legend,
    pictured,
    rollouts,
    shown_in_rollouts,
)
from kinemill.verify.findings import cells_of, own_reference
from kinemill.verify.labels import label
from kinemill.verify.phrases import counted

WORST = 10  # episodes listed


def document(title: str, sections: Sequence[str], footer: str) -> str:
    """Return a whole page without links to anything outside; `footer` is HTML already."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style()}</style></head>"
        f"<body><main>{''.join(sections)}<footer>{footer}</footer></main></body></html>\n"
    )


def analysis_sections(
    analysis: Analysis, found: Json, where: str, examples: Sequence[Example], text: str
) -> list[str]:
    """Return what every report shows of an analysis, one section after the other.

    Args:
        analysis: of the model and its references.
        found: the same analysis as a JSON document.
        where: which data it was made on, in words.
        examples: rollouts to draw; none: no such section.
        text: how the examples were chosen, in words.
    """
    analysis = _of_others(analysis, own_reference(found))
    return [
        comparison_section(found),
        _errors(analysis, found, where),
        _growth(analysis),
        _rollouts(analysis, examples, text) if examples else "",
        _worst(analysis),
        _free_run(analysis, found),
        _residuals(analysis),
        _calibration(analysis),
    ]


def _of_others(analysis: Analysis, own: str | None) -> Analysis:
    """Return an analysis without the reference that the model is: it would be shown twice."""
    parts = analysis.predictors, analysis.errors, analysis.free_runs
    predictors, errors, free_runs = (
        {name: one for name, one in part.items() if name != own} for part in parts
    )
    return replace(analysis, predictors=predictors, errors=errors, free_runs=free_runs)


def accuracy_card(analysis: Analysis) -> str:
    """Return the card with the one number that stands for the model."""
    low, high = analysis.model.intervals()[1]
    more = f"95 % interval {number(low)} to {number(high)}"
    return card("Error, nRMSE", number(analysis.model.nrmse), "", more)


def windows_card(analysis: Analysis, title: str) -> str:
    """Return the card about how much was looked at."""
    model = analysis.model
    more = f"worth {counted(model.effective_n, f'independent {model.unit}')}"
    return card(title, str(len(model.starts)), "", more)


def _errors(analysis: Analysis, found: Json, where: str) -> str:
    """Return the table of errors at the horizon with intervals; `where` names the episodes."""
    model = analysis.model
    worse = _worse(found, str(model.horizon))
    intervals = {name: one.intervals() for name, one in analysis.errors.items()}
    rows = [
        [
            name_of(channel, model.units[index]),
            *contest(
                {name: float(one.rmse[index]) for name, one in analysis.errors.items()},
                {name: pair[0][index].tolist() for name, pair in intervals.items()},
                worse=channel in worse,
            ),
        ]
        for index, channel in enumerate(model.channels)
    ]
    rows.append(
        [
            name_of("nRMSE", "mean of RMSE / spread"),
            *contest(
                {name: one.nrmse for name, one in analysis.errors.items()},
                {name: pair[1].tolist() for name, pair in intervals.items()},
                worse=NRMSE in worse,
            ),
        ]
    )
    heads = ["Channel", *map(label, analysis.errors)]
    return (
        f"<h2>Error {model.horizon * model.dt:.4g} s ahead</h2>"
        f"<p>Root mean square error on {where}, in each channel's unit, after "
        f"{model.horizon} steps of own predictions under the true actions; below it the 95 % "
        f"interval, from {model.effective_n:.0f} independent {model.unit}. Bold is "
        "best; red: a reference is significantly better.</p>"
        + table(heads, rows, numbers_from=1, even=True)
    )


def _worse(found: Json, horizon: str) -> set[str]:
    """Return the channels, or `nrmse`, on which a reference is significantly better."""
    cells = cells_of(found).values()
    return {one.channel for one in cells if one.horizon == horizon and one.state == "worse"}


def _growth(analysis: Analysis) -> str:
    """Return the charts of errors over time ahead."""
    labels = {name: label(name) for name in analysis.errors}
    return (
        "<h2>How errors grow</h2><p>Root mean square error over seconds ahead; the bar at the end "
        f"is the model's 95 % interval.{_left_out(analysis.model)}</p>"
        + legend(labels)
        + error_growth(analysis)
    )


def _left_out(model: Errors) -> str:
    shown, every = len(pictured(model)), len(model.channels)
    return "" if shown == every else f" Shown are the {shown} of {every} channels that err most."


def _rollouts(analysis: Analysis, examples: Sequence[Example], text: str) -> str:
    """Return example rollouts beside the truth; `told` says which they are."""
    styles = {name: label(name) for name in reversed(shown_in_rollouts(analysis))}
    return (
        "<h2>Rollouts against the truth</h2><p>Windows over seconds; the dashed "
        "line is now. Left of it is what the model knows, right of it what it predicts from its "
        f"own predictions. {text}{_left_out(analysis.model)}</p>"
        + legend({"truth": "measured"} | styles)
        + rollouts(analysis, examples)
    )


def _free_run(analysis: Analysis, found: Json) -> str:
    """Return the table of errors over whole episodes, and which of them count."""
    model = analysis.model
    runs, worse = analysis.free_runs, _worse(found, FREE_RUN)
    rows = [
        [
            name_of(channel, model.units[index]),
            *contest(
                {name: float(run.rmse[index]) for name, run in runs.items()},
                {},
                worse=channel in worse,
            ),
        ]
        for index, channel in enumerate(model.channels)
    ]
    rows.append(
        [
            name_of("nRMSE", "mean of RMSE / spread"),
            *contest({n: run.nrmse for n, run in runs.items()}, {}, worse=NRMSE in worse),
        ]
    )
    longest = runs["model"].steps.max() * model.dt
    return (
        "<h2>Free run</h2><p>Root mean square error over whole episodes, simulated from their "
        f"first {model.history} rows to their end on the actions alone: {len(runs['model'].steps)} "
        f"episodes, up to {longest:.4g} s. Of each family of references the "
        f"best one that stays bounded is shown.{free_run_words(found)}</p>"
        + table(["Channel", *map(label, runs)], rows, numbers_from=1, even=True)
    )


def _worst(analysis: Analysis) -> str:
    """Return the table of the episodes with the largest errors."""
    model = analysis.model
    found = worst_episodes(analysis)
    shown = pictured(model)
    rows = [
        [
            name_of(item.episode.name, item.episode.id[:8]),
            str(item.windows),
            f"{item.worst_row * model.dt:.2f} s",
            *(
                f"{number(float(item.rmse[i]))}<span class='interval'>free run "
                f"{number(float(item.free_run[i]))}</span>"
                for i in shown
            ),
        ]
        for item in found[:WORST]
    ]
    channels = [
        f'{escape(model.channels[i])} <span class="unit">{escape(model.units[i])}</span>'
        for i in shown
    ]
    which = f"The {WORST} of {len(found)} episodes" if len(found) > WORST else "Episodes"
    return (
        f"<h2>Worst episodes</h2><p>{which} with the largest error first; RMSE after "
        f"{model.horizon} steps, below it over the whole episode.</p>"
        + table(["Episode", "Windows", "Worst from", *channels], rows, numbers_from=1)
    )


def _residuals(analysis: Analysis) -> str:
    """Return what one-step residuals say about what the model has not understood."""
    found = analysis.residuals
    inputs = (
        "<p>Correlation with what acted so many steps before, for the input that explains most; "
        "outside the band on the right means that the model misses something about this input, "
        "on the left that the logs were made in closed loop.</p>" + cross_correlations(analysis)
        if analysis.dataset.actions
        else ""
    )
    return (
        "<h2>What is left unexplained</h2><p>Autocorrelation of the model's errors one step ahead, "
        f"by lags in steps, over {found.rows} rows. Of white noise 99 % lies between the dashed "
        "lines, and the Ljung-Box p is above 0.01; sensor noise in the states alone already makes "
        "neighboring errors alike.</p>" + autocorrelations(analysis) + inputs
    )


def _calibration(analysis: Analysis) -> str:
    """Return how often the truth lies where the model says; nothing if it does not say."""
    found, model = analysis.calibration, analysis.model
    if found is None:
        return ""
    rows = [
        [
            name_of(channel, model.units[index]),
            *(f"{share:.0%}" for share in found.coverage[:, -1, index]),
            number(float(found.deviation[-1, index])),
            number(float(found.rmse[-1, index])),
        ]
        for index, channel in enumerate(found.channels)
    ]
    heads = ["Channel", *(f"in {level:.0%} intervals" for level in found.levels)]
    return (
        "<h2>Is it as sure as it should be?</h2><p>Share of the windows whose truth lies inside of "
        "the interval that the model gives for it, over seconds ahead; dashed is what was "
        "promised. Below the dashes the model is too sure of itself.</p>"
        + coverages(found, model)
        + f"<p>After {model.horizon} steps, with the standard deviation that the model gives and "
        "the error that it makes:</p>"
        + table([*heads, "given deviation", "RMSE"], rows, numbers_from=1, even=True)
    )
