"""The page of `kinemill model compare`: two versions side by side, self-contained HTML."""

import math
from html import escape

import numpy as np

from kinemill.register.gate.rules.no_worse import at_horizon
from kinemill.register.policy_comparison import trials_page
from kinemill.reports.charts import Line, line_chart, number
from kinemill.reports.components import card, figure, html_page, legend, mark, name_of, table
from kinemill.store import Json
from kinemill.verify.comparison import NRMSE

_STYLE = {"a": "champion", "b": "model"}  # colors of the page's style sheet


def comparison_page(comparison: Json) -> str:
    """Return the HTML page of a comparison document."""
    if comparison.get("form") == "policy":
        return trials_page(comparison)
    one, other = (comparison[side]["version"] for side in "ab")
    title = f"{comparison['task']}: version {one} against {other}"
    sections = [
        f'<header><div><div class="eyebrow">Model comparison</div><h1>{escape(title)}</h1></div>'
        f'</header><p class="lead">{_lead(comparison)}</p>',
        f'<div class="cards">{_cards(comparison)}</div>',
        _errors(comparison),
        _horizons(comparison),
        _error_curves(comparison),
        _gates(comparison),
    ]
    footer = "Measured by kinemill on the exported files; the numbers are in comparison.json."
    return html_page(title, sections, footer)


def _lead(comparison: Json) -> str:
    names = {side: f"version {comparison[side]['version']}" for side in "ab"}
    ratio, (low, high) = comparison["nrmse"]["ratio"], comparison["nrmse"]["interval"]
    if ratio is None:
        return f"{names['a']} and {names['b']} cannot be compared: one of them diverges."
    text = f"{names['b']} has <b>{number(ratio)}</b> times the error of {names['a']}"
    if low is None:
        return f"{text}; the test split is too small for an interval."
    interval = f"95 % interval {number(low)} to {number(high)}"
    better = comparison["better"]
    verdict = f"{names[better]} is better" if better else "the difference is not significant"
    return f"{text} ({interval}, paired): {verdict}."


def _cards(comparison: Json) -> str:
    windows = comparison["windows"]
    cards = [
        card(
            f"Version {comparison[side]['version']}, nRMSE",
            _number(comparison["nrmse"][side]),
            "",
            comparison[side]["status"],
        )
        for side in "ab"
    ]
    more = f"worth {windows['effective_n']:.0f} independent {windows['unit']}"
    cards.append(card("Test windows", str(windows["count"]), "", more))
    return "".join(cards)


def _errors(comparison: Json) -> str:
    rows = [
        [
            name_of(channel, line["unit"]),
            *(_error(line[side]) for side in "ab"),
            _number(line["ratio"]),
        ]
        for channel, line in comparison["channels"].items()
    ]
    nrmse = comparison["nrmse"]
    rows.append(
        [
            name_of("nRMSE", "mean of RMSE / std"),
            *(_number(nrmse[side]) for side in "ab"),
            _number(nrmse["ratio"]),
        ]
    )
    seconds, steps = comparison["windows"]["seconds"], comparison["windows"]["horizon"]
    heads = ["Channel", *(f"Version {comparison[side]['version']}" for side in "ab"), "Ratio"]
    text = f"<p>Root mean square error in each channel's unit after {steps} steps, with its 95 % "
    return f"<h2>Error {seconds:.4g} s ahead</h2>{text}interval.</p>" + table(
        heads, rows, numbers_from=1, even=True
    )


def _error(line: Json) -> str:
    low, high = line["interval"]
    below = "" if low is None else f"<span class='interval'>{number(low)} to {number(high)}</span>"
    return f"{_number(line['rmse'])}{below}"


def _horizons(comparison: Json) -> str:
    """Return the ratios of errors by horizon and channel, red where the second version is worse."""
    one, other = (comparison[side]["version"] for side in "ab")
    names = [NRMSE, *comparison["channels"]]
    rows = [
        [at_horizon(key), *(_ratio(_of(by, name)) for name in names)]
        for key, by in comparison["horizons"].items()
    ]
    text = (
        f"<p>Error of version {other} over that of version {one} "
        "with its 95 % interval: red is significantly worse, green significantly better.</p>"
    )
    heads = ["Horizon", "nRMSE", *map(name_of, comparison["channels"])]
    return f"<h2>At every horizon</h2>{text}{table(heads, rows, numbers_from=1)}"


def _of(by: Json, name: str) -> Json | None:
    return by[NRMSE] if name == NRMSE else by["channels"].get(name)


def _ratio(one: Json | None) -> str:
    """Format a ratio; a channel that never moves in training has none."""
    if one is None or one["reference"] is None:
        return "–"
    if one["ratio"] is None:
        return "<span class='bad'>diverges</span>"
    low, high = one["interval"]
    if low is None:
        return number(one["ratio"])
    kind = "bad" if low > 1.0 else "good" if high < 1.0 else ""
    below = f"<span class='interval'>{number(low)} to {number(high)}</span>"
    return f"<span class='{kind}'>{number(one['ratio'])}</span>{below}"


def _error_curves(comparison: Json) -> str:
    dt = comparison["windows"]["seconds"] / comparison["windows"]["horizon"]
    labels = {style: f"version {comparison[side]['version']}" for side, style in _STYLE.items()}
    charts = "".join(
        figure(channel, line["unit"], _chart(line, dt))
        for channel, line in comparison["channels"].items()
    )
    text = "<p>Root mean square error over the prediction time, on the same windows.</p>"
    kind = "grid even" if len(comparison["channels"]) in {2, 4} else "grid"
    return f'<h2>Error growth</h2>{text}{legend(labels)}<div class="{kind}">{charts}</div>'


def _chart(line: Json, dt: float) -> str:
    """Draw the errors of both versions over the steps."""
    lines = list[Line]()
    for side, style in _STYLE.items():
        steps = [0.0, *(math.nan if v is None else v for v in line[side]["by_step"])]
        error = np.array(steps, dtype=np.float64)
        lines.append(
            Line(f"version {side}", style, np.arange(len(error), dtype=np.float64) * dt, error)
        )
    return line_chart(lines)


def _gates(comparison: Json) -> str:
    rules = sorted({line["rule"] for side in "ab" for line in comparison[side]["gate"]})
    lines = {side: {line["rule"]: line for line in comparison[side]["gate"]} for side in "ab"}
    rows = [[name_of(rule), *(_verdict(lines[side].get(rule)) for side in "ab")] for rule in rules]
    heads = ["Rule", *(f"Version {comparison[side]['version']}" for side in "ab")]
    return f"<h2>Gate decisions</h2>{table(heads, rows)}"


def _verdict(line: Json | None) -> str:
    if line is None:
        return "not evaluated"
    value = line["value"]
    text = number(value) if isinstance(value, float) else escape(str(value))
    return f"{mark(line['passed'])} {text}"


def _number(value: float | None) -> str:
    return "not finite" if value is None else number(value)
