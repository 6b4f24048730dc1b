"""`kinemill data view`: one page of a recording or an episode, with what was found marked."""

import re

import pytest

from kinemill.errors import BadInput
from kinemill.task import load_task
from kinemill.validate.stage import load_episodes
from tests.cli.conftest import spike


@pytest.fixture
def observed(swing, log, evaluated, home):
    path = log("<b>spiky.csv", spoil=spike)
    log("b.csv", phase=1.0)
    task = swing()
    artifact = evaluated(task, path.parent)
    return load_episodes(home, artifact.ref)


def test_every_channel_is_drawn_and_the_spike_is_marked(observed, kinemill, tmp_path):
    out = tmp_path / "page.html"
    message = kinemill("data", "view", "swing", "<b>spiky.csv", "--out", out, "--json")
    page = out.read_text()
    assert (message["episode"], message["file"]) == (None, str(out))
    assert page.count("<figure") == 3
    assert re.search(r'class="band found"[^>]*><title>limits: 88 rad/s', page)
    # Left out in one stretch, which every channel shows.
    assert page.count('class="band lost"') == 3
    assert "&lt;b&gt;spiky.csv" in page
    assert "<b>spiky" not in page


def test_the_page_reaches_for_nothing_outside(observed, kinemill, tmp_path):
    out = tmp_path / "page.html"
    kinemill("data", "view", "swing", "b.csv", "--out", out)
    page = out.read_text()
    assert not re.search(r"https?://|<script|<link|@import|url\((?!#)", page)
    assert 'class="band' not in page
    assert "None: every row was accepted" in page


def test_tracks_that_are_not_drawn_are_listed(observed, kinemill, tmp_path, monkeypatch):
    monkeypatch.setattr("kinemill.validate.recording_page.TRACKS", 0)
    out = tmp_path / "page.html"
    kinemill("data", "view", "swing", "b.csv", "--out", out)
    assert "<p>Not drawn: track 0.</p>" in out.read_text()


def test_an_episode_is_shown_alone(observed, kinemill, tmp_path):
    second = next(item for item in observed if item.name != "b.csv" and item.id.endswith("-0001"))
    out = tmp_path / "page.html"
    message = kinemill("data", "view", "swing", second.id, "--out", out, "--json")
    start, end = re.search(r"Track 0, ([\d.]+) to ([\d.]+) s", out.read_text()).groups()
    # 3.10 to 5.99 s and a twentieth of it before.
    assert message["episode"] == 1
    assert 2.9 < float(start) < 3.1
    assert float(end) == pytest.approx(5.99)


def test_a_released_recording_shows_what_was_found_and_leaves_nothing_out(
    observed, kinemill, tmp_path
):
    out = tmp_path / "page.html"
    kinemill("data", "quarantine", "release", "swing", "<b>spiky.csv")
    kinemill("data", "view", "swing", "<b>spiky.csv", "--out", out)
    page = out.read_text()
    assert 'class="band lost"' not in page
    assert 'class="band found"' in page


def test_an_unread_log_has_a_page_of_its_reasons(
    observed, log, evaluated, swing, kinemill, tmp_path
):
    torn = log("torn.csv")
    torn.write_text("time,angle\n0.0,1.0\n")
    evaluated(swing(), torn.parent)
    out = tmp_path / "page.html"
    kinemill("data", "view", "swing", "torn.csv", "--out", out)
    assert "velocity" in out.read_text()


@pytest.mark.parametrize("which", ["nothing.csv", "0000-0000"])
def test_what_is_not_there_is_bad_input(observed, kinemill, which):
    with pytest.raises(BadInput, match="is no recording of swing"):
        kinemill("data", "view", "swing", which)


def test_an_episode_that_does_not_exist_is_bad_input(observed, kinemill):
    spiky = next(item for item in observed if item.name != "b.csv")
    with pytest.raises(BadInput, match="has 2 episodes"):
        kinemill("data", "view", "swing", f"{spiky.recording[:16]}-0009")


def test_rules_that_changed_ask_for_a_validation(observed, swing, kinemill):
    swing("dt: 0.01", "dt: 0.02")
    with pytest.raises(BadInput, match="kinemill data validate swing"):
        kinemill("data", "view", "swing", "b.csv")


def test_the_parts_of_a_file_are_named(home, shared_data, evaluated, kinemill, request, tmp_path):
    path = request.config.rootpath / "tests" / "tasks" / "cascaded_tanks.yaml"
    evaluated(load_task(path), shared_data / "cascaded_tanks")
    out = tmp_path / "page.html"
    kinemill("data", "view", path, "dataBenchmark.csv", "--out", out)
    page = out.read_text()
    assert "Track 0 (train), 0.000 to 4092.000 s" in page
    assert "Track 1 (test), 0.000 to 4092.000 s" in page
