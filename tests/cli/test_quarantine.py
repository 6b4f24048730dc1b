"""`kinemill data quarantine`: what is held back, and what people decide about it."""

import getpass

import numpy as np
import pytest

from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput
from kinemill.ingest import stage as ingest
from kinemill.ingest.decisions import DECISIONS
from kinemill.validate.recording_status import recording_statuses
from kinemill.validate.stage import load_checks, load_episodes
from tests.cli.conftest import spike


@pytest.fixture
def locked(swing, log, evaluated):
    """Two good logs, and one with a spike that holds all of it back."""
    log("a.csv")
    log("b.csv", phase=1.0)
    path = log("held.csv", phase=2.0, spoil=spike)
    task = swing("learn:", "validate: {on_fault: quarantine}\nlearn:")
    return task, path.parent, evaluated(task, path.parent)


def status_of(kinemill, name):
    listed = kinemill("data", "quarantine", "list", "swing", "--json")["recordings"]
    return {item["name"]: item for item in listed}.get(name, {}).get("status")


def test_what_is_held_back_is_listed_with_its_reasons(locked, kinemill):
    (item,) = kinemill("data", "quarantine", "list", "swing", "--json")["recordings"]
    assert (item["name"], item["status"], item["episodes"]) == ("held.csv", "quarantined", 0)
    assert "limits" in {reason["check"] for reason in item["reasons"]}
    assert "held.csv" in kinemill("data", "quarantine", "list", "swing")


def test_a_recording_that_waits_for_its_validation_is_not_held_back(swing, log, kinemill, home):
    task, path = swing(), log("a.csv")
    ingest.run(task, home, path.parent)
    result = kinemill("data", "quarantine", "list", "swing", "--json")
    assert (result["total"], result["not_validated"], result["recordings"]) == (0, 1, [])
    listed = kinemill("data", "quarantine", "list", "swing")
    assert "0 in quarantine of swing" in listed
    assert "1 not validated yet: kinemill run swing" in listed


def test_the_list_comes_in_pages_decisions_first(locked, kinemill, log, evaluated):
    task, folder, _ = locked
    for number in range(4):
        log(f"held{number}.csv", phase=0.3 * number, spoil=spike)
    evaluated(task, folder)
    kinemill("data", "quarantine", "reject", "swing", "held2.csv")
    kinemill("data", "quarantine", "reject", "swing", "a.csv")
    evaluated(task, folder)

    def page(*options):
        result = kinemill("data", "quarantine", "list", "swing", "--json", *options)
        assert result["total"] == 6
        return [(item["name"], item["status"]) for item in result["recordings"]]

    first, second = page("--limit", "2"), page("--limit", "3", "--offset", "2")
    assert first == [("a.csv", "rejected"), ("held2.csv", "rejected")]
    assert {status for _, status in second} == {"quarantined"}
    assert sorted([*first, *second, *page("--offset", "5")]) == sorted(page())


def test_a_released_recording_is_taken_whole_by_the_next_run(locked, kinemill, evaluated, home):
    task, folder, previous = locked
    made = kinemill(
        "data", "quarantine", "release", "swing", "held.csv", "--because", "a real swing", "--json"
    )
    assert (made["decision"], made["who"]) == ("release", getpass.getuser())
    assert made["because"] == "a real swing"
    after = evaluated(task, folder)
    assert after.ref != previous.ref
    assert (after.summary["accepted"], after.summary["rows"]) == (3, 1800)
    assert all(check.passed for check in load_checks(home, after.ref) if check.blocking)
    assert status_of(kinemill, "held.csv") == "released"
    datasets = {dataset_stage.run(task, home, published.ref).ref for published in (previous, after)}
    assert len(datasets) == 2


def test_undoing_a_release_brings_the_old_outcome_back(locked, kinemill, evaluated):
    task, folder, previous = locked
    kinemill("data", "quarantine", "release", "swing", "held.csv")
    evaluated(task, folder)
    kinemill("data", "quarantine", "undo", "swing", "held.csv", "--because", "a mistake")
    again = evaluated(task, folder)
    assert again.cached
    assert again.ref == previous.ref
    displayed = kinemill("data", "show", "swing", "held.csv", "--json")
    assert [made["decision"] for made in displayed["audit"]] == ["release", "withdraw"]
    assert displayed["status"] == "quarantined"


def test_nan_is_cut_out_of_a_released_recording_too(swing, log, evaluated, kinemill, home):
    def spoil(rows):
        rows[100, 1] = float("nan")
        spike(rows)

    path = log("held.csv", spoil=spoil)
    log("a.csv")
    task = swing()
    evaluated(task, path.parent)
    kinemill("data", "quarantine", "release", "swing", "held.csv")
    published = evaluated(task, path.parent)
    rows = [item.rows for item in load_episodes(home, published.ref) if item.name == "held.csv"]
    assert sum(rows) == 599


def test_a_rejected_recording_is_never_taken_until_that_is_undone(
    locked, kinemill, evaluated, home
):
    task, folder, _ = locked
    kinemill("data", "quarantine", "reject", "swing", "a.csv", "--because", "wrong robot")
    report = ingest.run(task, home, folder)
    assert report.artifact.summary["recordings"] == 2
    entry = next(file for file in report.files if file["file"] == "a.csv")
    assert (entry["outcome"], entry["episodes"]) == ("known", 0)
    (reason,) = entry["reasons"]
    assert reason["check"] == "rejected"
    assert "wrong robot" in reason["found"]
    assert status_of(kinemill, "a.csv") == "rejected"
    kinemill("data", "quarantine", "undo", "swing", "a.csv")
    assert ingest.run(task, home, folder).artifact.summary["recordings"] == 3


def test_what_cannot_be_read_cannot_be_released(swing, log, evaluated, kinemill):
    log("a.csv").with_name("torn.csv").write_text("time,angle\n0.0,1.0\n")
    evaluated(swing(), log("b.csv", phase=1.0).parent)
    with pytest.raises(BadInput, match="cannot be read"):
        kinemill("data", "quarantine", "release", "swing", "torn.csv")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["release", "swing", "hold.csv"], "did you mean 'held.csv'"),
        (["undo", "swing", "a.csv"], "has no decision"),
    ],
)
def test_what_makes_no_sense_is_refused(locked, kinemill, arguments, said):
    with pytest.raises(BadInput, match=said):
        kinemill("data", "quarantine", *arguments)


def test_deciding_the_same_twice_is_told_and_the_trail_keeps_one(locked, kinemill, home):
    kinemill("data", "quarantine", "reject", "swing", "a.csv")
    with pytest.raises(BadInput, match="already"):
        kinemill("data", "quarantine", "reject", "swing", "a.csv")
    assert [made.decision for made in DECISIONS.read(home, "swing")] == ["reject"]


def noise(rows):
    """A velocity with noise of 4 rad/s, which is a warning and cuts nothing."""
    rows[:, 2] += np.random.default_rng(0).normal(0.0, 4.0, len(rows))


def test_an_accepted_recording_with_a_warning_is_not_held_back(
    locked, kinemill, log, evaluated, home
):
    task, folder, _ = locked
    log("noisy.csv", phase=0.3, spoil=noise)
    evaluated(task, folder)
    (noisy,) = [
        item for item in recording_statuses(task, home)[1] if item.member.name == "noisy.csv"
    ]
    assert noisy.status == "accepted"
    assert "velocity_noise" in {reason["check"] for reason in noisy.reasons}
    result = kinemill("data", "quarantine", "list", "swing", "--json")
    assert (result["total"], [item["name"] for item in result["recordings"]]) == (1, ["held.csv"])
    assert kinemill("data", "quarantine", "list", "swing").endswith("1 in quarantine of swing\n")
