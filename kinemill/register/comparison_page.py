"""The page of `kinemill model compare`: two versions side by side, self-contained HTML."""

import math
from html import escape

import numpy as np

from kinemill.register.gate.rules.no_worse import at_horizon
from kinemill.register.policy_comparison import tried_page
from kinemill.reports.charts import Line, line_chart, number
from kinemill.reports.components import card, mark, name_of, table
from kinemill.store import Json
from kinemill.verify.comparison import NRMSE
from kinemill.verify.figures import figure, legend
from kinemill.verify.report_sections import document

_STYLE = {"a": "champion", "b": "model"}  # colors of the page's style sheet


def comparison_page(found: Json) -> str:
    """Return the HTML page of a comparison document."""
    if found.get("form") == "policy":
        return tried_page(found)
    title = f"{found['task']}: version {found['a']['version']} against {found['b']['version']}"
    sections = [
        f'<header><div><div class="eyebrow">Model comparison</div><h1>{escape(title)}</h1></div>'
        f'</header><p class="lead">{_lead(found)}</p>',
        f'<div class="cards">{_cards(found)}</div>',
        _errors(found),
        _horizons(found),
        _growth(found),
        _gates(found),
    ]
    footer = "Measured by kinemill on the exported files; the numbers are in comparison.json."
    return document(title, sections, footer)


def _lead(found: Json) -> str:
    names = {side: f"version {found[side]['version']}" for side in "ab"}
    ratio, (low, high) = found["nrmse"]["ratio"], found["nrmse"]["interval"]
    if ratio is None:
        return f"{names['a']} and {names['b']} cannot be compared: one of them diverges."
    text = f"{names['b']} has <b>{number(ratio)}</b> times the error of {names['a']}"
    if low is None:
        return f"{text}; the test split is too small for an interval."
    interval = f"95 % interval {number(low)} to {number(high)}"
    better = found["better"]
    verdict = f"{names[better]} is better" if better else "the difference is not significant"
    return f"{text} ({interval}, paired): {verdict}."


def _cards(found: Json) -> str:
    windows = found["windows"]
    cards = [
        card(
            f"Version {found[side]['version']}, nRMSE",
            _number(found["nrmse"][side]),
            "",
            found[side]["standing"],
        )
        for side in "ab"
    ]
    more = f"worth {windows['effective_n']:.0f} independent {windows['unit']}"
    cards.append(card("Test windows", str(windows["count"]), "", more))
    return "".join(cards)


def _errors(found: Json) -> str:
    rows = [
        [
            name_of(channel, line["unit"]),
            *(_error(line[side]) for side in "ab"),
            _number(line["ratio"]),
        ]
        for channel, line in found["channels"].items()
    ]
    nrmse = found["nrmse"]
    rows.append(
        [
            name_of("nRMSE", "mean of RMSE / std"),
            *(_number(nrmse[side]) for side in "ab"),
            _number(nrmse["ratio"]),
        ]
    )
    seconds, steps = found["windows"]["seconds"], found["windows"]["horizon"]
    heads = ["Channel", *(f"Version {found[side]['version']}" for side in "ab"), "Ratio"]
    text = f"<p>Root mean square error in each channel's unit after {steps} steps, with its 95 % "
    return f"<h2>Error {seconds:.4g} s ahead</h2>{text}interval.</p>" + table(
        heads, rows, numbers_from=1, even=True
    )


def _error(line: Json) -> str:
    low, high = line["interval"]
    below = "" if low is None else f"<span class='interval'>{number(low)} to {number(high)}</span>"
    return f"{_number(line['rmse'])}{below}"


def _horizons(found: Json) -> str:
    """Return the ratios of errors by horizon and channel, red where the second version is worse."""
    names = [NRMSE, *found["channels"]]
    rows = [
        [at_horizon(key), *(_ratio(_of(by, name)) for name in names)]
        for key, by in found["horizons"].items()
    ]
    text = (
        f"<p>Error of version {found['b']['version']} over that of version {found['a']['version']} "
        "with its 95 % interval: red is significantly worse, green significantly better.</p>"
    )
    heads = ["Horizon", "nRMSE", *map(name_of, found["channels"])]
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


def _growth(found: Json) -> str:
    dt = found["windows"]["seconds"] / found["windows"]["horizon"]
    labels = {style: f"version {found[side]['version']}" for side, style in _STYLE.items()}
    charts = "".join(
        figure(channel, line["unit"], _chart(line, dt))
        for channel, line in found["channels"].items()
    )
    text = "<p>Root mean square error over the prediction time, on the same windows.</p>"
    kind = "grid even" if len(found["channels"]) in {2, 4} else "grid"
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


def _gates(found: Json) -> str:
    rules = sorted({line["rule"] for side in "ab" for line in found[side]["gate"]})
    lines = {side: {line["rule"]: line for line in found[side]["gate"]} for side in "ab"}
    rows = [[name_of(rule), *(_verdict(lines[side].get(rule)) for side in "ab")] for rule in rules]
    heads = ["Rule", *(f"Version {found[side]['version']}" for side in "ab")]
    return f"<h2>Gate decisions</h2>{table(heads, rows)}"


def _verdict(line: Json | None) -> str:
    if line is None:
        return "not evaluated"
    found = line["found"]
    text = number(found) if isinstance(found, float) else escape(str(found))
    return f"{mark(line['passed'])} {text}"


def _number(value: float | None) -> str:
    return "not finite" if value is None else number(value)
