"""Images and texts from the dataset to the batch: referenced, lazy, bytes, and the same for all."""

import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from kinemill.augment import stage as augment
from kinemill.control.sim import Dummy, dummy_overrides, write_dummy_logs
from kinemill.dataset import load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.dataset.exporters import export_data
from kinemill.dataset.media import load_media
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.ingest import load_recordings
from kinemill.ingest import stage as ingest
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.validate import stage as validate

DUMMY = Dummy(episodes=5, samples=60, image=(16, 20), instructions=["go", "stop"])
TASK = """
task: arm
dt: 0.02
channels:
  angle: {role: state, unit: rad, kind: angle}
  speed: {role: state, unit: rad/s, derivative_of: angle}
  torque: {role: action, unit: N*m}
  reward: {role: reward, unit: "1"}
  camera: {role: image}
  wrist: {role: image}
  said: {role: text}
learn: {type: dynamics, model: {type: mlp}, history: 2, horizon: 2}
augment:
"""
CROP = "  - {type: image_crop, channels: [camera], pixels: 3}\n"
COLOR = "  - {type: image_color, each: frame, channels: [camera]}\n"
WORDS = "  - {type: language_templates, templates: ['please {text}', '{text} now', 'do {text}']}\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A home with a dataset of five made-up recordings with two cameras."""
    folder = tmp_path_factory.mktemp("made")
    home = Home(folder / "home")
    task = task_of(folder, "  []\n")
    write_dummy_logs(task, folder / "logs", DUMMY)
    recordings = ingest.run(task, home, folder / "logs").artifact.ref
    episodes = validate.run(task, home, recordings).ref
    return home, recordings, episodes, dataset_stage.run(task, home, episodes).ref


def task_of(folder, *augmentations):
    path = folder / "arm.yaml"
    path.write_text(TASK + "".join(augmentations))
    small = {"verify.horizon": 5, "learn.history": 2}
    return load_task(path, small | dummy_overrides(load_task(path), DUMMY))


def frames_of(home, recordings, hash_, channel):
    (recording,) = (item for item in load_recordings(home, recordings) if item.hash == hash_)
    return np.load(recording.folder / f"image-{channel}.npy")


def test_a_dataset_names_the_recordings_frames_and_holds_none(made):
    home, recordings, _, ref = made
    media, dataset = load_media(home, ref), load_dataset(home, ref)
    stored = sum(path.stat().st_size for path in (home.root / ref.path).iterdir())
    of_one = DUMMY.samples * 16 * 20 * 3
    assert stored < of_one  # and there are ten such arrays
    for episode in dataset.episodes:
        for channel in ("camera", "wrist"):
            frames = media.frames(episode.id, channel)
            assert (frames.shape, frames.dtype) == ((60, 16, 20, 3), np.uint8)
            expected = frames_of(home, recordings, episode.recording, channel)
            np.testing.assert_array_equal(frames[:], expected)
            np.testing.assert_array_equal(frames[7], expected[7])
            np.testing.assert_array_equal(frames[np.array([5, 2, 2])], expected[[5, 2, 2]])
        assert media.numbers(episode.id).shape == (60, 1)
        assert media.texts(episode.id, "said") == [media.texts(episode.id, "said")[0]] * 60


def test_an_episode_cut_by_validation_keeps_the_pictures_of_its_rows(made, tmp_path):
    home, recordings, episodes, _ = made
    task = task_of(tmp_path, "  []\n")
    settings = dummy_overrides(task, DUMMY) | {"dataset.validation": {"tail": 0.5}}
    tail = load_task(tmp_path / "arm.yaml", settings)
    ref = dataset_stage.run(tail, home, episodes).ref
    media, dataset = load_media(home, ref), load_dataset(home, ref)
    ends = dataset.of("validation")
    assert {episode.rows for episode in ends} == {30}
    for episode in ends:
        expected = frames_of(home, recordings, episode.recording, "camera")[30:]
        np.testing.assert_array_equal(media.frames(episode.id, "camera")[:], expected)


def test_nothing_is_read_before_it_is_asked_for(made):
    home, _, _, ref = made
    media = load_media(home, ref)
    assert media._checked == {}
    frames = media.frames(next(iter(media.episodes)), "camera")
    assert isinstance(frames._stored, np.memmap)
    assert len(media._checked) == 1
    assert len(pickle.dumps(media)) < 20_000  # what goes to a worker: no frame


def test_a_batch_holds_the_pictures_of_rows_of_the_dataset(made):
    home, _, _, ref = made
    media, dataset = load_media(home, ref), load_dataset(home, ref)
    rows = np.array([[0, 1, 2], [130, 131, 132], [299, 298, 0]])
    batch = media.batch("camera", rows)
    assert (batch.shape, batch.dtype) == ((3, 3, 16, 20, 3), np.uint8)
    for result, row in zip(batch.reshape(9, 16, 20, 3), rows.ravel().tolist(), strict=True):
        (episode,) = (item for item in dataset.episodes if item.start <= row < item.stop)
        np.testing.assert_array_equal(
            result, media.frames(episode.id, "camera")[row - episode.start]
        )


def test_a_changed_byte_of_a_frame_is_found_when_it_is_opened(made, tmp_path):
    home, recordings, _, ref = made
    copy = Home(tmp_path / "home")
    shutil.copytree(home.root, copy.root)
    recording = load_recordings(copy, recordings)[0]
    with (recording.folder / "image-camera.npy").open("r+b") as file:
        file.seek(1000)
        file.write(b"\x07\x08\x09")
    with pytest.raises(CorruptArtifact, match=r"image-camera\.npy"):
        load_media(copy, ref).check()
    load_media(home, ref).check()
    shutil.rmtree(recording.folder)  # as `kinemill data forget` does
    media = load_media(copy, ref)
    name = next(
        episode.id for episode in media.episodes.values() if episode.recording == recording.hash
    )
    with pytest.raises(CorruptArtifact, match="is missing or incomplete"):
        media.frames(name, "camera")


def test_unknown_channels_and_episodes_are_answered_with_the_nearest(made):
    home, _, _, ref = made
    media = load_media(home, ref)
    with pytest.raises(BadInput, match="did you mean 'camera'"):
        media.frames(next(iter(media.episodes)), "camra")
    with pytest.raises(BadInput, match="known: said"):
        media.texts(next(iter(media.episodes)), "camera")
    with pytest.raises(BadInput, match="not in this dataset"):
        media.numbers("nobody")


def test_copies_have_the_numbers_of_their_original_and_other_pictures(made, tmp_path):
    home, _, _, ref = made
    published = augment.run(task_of(tmp_path, CROP, WORDS), home, ref)
    assert published.summary["added"] == {"image_crop": 3, "language_templates": 6}
    media, training = load_media(home, published.ref), load_dataset(home, published.ref)
    assert set(media.media.recordings) == {item.recording for item in training.episodes}
    for episode in training.episodes:
        original = training.rows(media.episodes[episode.id.partition("+")[0]])
        np.testing.assert_array_equal(training.rows(episode), original)
        for channel, is_changed in (("camera", "+image_crop" in episode.id), ("wrist", False)):
            earlier = media.frames(episode.id.partition("+")[0], channel)[:]
            equal = np.array_equal(media.frames(episode.id, channel)[:], earlier)
            assert equal != is_changed
        said = media.texts(episode.id, "said")[0]
        assert (said not in {"go", "stop"}) == ("+language_templates" in episode.id)


def test_each_epoch_shows_other_pictures_and_other_words_and_the_same_once_more(made, tmp_path):
    home, _, _, ref = made
    media = load_media(home, augment.run(task_of(tmp_path, CROP, COLOR, WORDS), home, ref).ref)
    name = next(
        episode for episode in media.episodes if episode.endswith("+image_crop+image_color")
    )
    frames_ = [media.frames(name, "camera", epoch)[:] for epoch in (0, 1, 2, 1)]
    assert frames_[1].tobytes() == frames_[3].tobytes()
    assert len({frame.tobytes() for frame in frames_}) == 3
    spoken = next(episode for episode in media.episodes if episode.endswith("+language_templates"))
    assert len({media.texts(spoken, "said", epoch)[0] for epoch in range(20)}) == 3
    # One crop for an episode, colors for each frame: two equal frames differ in color alone.
    alone = media.frames(name, "camera", 1)[np.array([4])]
    assert alone[0].tobytes() == frames_[1][4].tobytes()


def test_pictures_of_a_slower_copy_are_held(made, tmp_path):
    home, _, _, ref = made
    slow = "  - {type: time_scale, factor: [0.5, 0.5], powers: {torque: 0.0}}\n"
    media = load_media(home, augment.run(task_of(tmp_path, slow), home, ref).ref)
    name = next(episode for episode in media.episodes if episode.endswith("+time_scale"))
    earlier = media.frames(name.partition("+")[0], "camera")[:]
    result = media.frames(name, "camera")
    assert len(result) == 119
    np.testing.assert_array_equal(result[:], np.repeat(earlier, 2, axis=0)[:119])


def test_a_mirrored_robot_is_seen_in_a_mirror(made, tmp_path):
    home, _, _, ref = made
    names = "angle, speed, torque, camera, wrist"
    task = task_of(tmp_path, f"  - {{type: mirror, flip: [{names}]}}\n")
    media = load_media(home, augment.run(task, home, ref).ref)
    name = next(episode for episode in media.episodes if episode.endswith("+mirror"))
    original = media.frames(name.partition("+")[0], "wrist")[:]
    np.testing.assert_array_equal(media.frames(name, "wrist")[:], original[:, :, ::-1])
    with pytest.raises(BadInput, match="the pictures of 'wrist' would show the original"):
        task_of(tmp_path, "  - {type: mirror, flip: [angle, speed, torque, camera]}\n")


def test_what_pictures_would_deny_is_a_problem(tmp_path):
    with pytest.raises(BadInput, match="camera: is of role image, not a number"):
        task_of(tmp_path, "  - {type: gaussian_noise, std: {camera: 1}}\n")


def frames_of_(job):
    media, rows, epoch = job
    return media.batch("camera", rows, epoch).tobytes()


@pytest.mark.slow
def test_any_number_of_processes_makes_the_same_bytes(made, tmp_path):
    home, _, _, ref = made
    training = augment.run(task_of(tmp_path, CROP, COLOR), home, ref).ref
    media = load_media(home, training)
    stop = max(episode.stop for episode in media.episodes.values())
    rows = np.random.default_rng(0).permutation(stop)[:96]
    alone = media.batch("camera", rows, 2).tobytes()
    for workers in (1, 3):
        jobs = [(media, part, 2) for part in np.array_split(rows, 4 * workers)]
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            assert b"".join(pool.map(frames_of_, jobs)) == alone


def test_an_export_to_hdf5_reads_back_the_same_pictures_words_and_rewards(made, tmp_path):
    home, _, episodes, _ = made
    task = task_of(tmp_path, "  []\n")
    ref = dataset_stage.run(task, home, episodes).ref
    report = export_data(task, home, "hdf5", tmp_path / "out", ref.digest)
    assert report.left_out == []
    repeated, elsewhere = (
        load_task(tmp_path / "out" / "arm.yaml", {"verify.horizon": 5}),
        Home(tmp_path / "o"),
    )
    accepted = validate.run(
        repeated, elsewhere, ingest.run(repeated, elsewhere, tmp_path / "out").artifact.ref
    )
    assert accepted.summary["accepted"] == 5
    earlier = load_media(home, ref)
    after = load_media(elsewhere, dataset_stage.run(repeated, elsewhere, accepted.ref).ref)

    def contents(media):
        return {
            (
                media.frames(name, "camera")[:].tobytes(),
                media.frames(name, "wrist")[:].tobytes(),
                media.numbers(name).tobytes(),
                *media.texts(name, "said"),
            )
            for name in media.episodes
        }

    assert contents(after) == contents(earlier)
    report = export_data(task, home, "csv", tmp_path / "csv")
    assert report.left_out == ["reward", "camera", "wrist", "said"]
