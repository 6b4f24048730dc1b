"""`kinemill data edit` and `data edits`, and where edits are shown."""

import getpass

import pytest

import kinemill.api as km
from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.errors import BadInput
from kinemill.ingest.membership import members
from tests.cli.conftest import spike


@pytest.fixture
def three(swing, log, evaluated):
    """Two good logs and one with a spike of its velocity from 3.00 to 3.09 s."""
    log("b.csv", phase=1.0)
    log("c.csv", phase=2.0)
    path = log("a.csv", spoil=spike)
    evaluated(swing(), path.parent)
    return path.parent


def test_an_edit_is_made_listed_shown_searched_and_undone(
    three, kinemill, evaluated, swing, tmp_path
):
    span, why = ("--exclude", "2.9:3.2"), ("--because", "a broken cable")
    text = kinemill("data", "edit", "swing", "a.csv", *span, *why)
    assert text == (
        "exclude 2.9 to 3.2 s: 1 recording (edit 1)\n"
        "the next kinemill run swing updates episodes, dataset and model\n"
    )
    evaluated(swing(), three)
    shown = kinemill("data", "show", "swing", "a.csv", "--json")
    assert (shown["status"], shown["episodes"], shown["reasons"]) == ("accepted", 2, [])
    (line,) = shown["edits"]
    assert (line["edit"], line["who"], line["because"]) == (
        "exclude 2.9 to 3.2 s", getpass.getuser(), "a broken cable",
    )  # fmt: skip
    assert "exclude 2.9 to 3.2 s" in kinemill("data", "show", "swing", "a.csv")
    page = tmp_path / "page.html"
    kinemill("data", "view", "swing", "a.csv", "--out", page)
    assert "Edits</h2>" in page.read_text()
    assert "exclude 2.9 to 3.2 s" in page.read_text()
    for query in ("array_length(edited) > 0", "array_contains(edited, 'exclude')"):
        found = kinemill("data", "search", "swing", query, "--json")["recordings"]
        assert [(one["name"], one["edited"]) for one in found] == [("a.csv", ["exclude"])]
    assert kinemill("data", "search", "swing", "array_length(edited) = 0", "--json")["total"] == 2
    undone = kinemill("data", "edit", "swing", "a.csv", "--undo", "--json")
    assert (undone["acts"][0]["undoes"], undone["acts"][0]["change"]) == (1, None)
    listed = kinemill("data", "edits", "swing", "--json")
    assert listed["total"] == 1
    assert listed["edits"][0]["undone"]
    assert kinemill("data", "search", "swing", "array_length(edited) > 0", "--json")["total"] == 0
    assert "a broken cable" in kinemill("data", "edits", "swing", "a.csv")


def test_one_edit_of_all_recordings_that_a_query_finds(three, kinemill, evaluated, swing):
    kinemill("data", "edit", "swing", "--where", "name = 'b.csv'", "--split", 1)
    assert km.list_edits("swing")["name"].to_list() == ["b.csv"]
    km.edit_recording("swing", where="status <> 'quarantined'", split=2.0, because="two runs")
    assert km.list_edits("swing").height == 4
    km.undo_edit("swing", where="name = 'c.csv'")
    assert km.list_edits("swing", "c.csv")["undone"].null_count() == 0


def test_edits_move_no_recording_between_splits(three, kinemill, evaluated, swing, home):
    def sides():
        task = swing()
        made = dataset_stage.run(task, home, evaluated(task, three).ref)
        dataset = load_dataset(home, made.ref)
        return {episode.recording: episode.split for episode in dataset.episodes}

    before = sides()
    kinemill("data", "edit", "swing", "--where", "", "--split", 2.5)
    assert sides() == before
    kinemill("data", "edit", "swing", "--where", "", "--undo")
    assert sides() == before


def test_edit_with_bad_arguments_is_an_error_with_a_fix(three, kinemill):
    for arguments, message in (
        (["a.csv"], "names no change; expected one of exclude, split"),
        (["a.csv", "--split", 1, "--exclude", "1:2"], "exclude and split together"),
        (["--split", 1], "neither a recording nor a query"),
        (["a.csv", "--where", "status = 'accepted'", "--split", 1], "a recording and a query"),
        (["--where", "name = 'x'", "--split", 1], "no recording is selected"),
        (["a.csv", "--exclude", "1-2"], "'1-2' is not a number.*3.2:4.5"),
        (["a.csv", "--undo", "--split", 1], "cannot be combined with --split"),
        (["x.csv", "--split", 1], "is no recording of swing"),
        (["a.csv", "--exclude", "60:70"], r"a\.csv: .*between 0 and 5\.99 s"),
    ):
        with pytest.raises(BadInput, match=message):
            kinemill("data", "edit", "swing", *arguments)
    assert kinemill("data", "edits", "swing", "--json")["total"] == 0


def test_a_merged_recording_is_shown_as_such_and_cannot_be_decided_on(
    swing, log, evaluated, kinemill, home
):
    def later(rows):
        rows[:, 0] += 6.0

    path = log("a.csv")
    log("b.csv", phase=18.0, spoil=later)
    evaluated(swing(), path.parent)
    kinemill("data", "edit", "swing", "a.csv", "--merge", "b.csv")
    evaluated(swing(), path.parent)
    found = kinemill("data", "search", "swing", "status = 'merged'", "--json")["recordings"]
    assert [(one["name"], one["status"]) for one in found] == [("b.csv", "merged")]
    assert kinemill("data", "show", "swing", "b.csv", "--json")["status"] == "merged"
    assert kinemill("data", "show", "swing", "a.csv", "--json")["rows"] == 1200
    for command in (["quarantine", "reject"], ["quarantine", "undo"], ["forget", "--yes"]):
        with pytest.raises(BadInput, match=r"b\.csv: is merged by .*data edits swing lists"):
            kinemill("data", *command, "swing", "b.csv")
    report = kinemill("data", "check", path.with_name("b.csv"), "--task", "swing", "--json")
    assert report["files"][0]["reasons"][0]["check"] == "merged"
    kinemill("data", "edit", "swing", "a.csv", "--undo")
    kinemill("data", "forget", "swing", "b.csv", "--yes")
    hashes = [member.hash for member in members(home, "swing").values()]
    assert len(hashes) == 1
    rows = [p.stat().st_size for p in (home.store / "recording" / "swing").rglob("track-*")]
    assert len(rows) == 1  # the artifact with the rows of both is deleted as well


def test_validate_keeps_edits(three, kinemill, evaluated, swing):
    kinemill("data", "edit", "swing", "a.csv", "--split", 1.0)
    assert kinemill("data", "validate", "swing", str(three), "--json")["recordings"] == 3
    assert (
        kinemill("data", "check", three / "a.csv", "--task", "swing", "--json")["files"][0][
            "episodes"
        ]
        == 3
    )
