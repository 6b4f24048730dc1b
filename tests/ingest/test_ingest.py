"""The stage: idempotent, incremental, atomic, and never touching what it reads."""

import os
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import polars as pl
import pytest

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.ingest.decisions import current_decisions
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.validate import stage as validate
from kinemill.validate.stage import load_episodes
from tests.ingest.conftest import stored


def statuses(report) -> dict[str, str]:
    return {entry["file"]: entry["outcome"] for entry in report.files}


def bytes_under(folder) -> dict[str, bytes]:
    """Published files of a home: without the catalog, which caches stats of files from 1 s on."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted((folder / "store").rglob("*"))
        if path.is_file() and "index" not in path.relative_to(folder).parts
    }


def test_a_log_becomes_a_recording_with_its_track(task, home, logs, write, swing):
    write("a.csv", swing)
    report = ingest.run(task, home, logs)
    expected = {"recordings": 1, "quarantined": 0, "tracks": 1, "rows": 100, "dropped_rows": 0}
    assert report.artifact.summary == expected
    (entry,) = report.files
    assert set(entry) == {"file", "hash", "outcome", "episodes", "rows", "reasons"}
    assert (entry["file"], entry["outcome"], entry["episodes"]) == ("a.csv", "episodes", 1)
    recording, (frame,) = stored(home, report)
    assert (recording.hash, recording.name) == (entry["hash"], "a.csv")
    assert frame.columns == ["time_s", *task.columns]
    assert frame["angle"].to_list() == [row[1] for row in swing]


def test_the_drop_folder_is_the_default(task, home, swing, write):
    home.logs("pendulum").mkdir(parents=True)
    shutil.copy(write("a.csv", swing), home.logs("pendulum") / "a.csv")
    assert ingest.run(task, home).artifact.summary["recordings"] == 1


def test_a_second_run_knows_everything_and_changes_no_byte(task, home, logs, write, swing):
    write("a.csv", swing)
    write("bad.csv", "time,position\n0,1\n")
    first = ingest.run(task, home, logs)
    original = bytes_under(home.root)
    second = ingest.run(task, home, logs)
    assert statuses(first) == {"a.csv": "episodes", "bad.csv": "quarantined"}
    assert statuses(second) == {"a.csv": "known", "bad.csv": "known"}
    assert second.artifact.cached
    assert second.artifact.ref == first.artifact.ref
    assert bytes_under(home.root) == original


def test_the_same_logs_in_another_home_publish_the_same_bytes(task, tmp_path, logs, write, swing):
    write("a.csv", swing)
    write("b.csv", swing[:50])
    refs = {ingest.run(task, Home(tmp_path / name), logs).artifact.ref for name in ("one", "two")}
    assert len(refs) == 1
    assert bytes_under(tmp_path / "one") == bytes_under(tmp_path / "two")


def test_a_copy_that_arrives_together_with_its_original_is_known(task, home, logs, write, swing):
    original, copy = write("b.csv", swing), write("a_copy.csv", swing)
    os.utime(original, (1e9, 1e9))
    assert copy.stat().st_mtime > original.stat().st_mtime
    report = ingest.run(task, home, logs)
    assert statuses(report) == {"a_copy.csv": "known", "b.csv": "episodes"}
    assert report.artifact.summary["recordings"] == 1


def test_raw_files_are_not_touched_and_their_bytes_are_kept(task, home, logs, write, swing):
    log = write("sub/A.CSV", swing)
    os.utime(log, (1e9, 1e9))
    original, content = log.stat(), log.read_bytes()
    log.parent.chmod(0o555)  # nothing is written beside a log
    report = ingest.run(task, home, logs)
    log.parent.chmod(0o755)
    after = log.stat()
    assert (after.st_mtime_ns, after.st_mode) == (original.st_mtime_ns, original.st_mode)
    assert after.st_nlink == 1
    assert log.read_bytes() == content
    hash_ = report.files[0]["hash"]
    raw = home.store / "raw" / hash_[:2] / f"{hash_}.csv"
    assert raw.read_bytes() == content
    assert raw.stat().st_mode & 0o222 == 0


def test_names_decide_what_is_wanted(make_task, home, logs, write, swing):
    write("run/good.csv", swing)
    write("run/noise.csv", swing[:50])
    write("desired/good.csv", swing[:60])
    task = make_task(ingest__include=["run/*"], ingest__exclude=["*noise*"])
    assert statuses(ingest.run(task, home, logs)) == {"run/good.csv": "episodes"}


def test_names_at_first_sight_decide_for_ever(make_task, home, logs, write, swing):
    log = write("noise.csv", swing)
    write("good.csv", swing[:50])
    assert ingest.run(make_task(), home, logs).artifact.summary["recordings"] == 2
    log.rename(logs / "renamed.csv")
    report = ingest.run(make_task(ingest__exclude=["*noise*"]), home, logs)
    assert report.artifact.summary["recordings"] == 1
    renamed = next(entry for entry in report.files if entry["file"] == "renamed.csv")
    assert (renamed["outcome"], renamed["reasons"][0]["check"]) == ("known", "patterns")
    assert "noise.csv" in renamed["reasons"][0]["found"]


def test_what_no_reader_claims_is_listed_and_what_is_half_written_left_alone(
    task, home, logs, write, swing
):
    write("a.csv", swing)
    for name in ("LICENSE", "notes.md", ".hidden.csv", "b.csv.part", "c.csv.tmp", "d.csv~"):
        write(name, swing)
    write(".git/e.csv", swing)
    report = ingest.run(task, home, logs)
    assert list(report.ignored) == ["LICENSE", "b.csv.part", "c.csv.tmp", "d.csv~", "notes.md"]
    assert statuses(report) == {"a.csv": "episodes"}


def test_a_single_file_is_one_log_whatever_its_ending(task, home, write, swing):
    report = ingest.run(task, home, write("a.log", swing))
    assert statuses(report) == {"a.log": "episodes"}


def test_reasons_are_texts_alone(task, home, logs, write):
    write("a.csv", "time,position,velocity,torque\n0,1,x,1\n0.01,1,1,1\n")
    (entry,) = ingest.run(task, home, logs).files
    assert entry["outcome"] == "quarantined"
    for item in entry["reasons"]:
        assert set(item) == {"check", "channel", "where", "found", "expected", "fix"}
        assert all(value is None or (isinstance(value, str) and value) for value in item.values())


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_home_whose_path_looks_like_a_pattern_is_a_home_like_others(
    task, tmp_path, logs, write, swing, name
):
    if name == "a.csv":
        write(name, swing)
    else:
        frame = pl.DataFrame(swing, ["time", "position", "velocity", "torque"], orient="row")
        frame.write_parquet(logs / name)
    home = Home(tmp_path / "run[1]*?")
    report = ingest.run(task, home, logs)
    assert statuses(report) == {name: "episodes"}
    (episode,) = load_episodes(home, validate.run(task, home, report.artifact.ref).ref)
    assert episode.read().height == 100


def test_a_damaged_recording_is_rebuilt_from_the_kept_bytes(task, home, logs, write, swing):
    log = write("a.csv", swing)
    first = ingest.run(task, home, logs)
    (recording,) = load_recordings(home, first.artifact.ref)
    track = recording.folder / "track-0000.arrow"
    content = track.read_bytes()
    track.write_bytes(content[:100] + bytes([content[100] ^ 1]) + content[101:])
    with pytest.raises(CorruptArtifact, match="track-0000"):
        load_recordings(home, first.artifact.ref)
    log.unlink()
    second = ingest.run(task, home, logs)
    assert second.artifact.ref == first.artifact.ref
    assert track.read_bytes() == content
    load_recordings(home, second.artifact.ref)


def test_damaged_raw_bytes_are_replaced_from_the_file_or_named(task, home, logs, write, swing):
    log = write("a.csv", swing)
    report = ingest.run(task, home, logs)
    hash_ = report.files[0]["hash"]
    raw = home.store / "raw" / hash_[:2] / f"{hash_}.csv"
    raw.chmod(0o644)
    raw.write_bytes(b"rubbish")
    (recording,) = load_recordings(home, report.artifact.ref)
    shutil.rmtree(recording.folder)
    with pytest.raises(CorruptArtifact, match="is missing or incomplete"):
        load_recordings(home, report.artifact.ref)
    moved = log.rename(logs.parent / "elsewhere.csv")
    with pytest.raises(CorruptArtifact, match=r"put 'a.csv' back"):
        ingest.run(task, home, logs)
    moved.rename(log)
    assert ingest.run(task, home, logs).artifact.ref == report.artifact.ref
    assert raw.read_bytes() == log.read_bytes()


def test_no_log_at_all_is_an_error_that_says_what_is_one(task, home, logs, write):
    write("notes.txt", "hello")
    with pytest.raises(BadInput, match=r"holds no complete log.*\.csv.*\.parquet"):
        ingest.run(task, home, logs)
    with pytest.raises(BadInput, match="does not exist"):
        ingest.run(task, home, logs / "absent")


def test_progress_hears_of_every_recording(task, home, logs, write, swing):
    messages = []

    class Ear:
        def log_message(self, message):
            messages.append(message)

        def advance(self, stage, done, total, note=""):
            messages.append((stage, done, total))

    for count in (30, 40, 50):
        write(f"{count}.csv", swing[:count])
    ingest.run(task, home, logs, Ear())
    assert messages == [("ingest", 1, 3), ("ingest", 2, 3), ("ingest", 3, 3)]


def _ingest_elsewhere(job) -> str:
    task, home, logs = job
    return ingest.run(load_task(task), Home(home), logs).artifact.ref.digest


@pytest.mark.ci
def test_processes_that_ingest_the_same_logs_agree(task, home, logs, write, swing):
    for count in range(20, 60, 4):
        write(f"{count}.csv", swing[:count])
    job = (task.path, home.root, logs)
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        digests = set(pool.map(_ingest_elsewhere, [job] * 3))
    assert len(digests) == 1
    assert len(load_recordings(home, ingest.run(task, home, logs).artifact.ref)) == 10
    assert list((home.store / ".staging").iterdir()) == []


def test_a_moved_home_still_knows_its_recordings(task, tmp_path, logs, write, swing):
    write("a.csv", swing)
    ref = ingest.run(task, Home(tmp_path / "one"), logs).artifact.ref
    (tmp_path / "one").rename(tmp_path / "two")
    assert load_recordings(Home(tmp_path / "two"), ref)[0].name == "a.csv"
    assert str(tmp_path).encode() not in b"".join(bytes_under(tmp_path / "two").values())


@pytest.mark.usefixtures("remembered")
def test_a_log_that_went_on_takes_the_place_of_what_it_was(task, home, logs, write, swing):
    log = write("a.csv", swing[:60])
    write("b.csv", [(t, x + 1.0, *rest) for t, x, *rest in swing])
    os.utime(log, (1e9, 1e9))
    first = ingest.run(task, home, logs)
    (shorter,) = [entry["hash"] for entry in first.files if entry["file"] == "a.csv"]
    content = log.read_bytes()
    log.write_bytes(content + b"".join(b"%g,%g,%g,%g\n" % row for row in swing[60:]))
    assert log.read_bytes().startswith(content)
    second = ingest.run(task, home, logs)
    assert statuses(second) == {"a.csv": "episodes", "b.csv": "known"}
    recordings = {item.hash: item for item in load_recordings(home, second.artifact.ref)}
    assert len(recordings) == 2
    assert shorter not in recordings
    (made,) = current_decisions(home, task.name).values()
    assert (made.recording, made.decision, made.name) == (shorter, "supersede", "a.csv")
    assert made.because.endswith(f", which begins with its {len(content)} bytes")
    assert (home.store / "raw" / shorter[:2] / f"{shorter}.csv").read_bytes() == content
    assert ingest.run(task, home, logs).artifact.ref == second.artifact.ref
