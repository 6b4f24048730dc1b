"""Report page of `kinemill model compare`: two versions side by side, self-contained HTML."""

import math
from html import escape

import numpy as np

from kinemill.register.comparison_results import (
    ComparedChannel,
    DynamicsComparison,
    PolicyComparison,
)
from kinemill.register.gate.rules.no_worse import at_horizon
from kinemill.register.verdict import Verdict
from kinemill.reports.charts import Line, axis_label, line_chart, number
from kinemill.reports.components import (
    card,
    figure,
    html_page,
    legend,
    mark,
    name_of,
    table,
    value_text,
)
from kinemill.verify.comparison import NRMSE, Comparison
from kinemill.verify.results import ChannelAccuracy

_STYLES: tuple[str, str] = ("champion", "model")  # colors of the page's style sheet


def comparison_page(comparison: DynamicsComparison | PolicyComparison) -> str:
    """Return the HTML page of a comparison."""
    title = title_of(comparison)
    head = f'<header><div><div class="eyebrow">Comparison</div><h1>{escape(title)}</h1></div>'
    footer = "Measured by kinemill on the exported files; the numbers are in comparison.json."
    return html_page(title, [f"{head}</header>", *comparison_sections(comparison)], footer)


def title_of(comparison: DynamicsComparison | PolicyComparison) -> str:
    """Return the title of a comparison."""
    first, second = comparison.names
    return f"{comparison.task}: {first} against {second.removeprefix('version ')}"


def comparison_sections(comparison: DynamicsComparison | PolicyComparison) -> list[str]:
    """Return the sections of a comparison below its title."""
    if isinstance(comparison, PolicyComparison):
        return _trials_sections(comparison)
    return [
        f'<p class="lead">{_lead(comparison)}</p>',
        f"<p>{escape(comparison.trials_text)}</p>",
        f'<div class="cards">{_cards(comparison)}</div>',
        _errors(comparison),
        _horizons(comparison),
        _error_curves(comparison),
        _gates(comparison),
    ]


def _lead(comparison: DynamicsComparison) -> str:
    first, second = comparison.names
    ratio, (low, high) = comparison.nrmse.ratio, comparison.nrmse.interval
    if not math.isfinite(ratio):
        return f"{first.capitalize()} and {second} cannot be compared: one of them diverges."
    text = f"{second.capitalize()} has <b>{number(ratio)}</b> times the error of {first}"
    if not math.isfinite(low):
        return f"{text}; the test split is too small for an interval."
    interval = f"95 % interval {number(low)} to {number(high)}"
    winner = comparison.winner
    verdict = f"{winner} is better" if winner else "the difference is not significant"
    return f"{text} ({interval}, paired): {verdict}."


def _cards(comparison: DynamicsComparison) -> str:
    windows = comparison.windows
    nrmse = comparison.nrmse
    cards = [
        card(f"Version {side.version}, nRMSE", _number(error), "", side.status)
        for side, error in ((comparison.a, nrmse.a), (comparison.b, nrmse.b))
    ]
    more = f"overlapping; as informative as {windows.effective_n:.0f} separate ones"
    cards.append(card("Test windows", str(windows.count), "", more))
    return "".join(cards)


def _errors(comparison: DynamicsComparison) -> str:
    rows = [
        [name_of(channel, line.unit), _error(line.a), _error(line.b), _number(line.ratio)]
        for channel, line in comparison.channels.items()
    ]
    nrmse = comparison.nrmse
    windows = comparison.windows
    whole = map(_number, (nrmse.a, nrmse.b, nrmse.ratio))
    rows.append([name_of("nRMSE", "mean of RMSE / std"), *whole])
    heads = ["Channel", *map(str.capitalize, comparison.names), "Ratio"]
    text = f"<p>Root mean square error in each channel's unit after {windows.horizon} steps, with "
    return f"<h2>Error {windows.seconds:.4g} s ahead</h2>{text}its 95 % interval.</p>" + table(
        heads, rows, numbers_from=1, even=True
    )


def _error(line: ChannelAccuracy) -> str:
    low, high = line.interval
    interval = f"<span class='interval'>{number(low)} to {number(high)}</span>"
    return f"{_number(line.rmse)}{interval if math.isfinite(low) else ''}"


def _horizons(comparison: DynamicsComparison) -> str:
    """Return the ratios of errors by horizon and channel, red where the second version is worse."""
    first, second = comparison.names
    names = [NRMSE, *comparison.channels]
    rows = [
        [at_horizon(key), *(_ratio(by_channel.get(name)) for name in names)]
        for key, by_channel in comparison.horizons.items()
    ]
    text = (
        f"<p>Error of {second} over that of {first} "
        "with its 95 % interval: red is significantly worse, green significantly better.</p>"
    )
    heads = ["Horizon", "nRMSE", *map(name_of, comparison.channels)]
    return f"<h2>At every horizon</h2>{text}{table(heads, rows, numbers_from=1)}"


def _ratio(one: Comparison | None) -> str:
    """Format a ratio; a channel that never moves in training has none."""
    if one is None or not math.isfinite(one.reference):
        return "–"
    if not math.isfinite(one.ratio):
        return "<span class='bad'>diverges</span>"
    if not math.isfinite(one.low):
        return number(one.ratio)
    kind = "bad" if one.low > 1.0 else "good" if one.high < 1.0 else ""
    interval = f"<span class='interval'>{number(one.low)} to {number(one.high)}</span>"
    return f"<span class='{kind}'>{number(one.ratio)}</span>{interval}"


def _error_curves(comparison: DynamicsComparison) -> str:
    dt = comparison.windows.seconds / comparison.windows.horizon
    labels = dict(zip(_STYLES, comparison.names, strict=True))
    charts = "".join(
        figure(channel, line.unit, _chart(line, dt))
        for channel, line in comparison.channels.items()
    )
    text = "<p>Root mean square error over the prediction time, on the same windows.</p>"
    kind = "grid even" if len(comparison.channels) in {2, 4} else "grid"
    return f'<h2>Error growth</h2>{text}{legend(labels)}<div class="{kind}">{charts}</div>'


def _chart(line: ComparedChannel, dt: float) -> str:
    """Draw the errors of both versions over the steps."""
    lines = list[Line]()
    for name, style, side in zip("ab", _STYLES, (line.a, line.b), strict=True):
        error = np.array([0.0, *side.by_step])
        seconds = np.arange(len(error), dtype=np.float64) * dt
        lines.append(Line(f"version {name}", style, seconds, error))
    return line_chart(lines, labels=("time ahead, s", axis_label("RMSE", line.unit)))


def _gates(comparison: DynamicsComparison) -> str:
    versions = (comparison.a, comparison.b)
    lines = [{line.rule: line for line in version.gate} for version in versions]
    rows = [
        [name_of(rule), *(_verdict(by_rule.get(rule)) for by_rule in lines)]
        for rule in sorted(set().union(*lines))
    ]
    heads = ["Rule", *map(str.capitalize, comparison.names)]
    return f"<h2>Gate decisions</h2>{table(heads, rows, fixed=True)}"


def _verdict(line: Verdict | None) -> str:
    if line is None:
        return "not evaluated"
    return f"{mark(line.passed, undecided=line.undecided)} {value_text(line.value)}"


def _number(value: float) -> str:
    return number(value) if math.isfinite(value) else "not finite"


def _trials_sections(comparison: PolicyComparison) -> list[str]:
    """Return the sections of a comparison of policies from the same starts."""
    first, second = comparison.names
    winner, (low, high) = comparison.winner, comparison.returns.interval
    verdict = f"{winner} is better" if winner else "the difference is not significant"
    lead = (
        f"From the same {len(comparison.episodes)} starts the return of {second} is "
        f"<b>{number(comparison.returns.difference)}</b> larger than that of {first} "
        f"(95 % interval {number(low)} to {number(high)}): {verdict}. "
        f"{escape(comparison.trials_text)}"
    )
    cards = [
        card(f"{name.capitalize()}, {what}", number(value), "", "on average")
        for what, metric in comparison.trial_metrics.items()
        for name, value in ((first, metric.a), (second, metric.b))
    ]
    rows = [
        [
            name_of(f"seed {episode.seed}"),
            number(episode.a),
            number(episode.b),
            number(episode.b - episode.a),
        ]
        for episode in sorted(comparison.episodes, key=lambda episode: episode.b - episode.a)
    ]
    heads = ["Start", first.capitalize(), second.capitalize(), "Difference"]
    return [
        f'<p class="lead">{lead}</p>',
        f'<div class="cards">{"".join(cards)}</div>',
        "<h2>Returns by start</h2>" + table(heads, rows, numbers_from=1, even=True),
    ]
