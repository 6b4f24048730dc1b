"""The training set: originals kept, copies added, nothing but training looked at."""

from dataclasses import replace

import numpy as np
import pytest

from kinemill.augment import stage as augment
from kinemill.dataset import PackedDataset, PackedEpisode, load_dataset
from kinemill.errors import BadInput
from kinemill.store import get_or_build
from kinemill.store.home import Home
from kinemill.task import load_task
from tests.augment.conftest import CHANNELS, DT, make_task, swing
from tests.dataset.packing import write_packed

NOISE = {"type": "gaussian_noise", "std": {"speed": 0.05}}
MIRROR = {"type": "mirror", "flip": ["angle", "speed", "torque"]}


def publish(home, scale: float = 1.0):
    """Publish a dataset of two training episodes and one each of validation and test."""
    rows = [400, 200, 20, 10]
    splits = ["train", "train", "validation", "test"]
    values = np.concatenate([swing(size, seed) for seed, size in enumerate(rows)])
    values[600:] *= scale
    stops = np.cumsum(rows).tolist()
    episodes = [
        PackedEpisode(f"episode-{n}", f"hash-{n}", f"log-{n}.csv", split, stop - size, stop)
        for n, (split, size, stop) in enumerate(zip(splits, rows, stops, strict=True))
    ]
    ones = np.ones(6)
    dataset = PackedDataset(
        "arm", DT, list(CHANNELS)[:4], ["torque", "valve"],
        {name: channel["unit"] for name, channel in CHANNELS.items()}, ["angle"],
        episodes, [values[:600], values[600:]], ones, 2 * ones, 3 * ones[:4],
    )  # fmt: skip

    def build(folder):
        write_packed(folder, dataset)
        return {}

    return get_or_build(home, "dataset", "arm", {"scale": scale}, build).ref, dataset


def contents(training: PackedDataset) -> dict[str, np.ndarray]:
    return {episode.id: np.array(training.rows(episode)) for episode in training.episodes}


def test_without_augmentations_the_training_set_is_the_training_episodes(home):
    ref, dataset = publish(home)
    artifact = augment.run(make_task(), home, ref)
    training = load_dataset(home, artifact.ref)
    assert artifact.summary == {
        "episodes": 2, "rows": 600, "added": {}, "augmentations": []
    }  # fmt: skip
    assert {episode.split for episode in training.episodes} == {"train"}
    np.testing.assert_array_equal(training.values, dataset.values[:600])
    np.testing.assert_array_equal(training.std, dataset.std)
    np.testing.assert_array_equal(training.delta_std, dataset.delta_std)


def test_each_augmentation_adds_copies_of_all_so_far_and_keeps_the_originals(home):
    ref, dataset = publish(home)
    artifact = augment.run(make_task({**NOISE, "copies": 2}, MIRROR), home, ref)
    assert artifact.summary["added"] == {"gaussian_noise": 4, "mirror": 6}
    assert (artifact.summary["episodes"], artifact.summary["rows"]) == (12, 6 * 600)
    result = contents(load_dataset(home, artifact.ref))
    assert sorted(name for name in result if name.startswith("episode-0")) == [
        "episode-0",
        "episode-0+gaussian_noise.0",
        "episode-0+gaussian_noise.0+mirror",
        "episode-0+gaussian_noise.1",
        "episode-0+gaussian_noise.1+mirror",
        "episode-0+mirror",
    ]
    np.testing.assert_array_equal(result["episode-0"], dataset.values[:400])
    np.testing.assert_array_equal(
        result["episode-0+gaussian_noise.1+mirror"],
        result["episode-0+gaussian_noise.1"] * np.array([-1, -1, 1, 1, -1, 1], np.float32),
    )


def test_other_augmentations_of_the_same_dataset_make_another_training_set(home):
    ref, _ = publish(home)
    added = [augment.run(make_task(*items), home, ref).summary["added"] for items in ([], [MIRROR])]
    assert added == [{}, {"mirror": 2}]
    louder = augment.run(make_task({**NOISE, "std": {"speed": 0.25}}), home, ref)
    assert augment.run(make_task(NOISE), home, ref).ref != louder.ref


def test_validation_and_test_data_change_nothing(home):
    task = make_task(NOISE, MIRROR)
    plain = load_dataset(home, augment.run(task, home, publish(home)[0]).ref)
    wild = load_dataset(home, augment.run(task, home, publish(home, scale=100.0)[0]).ref)
    np.testing.assert_array_equal(plain.values, wild.values)
    assert not any("episode-2" in item.id or "episode-3" in item.id for item in plain.episodes)


def test_two_augmentations_of_one_type_keep_their_copies_apart(home):
    ref, _ = publish(home)
    artifact = augment.run(make_task(NOISE, NOISE), home, ref)
    result = contents(load_dataset(home, artifact.ref))
    assert artifact.summary["added"] == {"gaussian_noise": 2 + 4}
    assert len(result) == 8
    first, second = result["episode-0+gaussian_noise-0"], result["episode-0+gaussian_noise-1"]
    assert np.abs(first - second)[:, 1].max() > 0.05


def test_noise_that_leaves_float32_is_refused_with_the_episode(home):
    ref, _ = publish(home)
    task = make_task({"type": "gaussian_noise", "std": {"pace": 1.0}})
    beyond = task.augment[0].model_copy(update={"std": {"pace": 1e39}})  # more than its bound
    task = task.model_copy(update={"augment": [beyond]})
    with (
        pytest.warns(RuntimeWarning, match="overflow"),
        pytest.raises(BadInput, match=r"augment\.0 .*episode-0"),
    ):
        augment.run(task, home, ref)


def test_a_flip_that_no_mirror_shows_names_file_and_line(tmp_path):
    file = tmp_path / "arm.yaml"
    file.write_text(
        "task: arm\ndt: 0.01\nchannels:\n"
        "  angle: {role: state, unit: rad, kind: angle}\n"
        "  speed: {role: state, unit: rad/s, derivative_of: angle}\n"
        "learn: {type: dynamics, model: {type: mlp}}\n"
        "augment:\n  - {type: mirror, flip: [speed]}\n"
    )
    with pytest.raises(BadInput, match=r"arm\.yaml:8: augment\.0\.flip\.0: .*'angle'; flip both"):
        load_task(str(file))


def test_any_number_of_workers_makes_the_same_bytes(tmp_path, home):
    task = make_task({**NOISE, "copies": 3}, {"type": "time_scale", "copies": 2}, MIRROR)
    refs = []
    for workers in (1, 2, 5):
        root = replace(home, root=tmp_path / str(workers))
        refs.append(augment.run(task, root, publish(root)[0], workers=workers).ref)
    assert refs[0] == refs[1] == refs[2]


def test_the_seed_and_the_episode_decide_and_nothing_else(home):
    ref, _ = publish(home)
    plain, second_copy = (
        contents(load_dataset(home, augment.run(make_task({**NOISE, "seed": seed}), home, ref).ref))
        for seed in (0, 1)
    )
    first, second = plain["episode-0+gaussian_noise"], plain["episode-1+gaussian_noise"]
    assert np.abs(first - second_copy["episode-0+gaussian_noise"])[:, 1].max() > 0.05
    noise = [(item - swing(400, 0)[: len(item)])[:, 1][:200] for item in (first, second)]
    assert np.abs(noise[0] - noise[1]).max() > 0.05


def test_a_copy_that_breaks_a_physical_check_is_left_out_and_counted(home):
    # Noise of 1 rad/s jumps by more than 1 rad/s in every second pair of rows.
    ref, _ = publish(home)
    task = make_task({"type": "gaussian_noise", "std": {"speed": 1.0}})
    message = r"augment\.0 \(gaussian_noise\): all of its 2 copies .*jump"
    with pytest.raises(BadInput, match=message):
        augment.run(task, home, ref)
    wide = {"type": "time_scale", "factor": [0.9, 19.0], "copies": 9}
    (line,) = augment.run(make_task(wide), home, ref).summary["augmentations"]
    assert line["added"] + line["left_out"] == 18
    assert 0 < line["added"] < 9  # few of these speeds stay below 9 rad/s
    assert line["touched"] <= 2
    assert "limits: " in line["why"]


def test_a_share_of_the_episodes_is_touched_and_always_the_same_one(home):
    ref, _ = publish(home)
    touched = {}
    for seed in range(8):  # an even share of two: each is touched or not by a coin of its own
        task = make_task({**NOISE, "share": 0.5, "seed": seed})
        summary = augment.run(task, home, ref).summary
        (line,) = summary["augmentations"]
        assert line["share"] == line["added"] / 2
        touched[seed] = line["added"]
    assert len(set(touched.values())) > 1


def test_copies_of_unchanged_segments_are_shared_with_the_previous_training_set(home, tmp_path):
    task = make_task({**NOISE, "copies": 2}, MIRROR)
    refs = [publish(home, scale)[0] for scale in (1.0, 2.0)]  # only validation and test differ
    first, second = (home.root / augment.run(task, home, ref).ref.path for ref in refs)
    (copied,) = first.glob("copies-*.json")
    for name in (copied.name, copied.with_suffix(".npy").name.replace("copies", "values")):
        assert (first / name).samefile(second / name)
    second_copy = Home(tmp_path / "other")
    alone = augment.run(task, second_copy, publish(second_copy, 2.0)[0])
    expected = {
        path.name: path.read_bytes() for path in (second_copy.root / alone.ref.path).iterdir()
    }
    assert {path.name: path.read_bytes() for path in second.iterdir()} == expected


def test_damaged_copies_of_the_previous_training_set_are_made_anew(home):
    task = make_task(NOISE)
    refs = [publish(home, scale)[0] for scale in (1.0, 2.0)]
    first = home.root / augment.run(task, home, refs[0]).ref.path
    key = next(first.glob("copies-*.json")).stem.removeprefix("copies-")
    path = first / f"values-{key}.npy"
    sound = path.read_bytes()
    path.write_bytes(sound[:-1] + bytes([sound[-1] ^ 1]))
    second = home.root / augment.run(task, home, refs[1]).ref.path
    assert (second / path.name).read_bytes() == sound
