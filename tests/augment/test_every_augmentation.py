"""Contract of every augmentation, including plug-ins."""

import copy
import runpy
from pathlib import Path

import numpy as np
import pytest

from kinemill.augment import Signals
from kinemill.augment._media import ImageAugmentation, MediaAugmentation, TextAugmentation
from kinemill.task import AUGMENTATIONS, Channel
from kinemill.validate.apply_checks import apply_checks_to_track
from tests.augment.conftest import CHANNELS, DT, make_task, swing


def example(name: str) -> dict:
    """Return the settings to try a plug-in with: `EXAMPLE` of its own test file, on CHANNELS."""
    file = Path(__file__).with_name(f"test_{name}.py")
    return runpy.run_path(str(file))["EXAMPLE"]


def vary(name, values, signals, seed=0, settings=None):
    values = values.copy()
    values.flags.writeable = False  # whoever writes to the original fails here
    plugin = AUGMENTATIONS[name].model_validate(settings or example(name))
    return plugin.vary(values, signals, np.random.default_rng(seed))


def faults(values: np.ndarray) -> list[str]:
    columns = {name: values[:, k].astype(float) for k, name in enumerate(CHANNELS)}
    return [
        f"{result.check}: {result.fault.actual}"
        for result in apply_checks_to_track(columns, make_task()).findings
    ]


OF_NUMBERS = [
    name for name, kind in AUGMENTATIONS.items() if not issubclass(kind, MediaAugmentation)
]
OF_IMAGES = [name for name, kind in AUGMENTATIONS.items() if issubclass(kind, ImageAugmentation)]
OF_TEXTS = [name for name, kind in AUGMENTATIONS.items() if issubclass(kind, TextAugmentation)]
INPUTS = {"camera": {"role": "image"}, "task": {"role": "text"}}


def plugin_of(name):
    return AUGMENTATIONS[name].model_validate(example(name))


def inputs(frames: int = 6, height: int = 40, width: int = 56) -> np.ndarray:
    """Pictures with an edge, a slope of colors, and noise; they may not be written to."""
    random = np.random.default_rng(frames)
    slope = np.linspace(40, 200, width)[None, None, :, None] * np.array([1.0, 0.7, 0.4])
    result = np.broadcast_to(slope, (frames, height, width, 3)) + random.integers(
        0, 20, (frames, height, width, 3)
    )
    result = result.astype(np.uint8)
    result[:, 10:20, 20:30] = 255
    result.flags.writeable = False
    return result


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_its_type_is_its_file(name):
    assert plugin_of(name).type == name


@pytest.mark.parametrize("name", OF_IMAGES)
class TestEveryAugmentationOfImages:
    def test_pictures_stay_bytes_of_their_size_and_change(self, name):
        frames = inputs()
        result = plugin_of(name).paint(frames, np.random.default_rng(0))
        assert (result.shape, result.dtype) == (frames.shape, np.uint8)
        assert (result != frames).mean() > 0.01
        # It is the same scene still: no picture is black, white or noise alone.
        assert np.corrcoef(result.ravel(), frames.ravel())[0, 1] > 0.5

    def test_any_part_of_an_episode_gets_the_pictures_of_the_whole(self, name):
        plugin, frames = plugin_of(name), inputs(9)
        whole = plugin.paint(frames, np.random.default_rng(5))
        for part in (slice(0, 1), slice(3, 5), slice(8, 9), slice(0, 0)):
            alone = plugin.paint(frames[part], np.random.default_rng(5))
            assert alone.tobytes() == whole[part].tobytes()

    def test_other_randomness_gives_other_pictures(self, name):
        plugin, frames = plugin_of(name), inputs(1)
        result = {plugin.paint(frames, np.random.default_rng(k)).tobytes() for k in range(8)}
        assert len(result) >= 7

    def test_small_and_narrow_pictures_do_not_break_it(self, name):
        for shape in ((1, 1), (2, 7), (7, 2)):
            result = plugin_of(name).paint(
                np.full((2, *shape, 3), 9, np.uint8), np.random.default_rng(0)
            )
            assert result.shape == (2, *shape, 3)

    def test_a_task_without_images_is_a_problem(self, name):
        with_images = {key: Channel.model_validate(its) for key, its in INPUTS.items()}
        assert plugin_of(name).problems(make_task().channels)
        assert not plugin_of(name).problems(with_images)
        misnamed = AUGMENTATIONS[name].model_validate(example(name) | {"channels": ["camra"]})
        assert "did you mean 'camera'?" in misnamed.problems(with_images)[0][1]


@pytest.mark.parametrize("name", OF_TEXTS)
class TestEveryAugmentationOfTexts:
    def test_the_same_randomness_gives_the_same_words_and_other_others(self, name):
        plugin = plugin_of(name)
        said = [plugin.rephrase("lift the cube", np.random.default_rng(k)) for k in range(20)]
        assert said == [
            plugin.rephrase("lift the cube", np.random.default_rng(k)) for k in range(20)
        ]
        assert len(set(said)) > 1

    def test_a_task_without_texts_is_a_problem(self, name):
        assert plugin_of(name).problems(make_task().channels)
        assert not plugin_of(name).problems({"task": Channel.model_validate(INPUTS["task"])})


@pytest.mark.parametrize("name", OF_NUMBERS)
class TestEveryAugmentation:
    def test_copies_are_finite_float32_in_the_same_columns_and_another_course(self, name, signals):
        values = swing(300)
        result = vary(name, values, signals)
        assert (result.shape[1], result.dtype) == (values.shape[1], np.float32)
        assert len(result) > 200
        assert np.isfinite(result).all()
        assert not np.array_equal(result[:200], values[:200])

    def test_copies_pass_the_physical_checks_that_the_original_passes(self, name, signals):
        for seed in range(4):
            values = swing(500, seed)
            assert faults(values) == []
            assert faults(vary(name, values, signals, seed)) == []

    def test_the_same_randomness_gives_the_same_copies(self, name, signals):
        values = swing(120)
        first, second = (vary(name, values, signals) for _ in range(2))
        assert first.tobytes() == second.tobytes()

    def test_sizes_are_in_the_unit_of_the_channel(self, name, signals):
        # N·m or mN·m: the same physics, so the same copy, a thousand times as many of them.
        settings, channels = copy.deepcopy(example(name)), copy.deepcopy(CHANNELS)
        channels["torque"] |= {"unit": "mN*m", "limits": [-6000, 6000]}
        for value in settings.values():
            if isinstance(value, dict) and "torque" in value and name != "time_scale":
                value["torque"] *= 1000.0
        kinds = {key: Channel.model_validate(its) for key, its in channels.items()}
        thousand = np.array([1, 1, 1, 1, 1000, 1], np.float32)
        plain = vary(name, swing(120), signals)
        small = vary(name, swing(120) * thousand, Signals(list(CHANNELS), kinds, DT), 0, settings)
        np.testing.assert_allclose(small, plain * thousand, rtol=1e-5, atol=1e-5)

    def test_the_shortest_episodes_do_not_break_it(self, name, signals):
        for rows in (1, 2, 3):
            assert len(vary(name, swing(rows), signals)) <= 2 * rows

    def test_it_complains_about_channels_the_task_lacks(self, name, signals):
        plugin = AUGMENTATIONS[name].model_validate(example(name))
        misnamed = Channel.model_validate({"role": "state", "unit": "m"})
        assert plugin.problems({"other": misnamed})
        assert not plugin.problems(make_task().channels)
