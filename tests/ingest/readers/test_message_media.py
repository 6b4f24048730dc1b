"""Pictures and texts among messages: as ROS and Foxglove have them, aligned with the steps."""

import base64
import io

import numpy as np
import pytest
from PIL import Image

from kinemill.errors import BadLog
from kinemill.ingest import stage as ingest
from kinemill.ingest.readers._pictures import Plain, decode_picture
from kinemill.ingest.readers.mcap import read
from tests.conftest import load_task_in
from tests.ingest.conftest import refusals, stored
from tests.ingest.messages import START, TASK, run, write_mcap

CAMERA = '{role: image, source: "/camera", resample: {max_gap: 0.2}}'
INSTRUCTION = "{role: text, source: /task.data}"


def png(level: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), level, np.uint8)).save(content, "PNG")
    return content.getvalue()


def camera_messages() -> list:
    """The run of an arm, a camera at 10 Hz, an instruction said before and one after 1 s."""
    texts = [
        ("/task", START - 5_000_000, {"data": "lift"}),
        ("/task", START + 995_000_000, {"data": "lower"}),
    ]
    images = [
        (
            "/camera",
            START + k * 100_000_000,
            {"format": "png", "data": base64.b64encode(png(k)).decode()},
        )
        for k in range(21)
    ]
    return sorted([*run(), *texts, *images], key=lambda message: message[1])


@pytest.fixture
def camera_task(tmp_path):
    channels = f"  camera: {CAMERA}\n  instruction: {INSTRUCTION}\n"
    return load_task_in(tmp_path, TASK.replace("ingest:", f"{channels}ingest:"))


def test_pictures_and_texts_of_topics_go_with_the_steps(camera_task, logs, home):
    write_mcap(logs / "a.mcap", camera_messages())
    recording, (frame,) = stored(home, ingest.run(camera_task, home, logs))
    assert recording.summary.reasons == []
    images = np.load(recording.folder / "image-camera.npy", mmap_mode="r")
    assert images.shape == (20, 4, 6, 3)
    # A picture counts from its stamp until the next one, 0.1 s later; steps start at 0.003 s.
    start = frame["time_s"][0]
    expected = np.floor((frame["time_s"].to_numpy() - start + 0.003) / 0.1 + 1e-9)
    assert images[frame["camera"].to_numpy(), 0, 0, 0].tolist() == expected.tolist()
    assert (recording.folder / "text-instruction.json").read_text().split('"')[1::2] == [
        "lift",
        "lower",
    ]
    assert frame["instruction"].to_list() == [int(k >= 10) for k in expected]


def test_what_is_not_there_names_the_nearest_topic(camera_task, logs):
    write_mcap(logs / "a.mcap", [message for message in camera_messages() if message[0] != "/task"])
    (reason,) = refusals(read, logs / "a.mcap", camera_task)
    assert (reason["channel"], reason["found"]) == ("instruction", "no text at '/task.data'")


def test_a_topic_of_something_else_is_no_camera(camera_task, logs):
    messages = [
        (topic, stamp, {"data": base64.b64encode(b"noise").decode()} if topic == "/camera" else m)
        for topic, stamp, m in camera_messages()
    ]
    write_mcap(logs / "a.mcap", messages)
    (reason,) = refusals(read, logs / "a.mcap", camera_task)
    assert reason["found"] == "holds 5 bytes that are not a complete PNG or JPEG"


@pytest.mark.parametrize(
    ("encoding", "pixel", "color"),
    [
        ("rgb8", [1, 2, 3], [1, 2, 3]),
        ("bgr8", [1, 2, 3], [3, 2, 1]),
        ("rgba8", [1, 2, 3, 9], [1, 2, 3]),
        ("mono8", [7], [7, 7, 7]),
    ],
)
def test_plain_pixels_are_read_by_their_encoding_and_step(encoding, pixel, color):
    row = bytes(pixel * 3) + b"pad"
    picture = decode_picture(row * 2, Plain(2, 3, len(row), encoding))
    assert picture.shape == (2, 3, 3)
    assert picture.reshape(-1, 3).tolist() == [color] * 6


@pytest.mark.parametrize(
    "plain",
    [
        Plain(2, 3, 9, "16UC1"),
        Plain(2, 3, 8, "rgb8"),
        Plain(3, 3, 9, "rgb8"),
        Plain(0, 3, 9, "rgb8"),
        Plain(1 << 20, 1 << 20, 9, "rgb8"),
    ],
)
def test_pixels_that_do_not_fit_are_refused(plain):
    with pytest.raises(BadLog):
        decode_picture(bytes(18), plain)


def test_a_picture_that_declares_too_much_is_refused_before_it_is_decoded():
    content = png(0)
    width = content.index(b"IHDR") + 4
    bomb = content[:width] + (60_000).to_bytes(4, "big") * 2 + content[width + 8 :]
    with pytest.raises(BadLog):
        decode_picture(bomb)
