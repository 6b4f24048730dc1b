"""Which model becomes champion on systems that nobody developed on, through the whole chain.

Each case had a wrong verdict before: a bad model was promoted, or a good one refused.
"""

import pytest

from kinemill.register import find_version
from kinemill_dagster.pipelines.run import run_chain
from tests.unseen.systems import ARM, AXIS, DRIVE, MASS, PENDULUM, RESTING_ARM, STRUCTURE

pytestmark = pytest.mark.e2e
ROWS, TEST = 300, 8  # of an episode; test episodes
MLP = {
    "type": "dynamics",
    "model": {"type": "mlp", "hidden_sizes": [16]},
    "history": 3,
    "horizon": 5,
    "steps": 200,
    "batch_size": 64,
    "eval_every": 100,
}
AS_FITTED = {"steps": 1, "optimizer": {"lr": 1e-9}}  # closed form, no gradient worth a name
CUBIC = MLP | AS_FITTED | {"model": {"type": "polynomial", "degree": 3}, "history": 2}
OWN = {"allow_reference": False}  # what is trained is what is judged


def split(system, rows=ROWS, test=TEST, tested=None):
    """Eight training, three validation and `test` test episodes, those of `tested` if given."""
    seen = system.episodes(11, rows, seed=1)
    return {
        "train": seen[:8],
        "validation": seen[8:],
        "test": (tested or system).episodes(test, rows, seed=2),
    }


def settings(learn, **promote):
    return {"learn": learn, "verify": {"horizon": 25}, "promote": promote}


def test_a_linear_system_gets_a_linear_champion(verdict_on):
    """It could have none: a model had to beat `linear`, which is the truth, by 2 %."""
    found = verdict_on(MASS, split(MASS), settings(MLP))
    assert found.chosen == "linear"
    assert (found.refused, found.is_champion) == (set(), True), found
    assert found.provisional == ""


@pytest.mark.slow
def test_a_lightly_damped_structure_gets_a_linear_champion_with_a_long_history(verdict_on):
    """A network of four rows was champion, because its linear rival was given four rows too."""
    found = verdict_on(STRUCTURE, split(STRUCTURE, 500), settings(MLP | {"history": 4}))
    assert found.chosen == "linear"
    assert (found.refused, found.is_champion) == (set(), True), found
    assert found.history >= 10


@pytest.mark.slow
def test_a_pendulum_of_low_noise_is_not_left_to_a_network_that_is_worse(verdict_on):
    """A network of 4.25 times the error of `linear_sincos` was champion: nobody had to beat it."""
    found = verdict_on(PENDULUM, split(PENDULUM), settings(MLP))
    assert found.chosen in ("linear_sincos", "physics")
    assert (found.refused, found.is_champion) == (set(), True), found
    refused = run_chain(PENDULUM.name, {"promote.allow_reference": False})
    broken = {line["rule"] for line in refused["gate"] if not line["passed"]}
    assert refused["status"] == "refused"
    assert "beats_linear_sincos" in broken
    assert find_version(found.home, PENDULUM.name, "@champion").number == 2


@pytest.mark.slow
def test_a_good_model_of_a_robot_that_rests_in_a_third_of_its_test_data_is_accepted(verdict_on):
    """An interval over blocks in which nothing moves refused it at a tenth of the error."""
    found = verdict_on(ARM, split(ARM, tested=RESTING_ARM), settings(CUBIC))
    assert found.nrmse("model") < 0.25 * found.nrmse("linear")
    assert found.nrmse("model") < 0.05 * found.nrmse("persistence")
    assert found.chosen == "trained", found
    assert (found.refused, found.is_champion) == (set(), True), found
    assert found.provisional == ""


def test_one_test_episode_makes_a_provisional_champion(verdict_on):
    found = verdict_on(ARM, split(ARM, test=1), settings(CUBIC))
    assert found.chosen == "trained", found
    assert found.is_champion, found
    assert "test episode" in found.provisional


@pytest.mark.slow
def test_a_drive_whose_free_run_is_worse_than_standing_still_gets_no_champion(verdict_on):
    """It was: a network several times worse than persistence over whole episodes."""
    found = verdict_on(DRIVE, split(DRIVE, 900, test=6), settings(MLP | {"steps": 30}, **OWN))
    assert found.free_run("model") > 1.5 * found.free_run("persistence")
    assert found.document["status"] == "refused"
    assert any(rule.startswith("no_worse_") for rule in found.refused)


@pytest.mark.slow
def test_an_axis_of_decimeters_with_windows_of_millimeters_gets_a_stable_champion(verdict_on):
    """A linear model ran away as soon as the position was a coordinate."""
    linear = MLP | AS_FITTED | {"model": {"type": "linear"}, "history": 10}
    found = verdict_on(AXIS, split(AXIS, 1000, test=6), settings(linear))
    assert (found.refused, found.is_champion) == (set(), True), found
    assert found.free_run("model") < 0.5 < found.free_run("persistence")
