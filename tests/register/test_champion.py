"""The champion for the stages that need it before registration."""

import hashlib

import numpy as np
import pytest

from kinemill.errors import CorruptArtifact
from kinemill.register.champion import load_champion


def test_before_anything_is_registered_there_is_none(chain):
    assert load_champion(chain.home, "cart") is None
    assert load_champion(chain.home, "never_heard_of") is None


def test_it_knows_its_files_and_the_recordings_of_its_dataset(chain):
    produced = chain.produce(0.1)
    chain.register(0.1)
    result = load_champion(chain.home, "cart")
    assert (result.version, result.dataset) == (1, produced.dataset.digest)
    content = (result.folder / "rollout.onnx").read_bytes()
    assert hashlib.sha256(content).hexdigest() == result.model
    assert result.used() == {"train", "test"}
    ((identity, name, rows),) = result.held_out(9)
    assert (identity, name, rows.shape) == ("test-0000", "test", (40, 3))
    np.testing.assert_array_equal(rows[:3, 0], [1.0, -1.0, 1.0])
    assert list(result.held_out(0)) == []
    # The training split is the first 40 rows: 1, -1, ..., force 2.
    np.testing.assert_array_equal(result.training_rows(2), [[1, 1, 2], [-1, -1, 2]])
    assert result.training_rows(1000).shape == (40, 3)


def test_it_is_the_champion_and_not_the_newest(chain):
    chain.register(0.1)
    chain.register(0.5, gain=0.7)
    assert load_champion(chain.home, "cart").version == 1


def test_a_dataset_that_is_gone_is_said_so(chain):
    produced = chain.produce(0.1)
    chain.register(0.1)
    assert load_champion(chain.home, "cart").used()  # while it is there
    (chain.home.root / produced.dataset.path / "MANIFEST.json").unlink()
    with pytest.raises(CorruptArtifact, match=r"dataset of champion version 1 is gone"):
        load_champion(chain.home, "cart").used()
