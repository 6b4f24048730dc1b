"""Report page of `kinemill model compare`: two versions side by side, self-contained HTML."""

from html import escape

import numpy as np

from kinemill.register.comparison_results import (
    ComparedChannel,
    DynamicsComparison,
    PolicyComparison,
)
from kinemill.reports.charts import Line, axis_label, line_chart
from kinemill.reports.components import html_page
from kinemill.reports.templates import render
from kinemill.verify.findings import horizon_words

_TEMPLATE = "register/comparison.html.j2"
_STYLES: tuple[str, str] = ("champion", "model")  # colors of the page's style sheet


def comparison_page(comparison: DynamicsComparison | PolicyComparison) -> str:
    """Return the HTML page of a comparison."""
    first, second = comparison.names
    title = f"{comparison.task}: {first} against {second.removeprefix('version ')}"
    head = f'<header><div><div class="eyebrow">Comparison</div><h1>{escape(title)}</h1></div>'
    footer = "Measured by kinemill on the exported files; the numbers are in comparison.json."
    return html_page(title, [f"{head}</header>", comparison_sections(comparison)], footer)


def comparison_sections(comparison: DynamicsComparison | PolicyComparison) -> str:
    """Return the sections of a comparison below its title."""
    if isinstance(comparison, PolicyComparison):
        starts = sorted(comparison.episodes, key=lambda episode: episode.b - episode.a)
        return render(_TEMPLATE, comparison=comparison, starts=starts)
    dt = comparison.windows.seconds / comparison.windows.horizon
    versions = (comparison.a, comparison.b)
    lines = [{line.rule: line for line in version.gate} for version in versions]
    return render(
        _TEMPLATE,
        comparison=comparison,
        horizon_words=horizon_words,
        styles=dict(zip(_STYLES, comparison.names, strict=True)),
        charts={channel: _chart(line, dt) for channel, line in comparison.channels.items()},
        rules={
            rule: [by_rule.get(rule) for by_rule in lines] for rule in sorted(set().union(*lines))
        },
    )


def _chart(line: ComparedChannel, dt: float) -> str:
    """Draw the errors of both versions over the steps."""
    lines = list[Line]()
    for name, style, side in zip("ab", _STYLES, (line.a, line.b), strict=True):
        error = np.array([0.0, *side.by_step])
        seconds = np.arange(len(error), dtype=np.float64) * dt
        lines.append(Line(f"version {name}", style, seconds, error))
    return line_chart(lines, labels=("time ahead, s", axis_label("RMSE", line.unit)))
