"""Hostile logs are refused, or read, in bounded memory; sound large logs are read."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from kinemill.draft.schema_inference import survey
from kinemill.errors import BadLog
from kinemill.ingest.raw import Unreadable
from kinemill.ingest.readers import _limits, compressed, csv, jsonl
from kinemill.ingest.readers._limits import check_keys, check_lines, parse_json
from tests.ingest.hostile_logs import (
    GOOD,
    HEADER,
    LONGEST_LINE,
    ROWS,
    SMALL,
    hostile_forms,
    write_large_forms,
)

MOST_MEMORY = 500 << 20  # bytes
# Read every log of a folder, as ingest and as a draft do; print the outcomes and the peak memory.
CHILD = """
import json, sys
from pathlib import Path
from tempfile import TemporaryDirectory
from kinemill.draft.schema_inference import survey
from kinemill.errors import BadLog
from kinemill.ingest.membership import new_member
from kinemill.ingest.readers import _limits
from kinemill.ingest.recordings import read_into
from kinemill.task import load_task

task, outcomes = load_task(sys.argv[1]), {}
_limits.LONGEST_LINE, _limits.SMALL = map(int, sys.argv[3:])
for path in sorted(Path(sys.argv[2]).iterdir()):
    with TemporaryDirectory() as folder:
        member = new_member("0" * 64, path.name, path.stat().st_size)
        summary = read_into(task, member, path, Path(folder))
    try:
        survey(path)
        draft = ""
    except BadLog as error:
        draft = error.where
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) * 1024
    reasons = summary.reasons
    outcomes[path.name] = {"rows": summary.rows, "reasons": reasons, "draft": draft, "peak": peak}
print(json.dumps(outcomes))
"""


def read_in_child(
    task_file: Path,
    folder: Path,
    longest_line: int = _limits.LONGEST_LINE,
    small: int = _limits.SMALL,
) -> dict[str, dict]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, (task_file, folder, longest_line, small))],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"POLARS_MAX_THREADS": "2"},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def check_refused(outcomes: dict[str, dict], folder: Path) -> None:
    for name, outcome in outcomes.items():
        assert outcome["rows"] == 0, name
        reason = outcome["reasons"][0]
        assert all(reason[part] for part in ("check", "where", "found", "expected", "fix")), name
        assert len(reason["found"]) < 500, name
        assert not outcome["draft"] or outcome["draft"].startswith(str(folder / name)), name
        assert outcome["peak"] < MOST_MEMORY, (name, outcome["peak"])


@pytest.mark.ci
def test_hostile_forms_are_refused_with_reasons_in_bounded_memory(task, logs):
    forms = hostile_forms()
    assert len(forms) >= 40
    for name, content in forms.items():
        (logs / name).write_bytes(content)
    outcomes = read_in_child(Path(task.path), logs, LONGEST_LINE, SMALL)
    assert outcomes.keys() == forms.keys()
    check_refused(outcomes, logs)


@pytest.mark.slow
def test_large_hostile_forms_are_refused_in_bounded_memory(task, logs):
    names = write_large_forms(logs)
    outcomes = read_in_child(Path(task.path), logs)
    assert outcomes.keys() == names
    check_refused(outcomes, logs)


@pytest.mark.slow
def test_sound_large_log_is_read_in_bounded_memory(task, logs):
    rows = (b"%.3f,%.9f,%.9f,3.0\n" % (k / 1000, k * 1e-5, 0.01) for k in range(3_000_000))
    (logs / "a.csv").write_bytes(HEADER + b"".join(rows))
    assert (logs / "a.csv").stat().st_size > 100_000_000
    outcome = read_in_child(Path(task.path), logs)["a.csv"]
    assert (outcome["rows"], outcome["reasons"], outcome["draft"]) == (3_000_000, [], "")
    assert outcome["peak"] < MOST_MEMORY


def test_compressed_log_of_a_high_ratio_is_read(write, task):
    content = HEADER + b"".join(
        b"%.2f,0.000,0.000,0.000%s\n" % (k / 100, b" " * 150) for k in range(20_000)
    )
    packed = gzip.compress(content)
    assert 30 < len(content) / len(packed) < _limits.RATIO
    assert compressed.read(write("a.csv.gz", packed), task).frame.height == 20_000


def test_unpacked_limit_scales_with_size_up_to_an_absolute_one():
    assert _limits.unpacked_limit(1000) == 64 << 20
    assert _limits.unpacked_limit(10 << 20) == 1000 << 20
    assert _limits.unpacked_limit(1 << 30) == 4 << 30


@pytest.mark.parametrize("newline", [b"\n", b"\r"])
def test_line_beyond_the_limit_is_named_by_its_first_byte(write, monkeypatch, newline):
    monkeypatch.setattr(_limits, "LONGEST_LINE", 3 << 20)
    path = write("a.csv", GOOD.replace(b"\n", newline) + b"1" * (4 << 20) + newline)
    with pytest.raises(Unreadable) as caught:
        check_lines(path)
    assert caught.value.where == f"byte {len(GOOD)}"


def test_quoted_fields_and_lone_quotes_above_the_header_are_no_open_quotes(
    write, task, monkeypatch
):
    monkeypatch.setattr(_limits, "LONGEST_LINE", 1 << 20)
    quoted = b"".join(b'"%.2f","%.1f","10.0",0\n' % (k / 100, k / 10) for k in range(80_000))
    assert csv.read(write("a.csv", HEADER + quoted), task).frame.height == 80_000
    title = b'a robot of 5" and its recording\n'
    path = write("b.csv", title + HEADER + ROWS * 40)
    assert csv.read(path, task).frame.height == 80_000
    with pytest.raises(Unreadable, match="an open quote"):
        csv.read(write("c.csv", HEADER + b'0,"1,2,3\n' + ROWS * 40), task)


def test_json_lines_with_a_bad_row_are_read_in_groups(write, task, monkeypatch):
    monkeypatch.setattr(jsonl, "_ROWS", 7)
    rows = [{"time": k / 100, "position": k, "velocity": 1.5, "torque": 0} for k in range(50)]
    rows[30]["position"] = 0.5
    rows[40]["extra"] = {"a": 1}
    lines = [*map(json.dumps, rows)]
    lines.insert(10, "{bad")
    log = jsonl.read(write("a.jsonl", "\n".join(lines)), task)
    assert log.frame["angle"].to_list() == [float(row["position"]) for row in rows]
    assert (log.dropped_rows, log.reasons[0]["where"]) == (1, "row 11")


def test_keys_are_counted_over_all_rows(write, monkeypatch):
    monkeypatch.setattr(_limits, "MOST_KEYS", 10)
    good = write("a.jsonl", "\n".join(json.dumps({f"k{k % 9}": "a: b"}) for k in range(1000)))
    check_keys(good, is_array=False)
    bad = write("b.jsonl", "\n".join(json.dumps({f"k{k % 12}": 1}) for k in range(1000)))
    with pytest.raises(Unreadable, match="different keys"):
        check_keys(bad, is_array=False)


def test_json_document_is_refused_by_its_estimated_memory(write, monkeypatch):
    monkeypatch.setattr(_limits, "LARGEST_JSON", 100_000)
    numbers = json.dumps({"x": [0.123456789] * 1000})
    assert len(parse_json(write("a.json", numbers))["x"]) == 1000
    with pytest.raises(Unreadable, match="bytes of memory"):
        parse_json(write("b.json", json.dumps({"x": [[]] * 1000})))


def test_error_of_a_draft_names_the_file_and_the_byte(write):
    content = gzip.compress(b'{"time": 0}\n{"time": "' + b"a" * (17 << 20) + b'"}\n', 1)
    path = write("a.jsonl.gz", content)
    with pytest.raises(BadLog) as caught:
        survey(path)
    assert caught.value.where == f"{path}, byte 12"
