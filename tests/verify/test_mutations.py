"""A few of the planted faults, one of each kind of question; the benchmark has all of them."""

import pytest
import torch

from benchmarks._exports import pendulum_data
from benchmarks._mutating import FAULTS
from benchmarks.mutations import SOUND, clean, page, plant

FEW = [
    "half precision that overflows",
    "batch frozen at one",
    "angles not brought back to ±π",
    "limits of another robot in the metadata",
]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def data():
    return pendulum_data()


def test_there_are_thirty_of_each():
    assert len(FAULTS) >= 30
    assert len({title for title, *_ in SOUND}) == len(SOUND) >= 30


def test_planted_faults_are_caught_and_named_and_a_sound_export_is_not_blamed(data, tmp_path):
    planted = plant(FEW, data, tmp_path)
    assert [one.title for one in planted if not one.named] == []
    sound = clean(["mlp, history 1"], data, tmp_path)
    assert [one.told for one in sound] == [[]]
    assert "**4** | **4** |" in page(planted, sound)


@pytest.mark.slow
@pytest.mark.parametrize("title", list(FAULTS))
def test_every_planted_fault_is_caught_and_named(data, tmp_path, title):
    (found,) = plant([title], data, tmp_path)
    assert found.named, found.told


@pytest.mark.slow
@pytest.mark.parametrize("title", [title for title, *_ in SOUND])
def test_no_sound_export_is_blamed(data, tmp_path, title):
    (found,) = clean([title], data, tmp_path)
    assert found.told == []
