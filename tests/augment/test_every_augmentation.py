"""What every member of the family promises, the newest included."""

import copy
import runpy
from pathlib import Path

import numpy as np
import pytest

from kinemill.augment import Signals
from kinemill.spec import AUGMENTATIONS, Channel
from kinemill.validate.judge import judge
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
    return [f"{found.check}: {found.fault.found}" for found in judge(columns, make_task()).findings]


@pytest.mark.parametrize("name", list(AUGMENTATIONS))
class TestEveryAugmentation:
    def test_copies_are_finite_float32_in_the_same_columns_and_another_course(self, name, signals):
        values = swing(300)
        found = vary(name, values, signals)
        assert (found.shape[1], found.dtype) == (values.shape[1], np.float32)
        assert len(found) > 200
        assert np.isfinite(found).all()
        assert not np.array_equal(found[:200], values[:200])

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

    def test_its_type_is_its_file(self, name, signals):
        assert AUGMENTATIONS[name].model_validate(example(name)).type == name

    def test_it_complains_about_channels_the_task_lacks(self, name, signals):
        plugin = AUGMENTATIONS[name].model_validate(example(name))
        other = Channel.model_validate({"role": "state", "unit": "m"})
        assert plugin.problems({"other": other})
        assert not plugin.problems(make_task().channels)
