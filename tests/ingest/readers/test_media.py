"""Images and texts: aligned with the steps, stored once, refused where they are something else."""

import io

import h5py
import numpy as np
import polars as pl
import pytest
from PIL import Image

from kinemill.ingest import stage as ingest
from kinemill.ingest.raw import Images, Texts, Unreadable
from kinemill.ingest.readers import _media
from kinemill.ingest.readers.hdf5 import damaged_heap, read
from kinemill.ingest.readers.npz import read as read_npz
from tests.ingest.conftest import refusals, stored

N = 8


def pictures(rows: int = N, first: int = 0) -> np.ndarray:
    """Pictures of which every pixel of row k is first + k."""
    values = np.arange(first, first + rows, dtype=np.uint8)
    return np.broadcast_to(values[:, None, None, None], (rows, 4, 6, 3)).copy()


@pytest.fixture
def camera_task(make_task):
    """An arm with a camera and an instruction, at 100 Hz."""

    def make(**overrides):
        channels = {
            "channels__angle__source": "observations/q",
            "channels__velocity__source": "observations/qd",
            "channels__torque__source": "actions",
            "channels__camera": {"role": "image", "source": "observations/image"},
            "channels__instruction": {"role": "text", "source": "@language"},
            "channels__reward": {"role": "reward", "unit": "1", "source": "rewards"},
            "ingest__rate": 100.0,
        }
        return make_task(**(channels | overrides))

    return make


def episode(group: h5py.Group, rows: int = N, more: int = 0, first: int = 0, **pack) -> None:
    group["observations/q"] = np.arange(rows + more) * 0.1
    group["observations/qd"] = np.full(rows + more, 10.0)
    group["actions"] = np.zeros((rows, 1))
    group["rewards"] = np.arange(rows) * 0.5
    group.create_dataset("observations/image", data=pictures(rows + more, first), **pack)
    group.attrs["language"] = f"go to {first}"


def test_pictures_of_all_parts_are_stored_once_and_steps_name_their_rows(logs, home, camera_task):
    with h5py.File(logs / "a.h5", "w") as file:
        episode(file.create_group("episode_0"), compression="gzip")
        episode(file.create_group("episode_1"), rows=5, more=1, first=100)
    recording, tracks = stored(home, ingest.run(camera_task(), home, logs))
    images = np.load(recording.folder / "image-camera.npy", mmap_mode="r")
    assert (images.shape, images.dtype) == ((13, 4, 6, 3), np.uint8)
    assert images[:, 0, 0, 0].tolist() == [*range(8), *range(100, 105)]
    assert [track["camera"].to_list() for track in tracks] == [[*range(8)], [*range(8, 13)]]
    assert tracks[0]["camera"].dtype == pl.Int32
    assert tracks[1]["reward"].to_list() == [0.0, 0.5, 1.0, 1.5, 2.0]
    texts = (recording.folder / "text-instruction.json").read_text()
    assert texts.split('"')[1::2] == ["go to 0", "go to 100"]
    assert [set(track["instruction"]) for track in tracks] == [{0}, {1}]


def test_a_slower_camera_is_held_and_a_faster_one_thinned_out(logs, home, camera_task):
    with h5py.File(logs / "a.h5", "w") as file:
        episode(file)
    _, (fast,) = stored(home, ingest.run(camera_task(dt=0.005), home, logs))
    assert fast["camera"].to_list() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7]
    assert fast["angle"][1] == pytest.approx(0.05)  # numbers are interpolated, pictures are not
    recording, (slow,) = stored(home, ingest.run(camera_task(dt=0.02), home, logs))
    assert slow["camera"].to_list() == [0, 1, 2, 3]
    images = np.load(recording.folder / "image-camera.npy")
    assert images[:, 0, 0, 0].tolist() == [0, 2, 4, 6]  # those that no step names are not kept


def test_demonstrations_of_robomimic_with_two_cameras_and_one_text_for_all(logs, home, camera_task):
    task = camera_task(
        channels__angle__source="obs/q",
        channels__velocity__source="obs/qd",
        channels__camera={"role": "image", "source": "obs/agentview_image", "shape": [4, 6, 3]},
        channels__wrist={"role": "image", "source": "obs/eye_in_hand"},
    )
    with h5py.File(logs / "a.hdf5", "w") as file:
        for number in range(2):
            demo = file.create_group(f"data/demo_{number}")
            demo["obs/q"], demo["obs/qd"] = np.arange(N) * 0.1, np.full(N, 10.0)
            demo["actions"], demo["rewards"] = np.zeros((N, 1)), np.zeros(N)
            demo["obs/agentview_image"] = pictures(N, 10 * number)
            demo["obs/eye_in_hand"] = pictures(N, 100)[:, :2]
        file["data"].attrs["language"] = "lift the cube"
    recording, tracks = stored(home, ingest.run(task, home, logs))
    images = np.load(recording.folder / "image-wrist.npy")
    assert images.shape == (16, 2, 6, 3)
    assert tracks[1]["wrist"].to_list() == [*range(8, 16)]
    assert recording.summary.reasons == []


@pytest.mark.parametrize("kind", ["variable", "fixed", "one"])
def test_texts_may_be_an_array_with_one_for_each_row(logs, home, camera_task, kind):
    said = ["reach", "grasp", "grasp", "lift", "lift", "lift", "lift", "put"]
    said = said if kind != "one" else ["reach"]
    with h5py.File(logs / "a.h5", "w") as file:
        episode(file)
        if kind == "variable":
            file.create_dataset("said", data=np.array(said, object), dtype=h5py.string_dtype())
        elif kind == "fixed":
            file["said"] = np.array(said, "S8")
        else:
            file["said"] = said[0]
    task = camera_task(channels__instruction={"role": "text", "source": "said"})
    _, (track,) = stored(home, ingest.run(task, home, logs))
    indices = [0, 1, 1, 2, 2, 2, 2, 3] if kind != "one" else [0] * 8
    assert track["instruction"].to_list() == indices


def test_pictures_and_texts_of_numpy_archives(logs, camera_task):
    rows = {"q": np.arange(N) * 0.1, "qd": np.full(N, 10.0), "u": np.zeros(N), "r": np.zeros(N)}
    np.savez(logs / "a.npz", **rows, image=pictures(), said=np.array(["lift the cube"]))
    sources = {"angle": "q", "velocity": "qd", "torque": "u", "reward": "r"}
    task = camera_task(
        **{f"channels__{name}__source": source for name, source in sources.items()},
        channels__camera={"role": "image", "source": "image"},
        channels__instruction={"role": "text", "source": "said"},
    )
    log = read_npz(logs / "a.npz", task)
    camera, instruction = log.media["camera"], log.media["instruction"]
    assert isinstance(camera, Images)
    assert isinstance(instruction, Texts)
    (block,) = camera.read(np.array([1, 3, 7]))
    assert block[:, 0, 0, 0].tolist() == [1, 3, 7]
    assert instruction.texts == ["lift the cube"]


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (pictures().astype(np.float32), "holds float32 of shape [8, 4, 6, 3]"),
        (pictures()[..., 0], "holds uint8 of shape [8, 4, 6]"),
        (pictures().transpose(0, 3, 1, 2), "holds uint8 of shape [8, 3, 4, 6]"),
        (pictures()[:, :2], "holds uint8 of shape [8, 2, 6, 3]"),
    ],
)
def test_what_is_no_picture_of_the_stated_shape_is_refused(logs, camera_task, image, problem):
    with h5py.File(logs / "a.h5", "w") as file:
        episode(file)
        del file["observations/image"]
        file["observations/image"] = image
    shape = {"role": "image", "source": "observations/image", "shape": [4, 6, 3]}
    (reason,) = refusals(read, logs / "a.h5", camera_task(channels__camera=shape))
    assert (reason["channel"], reason["found"]) == ("camera", problem)
    assert reason["expected"] == "uint8 of shape [rows, 4, 6, 3]"


def test_missing_pictures_and_texts_are_named_with_what_there_is(logs, camera_task):
    with h5py.File(logs / "a.h5", "w") as file:
        episode(file)
        file.move("observations/image", "observations/images")
        del file.attrs["language"]
    camera, instruction = refusals(read, logs / "a.h5", camera_task())
    assert "did you mean 'observations/images'?" in camera["fix"]
    assert instruction["found"] == "no text '@language'"


def test_a_format_without_pictures_goes_to_quarantine_and_says_so(
    home, camera_task, write, swing, logs
):
    task = camera_task(
        channels__angle__source="position",
        channels__velocity__source="velocity",
        channels__torque__source="torque",
        channels__reward__source="torque",
        ingest__rate=None,
    )
    write("a.csv", swing)
    (entry,) = ingest.run(task, home, logs).files
    assert entry["outcome"] == "quarantined"
    expected = [("media", "camera"), ("media", "instruction")]
    assert [(item["check"], item["channel"]) for item in entry["reasons"]] == expected


def test_8_tb_of_pictures_in_some_kilobytes_are_refused_unread(logs, camera_task):
    with h5py.File(logs / "a.h5", "w") as file:
        episode(file)
        del file["observations/image"]
        file.create_dataset(
            "observations/image", (8 * 10**6, 512, 651, 3), "u1", chunks=(1, 64, 64, 3)
        )
    assert (logs / "a.h5").stat().st_size < 20_000
    (reason,) = refusals(read, logs / "a.h5", camera_task())
    assert (reason["check"], reason["found"]) == ("size", "declares 8e+12 bytes")
    with h5py.File(logs / "a.h5", "a") as file:
        del file["observations/image"]
        file.create_dataset("observations/image", (8, 4096, 4096, 3), "u1", chunks=(1, 64, 64, 3))
    (reason,) = refusals(read, logs / "a.h5", camera_task())
    assert "of which 0 are stored" in reason["found"]


def test_a_long_text_repeated_for_every_row_does_not_fill_the_memory(logs, camera_task):
    with h5py.File(logs / "a.h5", "w") as file:
        episode(file)
        file.create_dataset("said", data=np.array(["x" * (2 << 20)] * N, object))
    task = camera_task(channels__instruction={"role": "text", "source": "said"})
    (reason,) = refusals(read, logs / "a.h5", task)
    assert "2097152 characters" in reason["found"]


def test_a_part_whose_pictures_are_damaged_does_not_spoil_the_others(logs, home, camera_task):
    noise = np.random.default_rng(0).integers(0, 256, (N, 4, 6, 3), np.uint8)
    with h5py.File(logs / "a.h5", "w") as file:
        for number in range(3):
            group = file.create_group(f"episode_{number}")
            episode(group, chunks=(4, 4, 6, 3), compression="gzip", fletcher32=True)
            group["observations/image"][...] = noise + np.uint8(number)
        offset = file["episode_1/observations/image"].id.get_chunk_info(1).byte_offset
    whole = bytearray((logs / "a.h5").read_bytes())
    whole[offset + 20] ^= 0xFF
    (logs / "a.h5").write_bytes(whole)
    report = ingest.run(camera_task(), home, logs)
    recording, tracks = stored(home, report)
    images = np.load(recording.folder / "image-camera.npy")
    assert [track["camera"].to_list() for track in tracks] == [[*range(8)], [*range(8, 16)]]
    np.testing.assert_array_equal(images[8:], noise + np.uint8(2))
    (reason,) = recording.summary.reasons
    assert (reason["check"], reason["where"]) == ("media", "episode_1, file")


def test_a_pictures_shape_that_differs_between_parts_is_named(logs, home, camera_task):
    with h5py.File(logs / "a.h5", "w") as file:
        for number in range(2):
            episode(file.create_group(f"episode_{number}"))
        del file["episode_1/observations/image"]
        file["episode_1/observations/image"] = pictures()[:, :3]
    recording, tracks = stored(home, ingest.run(camera_task(), home, logs))
    assert len(tracks) == 1
    (reason,) = recording.summary.reasons
    assert reason["found"] == "pictures of [3, 6, 3]"
    assert reason["where"] == "episode_1, image 'camera'"


def test_more_pictures_than_fit_into_memory_are_copied_block_by_block(logs, home, camera_task):
    rows = 3 * _media.BLOCK // (64 * 64 * 3)
    image = np.random.default_rng(0).integers(0, 256, (rows, 64, 64, 3), np.uint8)
    with h5py.File(logs / "a.h5", "w") as file:
        episode(file, rows=rows)
        del file["observations/image"]
        file["observations/image"] = image
    log = read(logs / "a.h5", camera_task())
    blocks = [len(block) for block in log.media["camera"].read(np.arange(0, rows, 2))]
    assert len(blocks) >= 3
    recording, _ = stored(home, ingest.run(camera_task(dt=0.02), home, logs))
    np.testing.assert_array_equal(np.load(recording.folder / "image-camera.npy"), image[::2])


def test_a_heap_of_texts_that_would_keep_the_library_for_ever_is_refused(logs, camera_task):
    with h5py.File(logs / "a.h5", "w") as file:
        episode(file)
    assert damaged_heap(logs / "a.h5") is None
    whole = bytearray((logs / "a.h5").read_bytes())
    heap = whole.index(b"GCOL")
    first = int.from_bytes(whole[heap + 24 : heap + 32], "little")  # bytes of the first text
    free = heap + 16 + 16 + (first + 7) // 8 * 8
    assert whole[free : free + 2] == b"\0\0"  # the free space after it
    whole[free + 8 : free + 16] = bytes(8)  # of no bytes: the next object is itself
    (logs / "a.h5").write_bytes(whole)
    assert damaged_heap(logs / "a.h5") == f"the heap of texts at byte {heap} is damaged"
    with pytest.raises(Unreadable, match="the heap of texts"):
        read(logs / "a.h5", camera_task())


def test_padded_jpeg_bytes_of_a_row_are_an_image(logs, camera_task):
    files = []
    for picture in pictures():
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "JPEG")
        files.append(np.frombuffer(file.getvalue(), np.uint8))
    longest = max(map(len, files)) + 5
    with h5py.File(logs / "a.h5", "w") as file:
        episode(file)
        del file["observations/image"]
        padded = [np.pad(content, (0, longest - len(content))) for content in files]
        file["observations/image"] = np.stack(padded)
    log = read(logs / "a.h5", camera_task())
    images = log.media["camera"]
    (last,) = next(images.read(np.array([N - 1])))
    assert images.shape == (4, 6, 3)
    np.testing.assert_allclose(last, N - 1, atol=2)
