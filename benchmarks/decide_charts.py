"""Decide how reports draw charts: own SVG, matplotlib SVG or plotly.

`python -m benchmarks.decide_charts` draws the charts of one verification report (four states: error
growth, three example rollouts, residuals) and one long recording with each library. It prints the
size of the page and the time for all charts. The record is docs/decisions/charts.md.

plotly is not a dependency of kinemill: `pip install plotly` adds its row.
"""

import gzip
import io
import json
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import numpy as np

from kinemill.reports.charts import Line, line_chart

ROUNDS = 5
SIZE = (340, 190)  # px
Draw = Callable[[Sequence[Line]], str]
Chart = list[Line]


def charts() -> list[Chart]:
    """Return the lines of 44 charts of a report, and of 4 long ones."""
    random = np.random.default_rng(0)

    def chart(names: Sequence[str], points: int) -> Chart:
        x = np.linspace(0.0, 1.0, points)
        return [Line(name, name, x, random.standard_normal(points).cumsum()) for name in names]

    models = ("persistence", "constant_velocity", "linear", "linear_sincos", "physics", "model")
    sizes = [chart(models, 26) for _ in range(4)]
    rollouts = [chart(("linear", "truth", "model"), 45) for _ in range(3 * 8)]
    residuals = [chart(("model",), 51) for _ in range(16)]
    recording = [chart(("model",), 20_000) for _ in range(4)]
    return [*sizes, *rollouts, *residuals, *recording]


def draw_own(lines: Sequence[Line]) -> str:
    """Draw with `kinemill.reports.charts`, long curves thinned as in reports of recordings."""
    from kinemill.reports.charts import thinned

    thin = [Line(one.label, one.style, *thinned(one.x, one.y)) for one in lines]
    return line_chart(thin, labels=("time, s", "value"))


def draw_matplotlib(lines: Sequence[Line]) -> str:
    """Draw an SVG of the same size with matplotlib."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.fonttype": "none"}):
        figure = Figure(figsize=(SIZE[0] / 72, SIZE[1] / 72))
        axis = figure.add_subplot()
        for one in lines:
            axis.plot(one.x, one.y, label=one.label)
        file = io.StringIO()
        figure.savefig(file, format="svg")
    return file.getvalue()


def draw_plotly(lines: Sequence[Line]) -> str:
    """Return the HTML of a plotly chart without the library."""
    import plotly.graph_objects as go  # pyright: ignore[reportMissingImports]

    data = [go.Scatter(x=one.x, y=one.y, name=one.label) for one in lines]
    figure = go.Figure(data, {"width": SIZE[0], "height": SIZE[1]})
    return figure.to_html(full_html=False, include_plotlyjs=False)


def library_of_plotly() -> str:
    """Return the script that an offline page of plotly contains once."""
    from plotly.offline import get_plotlyjs  # pyright: ignore[reportMissingImports]

    return get_plotlyjs()


def measure(draw: Draw, overhead: str = "") -> dict[str, float]:
    """Return size of all charts, kB, also compressed, and the median time, s."""
    every, seconds, page = charts(), list[float](), ""
    draw(every[0])  # imports and font caches
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        page = "".join(map(draw, every))
        seconds.append(time.perf_counter() - begin)
    content = (overhead + page).encode()
    return {
        "charts": len(every),
        "kB": round(len(content) / 1e3, 1),
        "gzip_kB": round(len(gzip.compress(content)) / 1e3, 1),
        "seconds": round(statistics.median(seconds), 3),
    }


def main() -> None:
    """Print one line of JSON for each library."""
    results = {"own SVG": measure(draw_own), "matplotlib SVG": measure(draw_matplotlib)}
    if find_spec("plotly") is not None:
        results["plotly"] = measure(draw_plotly, library_of_plotly())
    for name, result in results.items():
        print(json.dumps({"library": name} | result))


if __name__ == "__main__":
    main()
