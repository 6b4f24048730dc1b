"""Thumbnails: one curve per channel, a gap where a value is missing, and few points."""

import re

import numpy as np

from kinemill.reports.charts import (
    THUMBNAIL_HEIGHT,
    THUMBNAIL_POINTS,
    THUMBNAIL_WIDTH,
    Line,
    line_chart,
    thumbnail,
)


def test_each_channel_fills_its_own_strip():
    time = np.linspace(0.0, 1.0, 50)
    text = thumbnail(time, {"angle": np.sin(6 * time), "torque": 1e6 * time})
    first, second = re.findall(r' d="([^"]+)"', text)
    heights = [float(y) for _, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", second)]
    assert min(heights) >= THUMBNAIL_HEIGHT
    assert max(heights) <= 2 * THUMBNAIL_HEIGHT
    assert f'viewBox="0 0 {THUMBNAIL_WIDTH} {2 * THUMBNAIL_HEIGHT}"' in text
    assert first.startswith("M1.0 ")


def test_a_missing_value_leaves_a_gap_and_a_long_log_few_points():
    values = np.ones(10_000)
    values[2000:8000] = np.nan
    (path,) = re.findall(r' d="([^"]+)"', thumbnail(np.arange(10_000.0), {"q<": values}))
    assert path.count("M") == 2
    assert len(re.findall("[ML]", path)) <= 2 * THUMBNAIL_POINTS
    assert "nan" not in path


def test_without_a_value_nothing_is_drawn():
    assert ' d=""' in thumbnail(np.arange(3.0), {"q": np.full(3, np.nan)})


def test_chart_of_values_over_decades_has_a_logarithmic_axis():
    def chart(*values):
        line = Line("a", "model", np.arange(3.0), np.array(values))
        return line_chart([line], labels=("x", "y"), log=True)

    assert ">1e−05<" in chart(0.4, 0.01, 6e-6)
    assert ">0.3<" in chart(0.4, 0.1, 0.2)
    assert "1e−05" not in chart(0.4, 0.0, -6.0)
