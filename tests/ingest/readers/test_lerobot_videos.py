"""Videos of LeRobot data sets: each row has its frame, and damage affects its episode alone."""

import io
import json
import os
import shutil
import tarfile
import time

import numpy as np
import polars as pl
import pytest

from kinemill.ingest import stage as ingest
from kinemill.ingest.arrivals import find_new_logs
from kinemill.ingest.recordings import load_recordings
from kinemill.ingest.rows import read_rows
from kinemill.store import file_digest
from tests.ingest.lerobot_videos import (
    CAMERA,
    FPS,
    encode,
    frame_numbers,
    version2,
    version3,
    video2,
    video3,
    write_info,
)

BOTH = pytest.mark.parametrize("write", [version2, version3])


@pytest.fixture
def arm(make_task):
    return make_task(
        ("observation.state[0]", "observation.state[1]", "action[0]"),
        channels__camera={"role": "image", "source": CAMERA},
        dt=1 / FPS,
    )


def stored_numbers(home, report):
    """Return the numbers of the frames of each track, and the shapes of the images."""
    numbers, shapes = [], set()
    for recording in load_recordings(home, report.artifact.ref):
        if not recording.summary.tracks:
            continue
        images = np.load(recording.folder / "image-camera.npy")
        shapes.add(images.shape[1:])
        for track in recording.summary.tracks:
            rows = read_rows(recording.folder / track.file)["camera"].to_numpy()
            numbers.append(frame_numbers(images[rows]))
    return numbers, shapes


@pytest.mark.ci
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@BOTH
def test_each_row_has_the_frame_of_its_time(logs, home, arm, write, codec):
    write(logs, codec=codec)
    report = ingest.run(arm, home, logs)
    assert report.artifact.summary["quarantined"] == 0
    numbers, shapes = stored_numbers(home, report)
    assert numbers == [list(range(40))] * 4
    assert shapes == {(48, 64, 3)}


def hashes(home, report):
    return {recording.hash for recording in load_recordings(home, report.artifact.ref)}


def refusals(home, report):
    """Return the reasons of all recordings."""
    return [
        reason
        for recording in load_recordings(home, report.artifact.ref)
        for reason in recording.summary.reasons
    ]


def damage(path):
    """Overwrite bytes in the middle of a video."""
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + (len(content) - content.index(b"moov")) // 8
    middle = (content.index(b"mdat") + content.index(b"moov")) // 2
    content[min(start, middle) : middle + 200] = b"\x5a" * (middle + 200 - min(start, middle))
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-400])


def as_playlist(path):
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n")


FAULTS = {
    "missing": (lambda path: path.unlink(), "does not exist"),
    "cut": (cut, "is damaged (End of file)"),
    "damaged": (damage, "is damaged (Invalid data found when processing input)"),
    "empty": (lambda path: path.write_bytes(b""), "is damaged"),
    "playlist": (as_playlist, "is damaged"),
    "short": (lambda path: encode(path, range(30)), "the nearest frame is at 1.4500 s, where"),
    "size": (lambda path: encode(path, range(40), size=(32, 64)), "frames of 32 x 64 pixels"),
    "late": (
        lambda path: encode(path, range(40), times=range(2, 42)),
        "the nearest frame is at 0.1000 s",
    ),
    "dropped frame": (
        lambda path: encode(path, range(39), times=[*range(20), *range(21, 40)]),
        "the nearest frame is at",
    ),
}


@pytest.mark.ci
@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_video_affects_its_episode_alone(logs, home, arm, fault):
    version2(logs)
    apply, found = FAULTS[fault]
    apply(video2(logs, 2))
    report = ingest.run(arm, home, logs)
    assert report.artifact.summary["quarantined"] == 1
    (reason,) = refusals(home, report)
    assert found in reason["found"]
    assert reason["where"].startswith(f"videos/chunk-000/{CAMERA}/episode_000002.mp4")
    assert reason["expected"]
    assert reason["fix"]
    assert stored_numbers(home, report)[0] == [list(range(40))] * 3


@pytest.mark.parametrize("fault", ["missing", "cut", "size"])
def test_a_faulty_video_of_several_episodes_leaves_those_of_others(logs, home, arm, fault):
    version3(logs)
    FAULTS[fault][0](video3(logs, 1))
    report = ingest.run(arm, home, logs)
    reasons = refusals(home, report)
    assert [reason["where"].split(",")[0] for reason in reasons] == ["episode 2", "episode 3"]
    assert stored_numbers(home, report)[0] == [list(range(40))] * 2


def test_a_video_that_lacks_its_last_episode_has_the_first_one(logs, home, arm):
    version3(logs)
    encode(video3(logs, 0), [*range(40), *range(20)])
    report = ingest.run(arm, home, logs)
    (reason,) = refusals(home, report)
    assert reason["where"] == f"episode 1, videos/{CAMERA}/chunk-000/file-000.mp4, 3.0000 s"
    assert reason["found"] == "the nearest frame is at 2.9500 s, where the video ends"
    assert reason["expected"] == "a frame within 0.0125 s of each row"
    assert len(stored_numbers(home, report)[0]) == 3


def test_rows_after_the_end_of_their_episode_get_no_frame_of_the_next_one(logs, home, arm):
    version3(logs)
    path = logs / "meta/episodes/chunk-000/file-000.parquet"
    stop = f"videos/{CAMERA}/to_timestamp"
    rows = pl.read_parquet(path)
    rows.with_columns(pl.col(stop) - 0.1).write_parquet(path)
    reasons = refusals(home, ingest.run(arm, home, logs))
    assert len(reasons) == 4
    assert reasons[0]["found"] == "is after the end of episode 0 in the video, 1.9000 s"


def test_frames_at_varying_times_are_chosen_by_their_times(logs, home, arm):
    version2(logs, episodes=1)
    # Frames between those of the rows, which a count of frames would take.
    times = sorted({*range(0, 200, 5), *range(2, 60, 5)})
    numbers = [time // 5 if time % 5 == 0 else 45 for time in times]
    encode(video2(logs, 0), numbers, times=times, clock=5 * FPS)
    assert stored_numbers(home, ingest.run(arm, home, logs))[0] == [list(range(40))]


def test_an_episode_that_starts_far_from_a_key_frame_has_its_own_frames(logs, home, arm):
    version3(logs)
    for file in (0, 1):
        encode(video3(logs, file), [*range(40), *range(40)], key_frames=1000)
    assert stored_numbers(home, ingest.run(arm, home, logs))[0] == [list(range(40))] * 4


def test_images_are_scaled_down_to_the_shape_of_the_task(logs, home, make_task, arm):
    version2(logs, episodes=2)
    camera = {"role": "image", "source": CAMERA, "shape": [12, 16, 3]}
    channels = arm.channels | {"camera": type(arm.channels["camera"]).model_validate(camera)}
    report = ingest.run(arm.model_copy(update={"channels": channels}), home, logs)
    numbers, shapes = stored_numbers(home, report)
    assert (numbers, shapes) == ([list(range(40))] * 2, {(12, 16, 3)})


def test_images_are_not_scaled_up(logs, home, arm):
    version2(logs, episodes=2)
    camera = {"role": "image", "source": CAMERA, "shape": [96, 128, 3]}
    channels = arm.channels | {"camera": type(arm.channels["camera"]).model_validate(camera)}
    report = ingest.run(arm.model_copy(update={"channels": channels}), home, logs)
    assert report.artifact.summary["quarantined"] == 2
    reason = refusals(home, report)[0]
    assert reason["expected"] == "at least 96 x 128, as set in the task"


@pytest.mark.parametrize(
    ("video_path", "found"),
    [
        ("../{video_key}.mp4", "leads out of the data set"),
        ("/etc/{video_key}.mp4", "leads out of the data set"),
        ("{video_key.__class__}.mp4", "has no valid `video_path`"),
        ("{episode_index:999999999d}.mp4", "has no valid `video_path`"),
        ("{video_key!r}.mp4", "has no valid `video_path`"),
        ("{secret}.mp4", "has no valid `video_path`"),
        ("{video_key", "has no valid `video_path`"),
        ("linked/{video_key}.mp4", "is a link out of the data set"),
        (None, "has no valid `video_path`"),
        (3, "has no valid `video_path`"),
    ],
)
def test_a_path_of_videos_stays_in_the_data_set(logs, tmp_path, home, arm, video_path, found):
    version2(logs, episodes=1)
    write_info(logs, "v2.1", video_path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / f"{CAMERA}.mp4").write_bytes(video2(logs, 0).read_bytes())
    (logs.parent / f"{CAMERA}.mp4").write_bytes(video2(logs, 0).read_bytes())
    (logs / "linked").symlink_to(outside)
    (reason,) = refusals(home, ingest.run(arm, home, logs))
    assert found in reason["found"]


@pytest.mark.parametrize("where", ["info", "video_info"])
def test_distances_are_not_read_as_colors(logs, home, arm, where):
    version2(logs, episodes=1)
    path = logs / "meta" / "info.json"
    info = json.loads(path.read_text())
    info["features"][CAMERA][where] = {"video.is_depth_map": True}
    path.write_text(json.dumps(info))
    (reason,) = refusals(home, ingest.run(arm, home, logs))
    assert reason["found"] == "is a video of distances, which is not read"


@pytest.mark.parametrize("index", [b"", b"{}", b'{"table": "a", "videos": [{"feature": 3}]}'])
def test_a_damaged_archive_is_refused(logs, home, arm, index):
    with tarfile.open(logs / "a.parquet", "w") as archive:
        header = tarfile.TarInfo("kinemill-videos.json")
        header.size = len(index)
        archive.addfile(header, io.BytesIO(index))
    (reason,) = refusals(home, ingest.run(arm, home, logs))
    assert reason["found"].startswith("is not a complete video archive file")


@pytest.mark.usefixtures("remembered")
@BOTH
def test_the_bytes_of_the_videos_identify_a_recording(logs, home, arm, write):
    write(logs)
    first = ingest.run(arm, home, logs)
    before = hashes(home, first)
    for path in logs.rglob("*.mp4"):
        encode(path, [*range(40), *range(40)], "hevc")
    second = ingest.run(arm, home, logs)
    after = hashes(home, second)
    # The rows are the same, so the newer videos supersede the older ones.
    assert (len(after), before & after) == (len(before), set())
    again = ingest.run(arm, home, logs)
    assert again.artifact.ref == second.artifact.ref


@BOTH
def test_a_recording_is_read_again_without_its_data_set(logs, home, arm, write):
    write(logs)
    first = ingest.run(arm, home, logs)
    shutil.rmtree(logs)
    logs.mkdir()
    channels = arm.channels | {"torque": arm.channels["torque"].model_copy(update={"unit": "mN*m"})}
    report = ingest.run(arm.model_copy(update={"channels": channels}), home, logs)
    assert hashes(home, report) == hashes(home, first)
    assert report.artifact.ref != first.artifact.ref
    assert stored_numbers(home, report)[0] == [list(range(40))] * 4


@pytest.mark.usefixtures("remembered")
def test_a_camera_that_a_task_gains_supersedes_recordings_without_videos(logs, home, arm):
    version2(logs)
    channels = {name: one for name, one in arm.channels.items() if name != "camera"}
    blind = arm.model_copy(update={"channels": channels})
    first = ingest.run(blind, home, logs)
    before = hashes(home, first)
    assert before == {file_digest(path) for path in (logs / "data").rglob("*.parquet")}
    report = ingest.run(arm, home, logs)
    assert (report.artifact.summary["recordings"], report.artifact.summary["quarantined"]) == (4, 0)
    assert stored_numbers(home, report)[0] == [list(range(40))] * 4


@pytest.mark.usefixtures("remembered")
@BOTH
def test_a_video_that_arrives_late_is_news(logs, home, arm, write):
    write(logs)
    (path,) = sorted(logs.rglob("*.mp4"))[-1:]
    content = path.read_bytes()
    path.unlink()
    ingest.run(arm, home, logs)
    later = time.time() + 60.0
    assert find_new_logs(arm, home, logs, later).ids == frozenset()
    path.write_bytes(content)
    first = find_new_logs(arm, home, logs, later).ids
    assert first
    os.utime(path, (1e9, 1e9))
    assert find_new_logs(arm, home, logs, later).ids != first
    report = ingest.run(arm, home, logs)
    assert find_new_logs(arm, home, logs, later).ids == frozenset()
    assert sum(len(one) for one in stored_numbers(home, report)[0]) >= 160


def test_logs_and_videos_stay_as_they_are(logs, home, arm):
    version3(logs)
    before = {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()}
    ingest.run(arm, home, logs)
    assert {path: path.read_bytes() for path in logs.rglob("*") if path.is_file()} == before
