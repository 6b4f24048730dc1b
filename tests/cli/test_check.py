"""`kinemill data check`: what would become of a log, said without writing anything."""

import json

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.cli.log_results import MOST_REASONS, show_files, show_reasons
from kinemill.errors import BadInput
from tests.cli.conftest import bytes_under, spike


def test_a_check_says_what_ingest_and_validate_would_do(swing, log, kinemill, evaluated):
    good, bad, torn = log("a.csv"), log("s.csv", spoil=spike), log("torn.csv")
    torn.write_text("time,angle\n0.0,1.0\n")
    results = kinemill("data", "check", good, bad, torn, "--task", "swing", "--json", code=1)[
        "files"
    ]
    assert [set(file) for file in results] == [
        {"file", "hash", "outcome", "episodes", "rows", "dropped_rows", "dropped", "reasons"}
    ] * 3
    assert [file["outcome"] for file in results] == ["episodes", "episodes", "quarantined"]
    assert [file["episodes"] for file in results] == [1, 2, 0]
    assert results[0]["rows"] == 600
    assert "limits" in {reason["check"] for reason in results[1]["reasons"]}
    torn.unlink()
    artifact = evaluated(swing(), good.parent)
    assert artifact.summary["accepted"] == 3
    assert artifact.summary["rows"] == sum(file["rows"] for file in results)


@pytest.mark.parametrize(
    "command", [["data", "check", "--task", "balance"], ["data", "ingest", "balance"]]
)
def test_a_task_without_channels_reads_no_log_and_says_so(swing, log, kinemill, command):
    path = log("a.csv")
    task = swing()
    (task.path.parent / "balance.yaml").write_text(
        "task: balance\ndt: 0.02\nlearn: {type: reinforcement}\n"
        "environment: {type: gymnasium, id: CartPole-v1}\n"
    )
    with pytest.raises(BadInput, match=r"balance\.yaml: channels: is missing, so no log can be"):
        kinemill(*command, path)


def test_a_check_changes_no_byte_of_the_home(swing, log, kinemill, evaluated, home):
    path = log("a.csv")
    kinemill("data", "check", path, "--task", "swing")
    assert not home.root.exists()
    evaluated(swing(), path.parent)
    previous = bytes_under(home.root)
    log("b.csv", phase=1.0)
    results = kinemill("data", "check", path, path.parent / "b.csv", "--task", "swing", "--json")[
        "files"
    ]
    assert [file["outcome"] for file in results] == ["known", "episodes"]
    assert bytes_under(home.root) == previous


def test_a_name_that_the_task_does_not_want_is_told(swing, log, kinemill):
    swing("format: csv", 'format: csv, exclude: ["noise*"]')
    path = log("noise.csv")
    (file,) = kinemill("data", "check", path, "--task", "swing", "--json", code=1)["files"]
    assert (file["outcome"], file["reasons"][0]["check"]) == ("quarantined", "patterns")


def test_the_exit_code_is_1_when_a_log_gives_nothing_that_nobody_decided(
    swing, log, kinemill, evaluated, home
):
    good, empty = log("a.csv"), log("empty.csv")
    empty.write_bytes(b"")
    kinemill("data", "check", good, "--task", "swing")
    kinemill("data", "check", good, empty, "--task", "swing", code=1)
    evaluated(swing(), good.parent)
    kinemill("data", "check", good, empty, "--task", "swing", code=1)  # known, and quarantined
    kinemill("data", "quarantine", "reject", "swing", "empty.csv")
    kinemill("data", "check", good, empty, "--task", "swing")


def test_logs_that_no_model_can_be_trained_on_are_reported_and_the_exit_code_is_1(swing, log):
    swing("{type: mlp}", "{type: mlp}, history: 300, horizon: 200")
    folder = log("a.csv").parent
    log("b.csv", phase=1.0)
    result = CliRunner().invoke(app, ["data", "check", str(folder), "--task", "swing", "--json"])
    assert result.exit_code == 1
    results = json.loads(result.stdout)
    assert [file["outcome"] for file in results["files"]] == ["episodes", "episodes"]
    assert "validation split: no episode is long enough: a.csv 60 rows" in results["dataset"]
    assert "at least 500 rows (learn.history 300 + learn.horizon 200)" in results["dataset"]
    assert "lower learn.history or learn.horizon" in results["dataset"]


def test_a_folder_that_leaves_a_split_empty_is_reported(swing, log):
    swing()
    folder = log("a.csv").parent
    result = CliRunner().invoke(app, ["data", "check", str(folder), "--task", "swing"])
    assert result.exit_code == 1
    assert "nothing matches test: '*b.csv'" in result.output


def test_people_are_told_what_is_wrong_and_what_to_do(swing, log, kinemill):
    swing()
    log("a.csv")
    log("b.csv", phase=1.0)
    folder = log("b\n\x1b[31m.csv", spoil=spike).parent
    (folder / "empty.csv").write_bytes(b"")
    message = kinemill("data", "check", folder, "--task", "swing", code=1)
    assert "a.csv: 1 episode, 600 rows" in message
    assert "b\\n\\x1b[31m.csv: 2 episodes" in message  # no terminal acts on a file's name
    assert "- format, file: is empty, expected a header line and rows; record" in message
    assert message.splitlines()[-1] == "4 logs: 3 accepted, 1 quarantined"


def test_of_many_reasons_the_first_are_spelled_and_the_rest_counted(capsys):
    reason = {"check": "spike", "channel": "q", "where": "grid row 1", "found": "3 rad"}
    reasons = [reason | {"expected": "", "fix": ""}] * 9
    show_reasons(reasons, MOST_REASONS)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == ["    - spike q, grid row 1: 3 rad"] * 4
    assert lines[4:] == ["    - and 5 more: spike 5"]


def test_files_that_are_left_alone_are_named(swing, log, home, tmp_path):
    task = swing()
    folder = log("a.csv").parent
    (folder / "notes.pdf").write_text("hello")
    (folder / "out.csv").symlink_to(tmp_path / "swing.yaml")
    (tmp_path / "swing.yaml").write_text("secret")
    done = CliRunner().invoke(app, ["data", "ingest", task.name, str(folder)])
    assert "a.csv: 1 episode" in done.stdout
    assert "ignored (no log: no reader recognizes it): notes.pdf\n" in done.stderr
    assert "ignored (a link out of the folder): out.csv\n" in done.stderr


def test_what_a_check_finds_in_many_logs_is_spelled_out_for_the_first(capsys):
    reason = {"check": "stuck", "channel": "x", "where": "rows 1-9", "found": "0 m for 1 s",
              "expected": "", "fix": ""}  # fmt: skip
    accepted = {"outcome": "episodes", "episodes": 1, "rows": 90, "reasons": [reason]}
    refused = {"outcome": "quarantined", "episodes": 0, "rows": 0, "reasons": [reason]}
    files = [{**accepted, "file": f"{number}.csv"} for number in range(4)]
    show_files("logs", [*files, {**refused, "file": "5.csv"}])
    lines = capsys.readouterr().out.splitlines()
    sentence, counted = "    - stuck x, rows 1-9: 0 m for 1 s", "    - as above: stuck 1"
    assert [line for line in lines if line.startswith("    ")] == [
        *(sentence, sentence, counted, counted),
        sentence,  # why a log is refused is always told
    ]


def test_a_log_of_the_same_rows_in_other_bytes_is_a_copy(swing, log, kinemill):
    path = log("a.csv")
    (path.parent / "b.csv").write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    swing()
    compared = kinemill("data", "check", path.parent, "--task", "swing", "--json")["compared"]
    assert compared == [f"{path.parent / 'b.csv'}: an exact copy of {path}"]


def test_log_without_its_first_rows_is_a_near_duplicate(swing, log, kinemill):
    path = log("a.csv")
    header, *rows = path.read_text().splitlines(keepends=True)
    (path.parent / "b.csv").write_text(header + "".join(rows[len(rows) // 50 :]))
    swing()
    (copy,) = kinemill("data", "check", path.parent, "--task", "swing", "--json")["compared"]
    assert copy.startswith(f"{path.parent / 'b.csv'}: a near-duplicate of {path}: their states are")


def test_a_log_in_degrees_among_logs_in_rad_is_reported(swing, log, kinemill):
    def in_degrees(rows):
        rows[:, 1:3] *= 57.3

    swing("limits", "observed_range")
    for number in range(4):
        path = log(
            f"{number}b.csv" if number == 3 else f"{number}.csv",
            float(number),
            in_degrees if number == 2 else None,
        )
    compared = kinemill("data", "check", path.parent, "--task", "swing", "--json")["compared"]
    assert [fault.partition(": ")[0] for fault in compared] == ["2.csv"]
    assert compared[0].endswith("as if in degrees")
