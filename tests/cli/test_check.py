"""`kinemill check`: what would become of a log, said without writing anything."""

import pytest

from kinemill.errors import BadInput
from tests.cli.conftest import bytes_under, spike


def test_a_check_says_what_ingest_and_validate_would_do(swing, log, kinemill, judged):
    good, bad, torn = log("a.csv"), log("s.csv", spoil=spike), log("torn.csv")
    torn.write_text("time,angle\n0.0,1.0\n")
    found = kinemill("check", good, bad, torn, "--task", "swing", "--json")["files"]
    assert [set(file) for file in found] == [
        {"file", "hash", "outcome", "episodes", "rows", "reasons"}
    ] * 3
    assert [file["outcome"] for file in found] == ["episodes", "episodes", "quarantined"]
    assert [file["episodes"] for file in found] == [1, 2, 0]
    assert found[0]["rows"] == 600
    assert "limits" in {reason["check"] for reason in found[1]["reasons"]}
    torn.unlink()
    outcome = judged(swing(), good.parent)
    assert outcome.summary["accepted"] == 3
    assert outcome.summary["rows"] == sum(file["rows"] for file in found)


def test_a_check_changes_no_byte_of_the_home(swing, log, kinemill, judged, home):
    path = log("a.csv")
    kinemill("check", path, "--task", "swing")
    assert not home.root.exists()
    judged(swing(), path.parent)
    before = bytes_under(home.root)
    log("b.csv", phase=1.0)
    found = kinemill("check", path, path.parent / "b.csv", "--task", "swing", "--json")["files"]
    assert [file["outcome"] for file in found] == ["known", "episodes"]
    assert bytes_under(home.root) == before


def test_a_name_that_the_task_does_not_want_is_told(swing, log, kinemill):
    swing("format: csv", 'format: csv, exclude: ["noise*"]')
    path = log("noise.csv")
    (file,) = kinemill("check", path, "--task", "swing", "--json")["files"]
    assert (file["outcome"], file["reasons"][0]["check"]) == ("quarantined", "patterns")


def test_a_file_that_is_not_there_is_bad_input(swing, tmp_path, kinemill):
    with pytest.raises(BadInput, match="is no folder and no file"):
        kinemill("check", tmp_path / "none.csv", "--task", "swing")


def test_a_folder_is_all_logs_in_it(swing, log, kinemill):
    folder = log("a.csv").parent
    log("b.csv", phase=1.0)
    found = kinemill("check", folder, "--task", "swing", "--json")["files"]
    assert [file["episodes"] for file in found] == [1, 1]
