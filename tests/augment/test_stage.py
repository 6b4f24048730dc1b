"""The training set: originals kept, copies added, nothing but training looked at."""

import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kinemill.augment import augment
from kinemill.dataset import (
    PackedDataset,
    PackedEpisode,
    create_values,
    load_dataset,
    write_description,
)
from kinemill.errors import BadInput
from kinemill.spec import AUGMENTATIONS, Task, load_task
from kinemill.store import once

CHANNELS = {
    "angle": {"role": "state", "unit": "rad", "kind": "angle"},
    "speed": {"role": "state", "unit": "rad/s", "derivative_of": "angle", "limits": [-9, 9]},
    "torque": {"role": "action", "unit": "N*m"},
    "valve": {"role": "action", "unit": "V", "limits": [0, 5]},
}
NOISE = {"type": "gaussian_noise", "std": {"speed": 0.5}}
MIRROR = {"type": "mirror", "flip": ["angle", "speed", "torque"]}


def make_task(*augmentations) -> Task:
    return Task.model_validate(
        {
            "task": "arm",
            "dt": 0.01,
            "channels": CHANNELS,
            "augment": list(augmentations),
            "learn": {"type": "dynamics", "model": {"type": "mlp"}},
        }
    )


def publish(home, scale: float = 1.0):
    """Publish a dataset of two training episodes and one each of validation and test."""
    rows = [400, 30, 20, 10]
    splits = ["train", "train", "validation", "test"]
    values = np.random.default_rng(0).normal(size=(sum(rows), 4)).astype(np.float32)
    values[430:] *= scale
    stops = np.cumsum(rows).tolist()
    episodes = [
        PackedEpisode(f"episode-{n}", f"hash-{n}", f"log-{n}.csv", split, stop - size, stop)
        for n, (split, size, stop) in enumerate(zip(splits, rows, stops, strict=True))
    ]
    ones = np.ones(4)
    dataset = PackedDataset(
        "arm", 0.01, ["angle", "speed"], ["torque", "valve"],
        {name: channel["unit"] for name, channel in CHANNELS.items()}, ["angle"],
        episodes, values, ones, 2 * ones, 3 * ones[:2],
    )  # fmt: skip

    def build(folder):
        create_values(folder, *values.shape)[:] = values
        write_description(folder, dataset)
        return {}

    return once(home, "dataset", "arm", {"scale": scale}, build).ref, dataset


def contents(training: PackedDataset) -> dict[str, np.ndarray]:
    return {episode.id: np.array(training.rows(episode)) for episode in training.episodes}


def test_without_augmentations_the_training_set_is_the_training_episodes(home):
    ref, dataset = publish(home)
    outcome = augment(make_task(), home, ref)
    training = load_dataset(home, outcome.ref)
    assert outcome.summary == {"episodes": 2, "rows": 430, "added": {}}
    assert {episode.split for episode in training.episodes} == {"train"}
    np.testing.assert_array_equal(training.values, dataset.values[:430])
    np.testing.assert_array_equal(training.std, dataset.std)
    np.testing.assert_array_equal(training.delta_std, dataset.delta_std)


def test_each_augmentation_adds_copies_of_all_so_far_and_keeps_the_originals(home):
    ref, dataset = publish(home)
    outcome = augment(make_task({**NOISE, "copies": 2}, MIRROR), home, ref)
    assert outcome.summary["added"] == {"gaussian_noise": 4, "mirror": 6}
    assert (outcome.summary["episodes"], outcome.summary["rows"]) == (12, 6 * 430)
    found = contents(load_dataset(home, outcome.ref))
    assert sorted(name for name in found if name.startswith("episode-0")) == [
        "episode-0",
        "episode-0+gaussian_noise0",
        "episode-0+gaussian_noise0+mirror",
        "episode-0+gaussian_noise1",
        "episode-0+gaussian_noise1+mirror",
        "episode-0+mirror",
    ]
    np.testing.assert_array_equal(found["episode-0"], dataset.values[:400])
    np.testing.assert_array_equal(
        found["episode-0+gaussian_noise1+mirror"],
        found["episode-0+gaussian_noise1"] * np.array([-1, -1, -1, 1], np.float32),
    )


def test_the_same_dataset_gives_the_same_bytes_in_another_home(tmp_path, home):
    task = make_task(NOISE, MIRROR)
    outcomes = []
    for root in (home, replace(home, root=tmp_path / "other")):
        ref, _ = publish(root)
        outcomes.append(augment(task, root, ref))
    assert outcomes[0].ref == outcomes[1].ref
    assert augment(task, home, ref).known


def test_other_augmentations_of_the_same_dataset_make_another_training_set(home):
    ref, _ = publish(home)
    added = [augment(make_task(*items), home, ref).summary["added"] for items in ([], [MIRROR])]
    assert added == [{}, {"mirror": 2}]
    louder = {**NOISE, "std": {"speed": 0.6}}
    assert augment(make_task(NOISE), home, ref).ref != augment(make_task(louder), home, ref).ref


def test_no_two_episodes_get_the_same_noise(home):
    ref, dataset = publish(home)
    found = contents(load_dataset(home, augment(make_task(NOISE), home, ref).ref))
    one = found["episode-0+gaussian_noise0"][:30, 1] - dataset.values[:30, 1]
    other = found["episode-1+gaussian_noise0"][:, 1] - dataset.values[400:430, 1]
    assert np.abs(one - other).max() > 0.1


def test_validation_and_test_data_change_nothing(home):
    task = make_task(NOISE, MIRROR)
    plain = load_dataset(home, augment(task, home, publish(home)[0]).ref)
    wild = load_dataset(home, augment(task, home, publish(home, scale=100.0)[0]).ref)
    np.testing.assert_array_equal(plain.values, wild.values)
    assert not any("episode-2" in item.id or "episode-3" in item.id for item in plain.episodes)


def test_two_augmentations_of_one_type_keep_their_copies_apart(home):
    ref, _ = publish(home)
    outcome = augment(make_task(NOISE, NOISE), home, ref)
    found = contents(load_dataset(home, outcome.ref))
    assert outcome.summary["added"] == {"gaussian_noise": 2 + 4}
    assert len(found) == 8
    first, second = found["episode-0+gaussian_noise-00"], found["episode-0+gaussian_noise-10"]
    assert np.abs(first - second)[:, 1].max() > 0.1


def test_noise_that_leaves_float32_is_refused_with_the_episode(home):
    ref, _ = publish(home)
    task = make_task({"type": "gaussian_noise", "std": {"torque": 1e39}})
    with (
        pytest.warns(RuntimeWarning, match="overflow"),
        pytest.raises(BadInput, match=r"augment\.0 .*episode-0"),
    ):
        augment(task, home, ref)


def test_a_flip_that_no_mirror_shows_names_file_and_line(tmp_path):
    file = tmp_path / "arm.yaml"
    file.write_text(
        "task: arm\ndt: 0.01\nchannels:\n"
        "  angle: {role: state, unit: rad, kind: angle}\n"
        "  speed: {role: state, unit: rad/s, derivative_of: angle}\n"
        "learn: {type: dynamics, model: {type: mlp}}\n"
        "augment:\n  - {type: mirror, flip: [speed]}\n"
    )
    with pytest.raises(BadInput, match=r"arm\.yaml:8: augment\.0\.flip\.0: .*'angle'; flip that"):
        load_task(str(file))


def example(name):
    """Return the settings to try a plug-in with: `EXAMPLE` of its own test file, on CHANNELS."""
    file = Path(__file__).with_name(f"test_{name}.py")
    return runpy.run_path(str(file))["EXAMPLE"]


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
class TestEveryAugmentation:
    """What every member of the family promises."""

    def vary(self, name, seed=0):
        values = np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)
        values.flags.writeable = False
        plugin = AUGMENTATIONS[name].model_validate(example(name))
        return values, list(plugin.vary(values, list(CHANNELS), np.random.default_rng(seed)))

    def test_copies_have_the_shape_type_and_own_labels(self, name):
        values, copies = self.vary(name)
        assert copies
        assert len({label for label, _ in copies}) == len(copies)
        for _, copy in copies:
            assert (copy.shape, copy.dtype) == (values.shape, np.float32)
            assert np.isfinite(copy).all()
            assert not np.array_equal(copy, values)

    def test_the_same_randomness_gives_the_same_copies(self, name):
        (_, once_), (_, again) = self.vary(name), self.vary(name)
        for (_, first), (_, second) in zip(once_, again, strict=True):
            np.testing.assert_array_equal(first, second)

    def test_its_type_is_its_file(self, name):
        assert AUGMENTATIONS[name].model_validate(example(name)).type == name

    def test_it_complains_about_channels_the_task_lacks(self, name):
        plugin = AUGMENTATIONS[name].model_validate(example(name))
        assert plugin.problems({"other": make_task().channels["angle"]})
        assert not plugin.problems(make_task().channels)
