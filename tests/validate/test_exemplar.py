"""Plots of recordings and episodes: the median one, with removed rows."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import polars as pl
import pytest

from kinemill.validate import stage as validate
from kinemill.validate.exemplar import episode_sheet, recording_sheet
from kinemill_dagster.resources.pictures import episodes_drawn, recordings_drawn
from tests.validate.conftest import as_frame

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def logs(swing):
    """Of 600, 1000 and 1400 rows, the middle one with a hole of a tenth; one that is no log."""
    holed = swing(1000, phase=1.0)
    holed["angle"][300:400] = np.nan
    return {
        "short.csv": [as_frame(swing(600))],
        "middle.csv": [as_frame(holed)],
        "long.csv": [as_frame(swing(1400, phase=2.0))],
        "broken.csv": [],
    }


def titles(svg):
    return [text.text for text in ET.fromstring(svg).iter(f"{SVG}text") if text.get("y") == "13"]


def bars(svg):
    """Heights of the bars by kind, px."""
    lines = re.findall(
        r'class="whisker (\w+)" x1="[\d.]+" y1="([\d.]+)" x2="\S+" y2="([\d.]+)"', svg
    )
    return {kind: [float(a) - float(b) for k, a, b in lines if k == kind] for kind, _, _ in lines}


def test_recordings_are_shown_by_their_lengths_and_the_middle_one_by_channel(
    home, pendulum, record, logs
):
    task = pendulum()
    svg = recording_sheet(task, home, record(task, logs))
    assert titles(svg)[:2] == ["rows of the log, by recording", "angle, rad, over s: middle.csv"]
    broken, long, middle, short = bars(svg)["stem"]  # by name
    assert broken == 0
    assert [short / middle, long / middle] == pytest.approx([0.6, 1.4], rel=0.01)
    assert "dropped" not in bars(svg)


def test_episodes_are_shown_by_what_was_kept_and_one_with_its_cut(home, pendulum, record, logs):
    task = pendulum()
    recordings = record(task, logs)
    svg = episode_sheet(task, home, recordings, validate.run(task, home, recordings).ref)
    assert titles(svg)[:2] == ["seconds, by recording", "angle, rad, over s: middle.csv"]
    result = bars(svg)
    (dropped,) = result["dropped"]
    assert dropped / (dropped + result["stem"][2]) == pytest.approx(0.1, abs=0.02)
    lost = re.findall(r'class="band lost" x="([\d.]+)" y="\d+" width="([\d.]+)"', svg)
    assert len(lost) == 3  # one cut in each of three channels
    # 3.0 to 4.0 s of 9.99 s, in a frame of 640 px that begins at 46.
    assert [float(part) for part in lost[0]] == pytest.approx([46 + 192, 64], abs=2)
    assert svg.count('class="band found"') == 3


def test_where_nothing_was_read_nothing_is_drawn(home, pendulum, record):
    task = pendulum()
    assert recording_sheet(task, home, record(task, {"broken.csv": []})) is None


def test_tracks_are_apart_in_the_picture(home, pendulum, record, swing):
    task = pendulum()
    later = as_frame(swing()).with_columns(pl.col("time_s") + 20.0)
    svg = recording_sheet(task, home, record(task, {"two.csv": [as_frame(swing()), later]}))
    curves = re.findall(r'<path class="line value" d="([^"]*)"', svg)
    assert [curve.count("M") for curve in curves] == [2, 2, 2]


def test_a_sheet_is_drawn_once_for_each_outcome(home, pendulum, record, logs, monkeypatch):
    task = pendulum()
    recordings = record(task, logs)
    episodes = validate.run(task, home, recordings).ref
    drawn = (
        recordings_drawn(task, home, recordings),
        episodes_drawn(task, home, recordings, episodes),
    )
    for name in ("recording_sheet", "episode_sheet"):
        monkeypatch.setattr(f"kinemill_dagster.resources.pictures.{name}", None)
    again = (
        recordings_drawn(task, home, recordings),
        episodes_drawn(task, home, recordings, episodes),
    )
    assert again == drawn
