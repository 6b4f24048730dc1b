"""The arrival sensor's eyes: which files are complete, and whether anything changed."""

import os

import pytest

from kinemill.errors import BadInput
from kinemill.ingest.arrivals import find_new_logs
from kinemill.ingest.files import recognize, require_logs, scan
from kinemill.task import READERS

NOW = 2_000_000_000.0


@pytest.fixture
def aged(write):
    """Write a log whose last change was `age` s before NOW."""

    def write_aged(name, content, age=100.0):
        path = write(name, content)
        os.utime(path, (NOW - age, NOW - age))
        return path

    return write_aged


def test_a_file_is_settled_once_it_did_not_change_for_long_enough(
    make_task, home, logs, aged, swing
):
    task = make_task(ingest__min_file_age=2.0)
    aged("old.csv", swing)
    aged("young.csv", f"{swing}\n", age=1.5)
    assert len(find_new_logs(task, home, logs, NOW).ids) == 1
    assert len(find_new_logs(task, home, logs, NOW + 1.0).ids) == 2


def test_a_stamp_from_a_clock_in_the_future_does_not_hold_a_file_back(
    make_task, home, logs, aged, swing
):
    aged("late.csv", swing, age=-3600.0)
    assert find_new_logs(make_task(ingest__min_file_age=2.0), home, logs, NOW).ids


def test_a_folder_that_is_not_there_holds_nothing(task, home, logs):
    assert find_new_logs(task, home, logs / "absent") == (frozenset(), False, False)


def test_news_change_exactly_with_the_set_of_contents(make_task, home, logs, aged, swing):
    task = make_task(ingest__min_file_age=2.0, ingest__exclude=["*noise*"])
    ids = [find_new_logs(task, home, logs, NOW).ids]

    def now(change) -> bool:
        ids.append(find_new_logs(task, home, logs, NOW).ids)
        return ids[-1] != ids[-2]

    first = aged("a.csv", swing)
    assert now("a file arrives")
    aged("b.csv", swing)
    assert not now("a copy arrives")
    aged("noise.csv", swing[:5])
    aged("notes.txt", "x")
    aged("c.csv.part", swing[:6])
    assert not now("what is no log arrives")
    os.utime(first, (NOW - 50, NOW - 50))
    assert not now("a file is touched")
    first.rename(logs / "z.csv")
    assert not now("a file is renamed")
    aged("young.csv", swing[:9], age=0.5)
    assert not now("a file is still growing")
    os.utime(logs / "young.csv", (NOW - 60, NOW - 60))
    assert now("it is complete")
    aged("z.csv", swing[:-1])
    aged("b.csv", swing[:-1])
    assert now("contents change")


@pytest.mark.parametrize("name", READERS)
def test_every_reader_claims_endings_and_refuses_bytes_of_nothing(name):
    reader = READERS[name]
    assert reader.suffixes
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in reader.suffixes)
    assert not reader.recognizes(b"")
    assert not reader.recognizes(bytes(range(256)) * 16)


def test_an_ending_is_claimed_twice_only_where_the_content_decides():
    claims: dict[str, list[bool]] = {}
    for name in READERS:
        for suffix in READERS[name].suffixes:
            claims.setdefault(suffix, []).append(READERS[name].shared)
    assert all(len(shared) == 1 or all(shared) for shared in claims.values())
    assert len(claims[".json"]) == 2


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.csv", "time,x\n", "csv"),
        ("a.parquet", "time,x\n", "csv"),
        ("a.csv", b"PAR1....", "parquet"),
        ("a.parquet", b"PXR1\0\0\0", "parquet"),
        ("a.csv", b"", "csv"),
        ("a.dat", b"\0\1\2", "text"),
    ],
)
def test_content_comes_before_the_ending(task, write, name, content, form):
    assert recognize(task, write(name, content)) == form


def test_a_format_the_task_names_is_the_only_one(make_task, write):
    assert recognize(make_task(ingest__format="parquet"), write("a.csv", "t,x\n")) == "parquet"


def test_links_out_of_the_folder_and_pipes_are_not_read(task, logs, aged, swing, tmp_path):
    real = aged("real.csv", swing)
    secret = tmp_path / "secret.csv"
    secret.write_bytes(real.read_bytes())
    (logs / "out.csv").symlink_to(secret)
    (logs / "in.csv").symlink_to(real)
    (logs / "gone.csv").symlink_to(tmp_path / "gone.csv")
    (logs / "folder").symlink_to(tmp_path)
    os.mkfifo(logs / "pipe.csv")
    result = scan(task, logs)
    assert [file_stat.name for file_stat in result.logs] == ["in.csv", "real.csv"]
    assert list(result.ignored) == ["folder", "gone.csv", "out.csv", "pipe.csv"]


def test_named_folder_without_a_log_is_refused_with_the_reasons(make_task, logs, write, swing):
    task = make_task(ingest__include=["*.csv"])
    write("notes.txt", "none")
    write("other.jsonl", "{}")
    with pytest.raises(BadInput) as error:
        require_logs(task, logs)
    message = str(error.value)
    assert message.startswith(f"{logs}: holds no complete log of the task 'pendulum'")
    assert "notes.txt: no log: no reader recognizes it" in message
    assert "match ingest.include: *.csv; put logs there" in message
    require_logs(task, write("deep/a.csv", swing))  # a log by its path
    require_logs(task, logs)
