"""The stage from recordings to episodes: what is published, what is known, what blocks."""

import errno
import html.parser
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from kinemill.store import open_ref, read_json
from kinemill.validate import episodes as episodes_module
from kinemill.validate import stage as validate
from kinemill.validate.check_results import planned_checks
from kinemill.validate.stage import load_checks, load_episodes
from kinemill.validate.summary import read_quarantine
from tests.validate.conftest import as_frame


@pytest.fixture
def logs(swing):
    """A sound recording, one with NaN, one with a flipped velocity, and one nobody could read."""
    holed, flipped = swing(phase=1.0), swing(phase=2.0)
    holed["angle"][300:310] = np.nan
    flipped["velocity"] *= -1
    return {
        "good.csv": [as_frame(swing())],
        "holed.csv": [as_frame(holed)],
        "flipped.csv": [as_frame(flipped)],
        "broken.csv": [],
    }


def test_what_was_kept_and_why_not_more_is_published(home, pendulum, record, logs):
    task = pendulum()
    artifact = validate.run(task, home, record(task, logs))
    counts = {"accepted": 3, "quarantined": 2, "recordings": 4, "rows": 1990, "dropped_rows": 1010}
    counts["dropped"] = {"nonfinite": 10, "velocity": 1000}
    assert {key: artifact.summary[key] for key in counts} == counts
    folder = open_ref(home, artifact.ref)
    quarantine = {item.name: item.reasons for item in read_quarantine(folder)}
    assert set(quarantine) == {"flipped.csv", "broken.csv"}
    (reason,) = quarantine["flipped.csv"]
    assert reason["check"] == "velocity"
    assert reason["where"] == "grid rows 0-999, 0.000-9.990 s"
    assert "sign inverted" in reason["found"]
    assert quarantine["broken.csv"][0]["check"] == "readable"
    pieces = [item for item in load_episodes(home, artifact.ref) if item.name == "holed.csv"]
    assert [item.id for item in pieces] == [f"{pieces[0].recording[:16]}-{n:04d}" for n in (0, 1)]
    assert [item.rows for item in pieces] == [300, 690]
    whole = logs["holed.csv"][0]
    assert pieces[0].read().equals(whole[:300])
    assert pieces[1].read().equals(whole[310:])
    checks = load_checks(home, artifact.ref)
    assert [(c.name, c.blocking) for c in checks] == [
        (plan.name, plan.blocking) for plan in planned_checks(task).values()
    ]
    assert all(check.passed for check in checks if check.blocking)
    result = {check.name: check.values for check in checks if not check.passed}
    assert set(result) == {"physics_nonfinite", "physics_velocity"}
    assert [result["physics_nonfinite"][key] for key in ("rows", "recordings")] == [10, 1]
    (failing,) = result["physics_nonfinite"]["failing"]
    assert failing["where"] == "grid rows 300-309, 3.000-3.090 s"


@pytest.mark.parametrize("same_disk", [True, False])
def test_an_untouched_track_is_not_written_again_where_the_disk_can_share_it(
    home, pendulum, record, logs, monkeypatch, same_disk
):
    def other_disk(path, _):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(path))

    if not same_disk:
        monkeypatch.setattr(Path, "hardlink_to", other_disk)
    task = pendulum()
    artifact = validate.run(task, home, record(task, logs))
    episodes = {item.name: item for item in load_episodes(home, artifact.ref)}
    shared = {name: item.path.stat().st_nlink > 1 for name, item in episodes.items()}
    assert shared == {"good.csv": same_disk, "holed.csv": False}
    assert episodes["good.csv"].read().equals(logs["good.csv"][0])


def test_tracks_number_their_episodes_on_and_are_named_in_reasons(home, pendulum, record, swing):
    task = pendulum()
    late = as_frame(swing()).with_columns(pl.col("time_s") + 100.0)
    late[500, "torque"] = 77.0
    artifact = validate.run(task, home, record(task, {"two.csv": [as_frame(swing()), late]}))
    ids = [item.id[-5:] for item in load_episodes(home, artifact.ref)]
    assert ids == ["-0000", "-0001", "-0002"]
    limits = {item.name: item for item in load_checks(home, artifact.ref)}["physics_limits"]
    assert limits.values["failing"][0]["where"] == "track 1, grid row 500, 105.000-105.000 s"


def test_too_much_in_quarantine_blocks_and_is_still_published(home, pendulum, record, logs):
    task = pendulum(max_quarantined_share=0.4)
    artifact = validate.run(task, home, record(task, logs))
    checks = {check.name: check for check in load_checks(home, artifact.ref)}
    assert not checks["quarantined_share"].passed
    assert checks["quarantined_share"].blocking
    assert checks["quarantined_share"].values["share"] == 0.5
    assert checks["accepted_not_empty"].passed
    assert (open_ref(home, artifact.ref) / "page.html").is_file()


def test_nothing_accepted_fails_every_question_about_it(home, pendulum, record, logs):
    task = pendulum(max_quarantined_share=1.0)
    artifact = validate.run(task, home, record(task, {"broken.csv": logs["broken.csv"]}))
    failed = {check.name for check in load_checks(home, artifact.ref) if not check.passed}
    passed = {check.name for check in load_checks(home, artifact.ref) if check.passed}
    assert "quarantined_share" in passed
    assert {"accepted_not_empty", "row_counts", "finite_values", "schema_angle"} <= failed
    assert not load_episodes(home, artifact.ref)


def test_adding_one_recording_judges_one(home, pendulum, record, logs, swing, monkeypatch):
    task, evaluated = pendulum(), []
    real = episodes_module.apply_checks_to_track

    def evaluate(values, task):
        evaluated.append(len(values["angle"]))
        return real(values, task)

    monkeypatch.setattr(episodes_module, "apply_checks_to_track", evaluate)
    validate.run(task, home, record(task, logs))
    assert len(evaluated) == 3
    evaluated.clear()
    artifact = validate.run(task, home, record(task, {**logs, "new.csv": [as_frame(swing(500))]}))
    assert evaluated == [500]
    assert artifact.summary["accepted"] == 4


def test_another_share_judges_no_recording_again_but_another_limit_does(
    home, pendulum, record, logs, monkeypatch
):
    validate.run(pendulum(), home, record(pendulum(), logs))
    monkeypatch.setattr(
        episodes_module, "apply_checks_to_track", lambda *_: pytest.fail("judged again")
    )
    artifact = validate.run(pendulum(max_quarantined_share=0.1), home, record(pendulum(), logs))
    assert not artifact.cached
    with pytest.raises(pytest.fail.Exception, match="judged again"):
        validate.run(pendulum(stuck={"seconds": 0.7}), home, record(pendulum(), logs))


def test_a_noisy_recording_lists_its_first_faults_and_counts_the_rest(
    home, pendulum, record, swing
):
    task, values = pendulum(), swing(4000)
    values["torque"][::40] = 9.0
    artifact = validate.run(task, home, record(task, {"noisy.csv": [as_frame(values)]}))
    limits = {item.name: item for item in load_checks(home, artifact.ref)}["physics_limits"]
    assert limits.values["faults"] == 100
    assert limits.values["rows"] == 100
    folder = home.store / "validated" / task.name
    (summary,) = [read_json(path) for path in folder.glob("*/summary.json")]
    of_limits = [item for item in summary["reasons"] if item["check"] == "limits"]
    assert len(of_limits) == 21
    assert of_limits[-1]["found"] == "80 more findings"


class Page(html.parser.HTMLParser):
    """Collects what a page would fetch, and its tags."""

    def __init__(self):
        super().__init__()
        self.links, self.tags, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in {"src", "href", "data", "srcset"}]

    def handle_data(self, data):
        self.text += data


def test_the_page_fetches_nothing_and_escapes_what_robots_say(home, pendulum, record, logs):
    task = pendulum()
    logs["<script>alert(1)</script>.csv"] = logs.pop("flipped.csv")
    artifact = validate.run(task, home, record(task, logs))
    text = (open_ref(home, artifact.ref) / "page.html").read_text()
    observed = Page()
    observed.feed(text)
    assert observed.links == []
    assert "http" not in text
    assert "@import" not in text
    assert "url(" not in text
    assert not {"script", "link", "img", "iframe"} & set(observed.tags)
    assert "<script>alert(1)</script>.csv" in observed.text
    assert "<b>nothing</b>" in observed.text
    assert "grid rows 300-309, 3.000-3.090 s" in observed.text
    for plan in planned_checks(task):
        assert plan in observed.text


def test_a_known_outcome_costs_no_import_of_great_expectations(home, pendulum, record, logs):
    task = pendulum()
    ref = record(task, logs)
    validate.run(task, home, ref)
    script = (
        "import json, sys\n"
        "from kinemill.store.home import Home\n"
        "from kinemill.task import Task\n"
        "from kinemill.store import ArtifactRef\n"
        "from kinemill.validate import stage\n"
        "task, root, ref = json.loads(sys.argv[1])\n"
        "ref = ArtifactRef.from_json(ref)\n"
        "outcome = stage.run(Task.model_validate(task), Home.resolve(root), ref)\n"
        "print(json.dumps([outcome.cached, 'great_expectations' in sys.modules]))\n"
    )
    values = [task.model_dump(mode="json", by_alias=True), str(home.root), ref.to_json()]
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(values)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [True, False]
