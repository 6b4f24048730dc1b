"""Which model becomes champion on systems that nobody developed on, through the whole chain.

Each case had a wrong verdict before: a bad model was promoted, or a good one refused.
"""

import pytest

from kinemill.register import find_version
from kinemill_dagster.pipelines.run import run_chain
from tests.unseen.systems import ARM, AXIS, DRIVE, MASS, PENDULUM, RESTING_ARM, STRUCTURE

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
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
    observed = system.episodes(11, rows, seed=1)
    return {
        "train": observed[:8],
        "validation": observed[8:],
        "test": (tested or system).episodes(test, rows, seed=2),
    }


def settings(learn, **promote):
    return {"learn": learn, "verify": {"horizon": 25}, "promote": promote}


def test_a_linear_system_gets_a_linear_champion(verdict_on):
    """It could have none: a model had to beat `linear`, which is the truth, by 2 %."""
    result = verdict_on(MASS, split(MASS), settings(MLP))
    assert result.choice == "linear"
    assert (result.refused, result.is_champion) == (set(), True), result
    assert result.provisional == ""


def test_a_lightly_damped_structure_gets_a_linear_champion_with_a_long_history(verdict_on):
    """A network of four rows was champion, because its linear rival was given four rows too."""
    result = verdict_on(STRUCTURE, split(STRUCTURE, 500), settings(MLP | {"history": 4}))
    assert result.choice == "linear"
    assert (result.refused, result.is_champion) == (set(), True), result
    assert result.history >= 10


def test_a_pendulum_of_low_noise_is_not_left_to_a_network_that_is_worse(verdict_on):
    """A network of 4.25 times the error of `linear_sincos` was champion: nobody had to beat it."""
    result = verdict_on(PENDULUM, split(PENDULUM), settings(MLP))
    assert result.choice in ("linear_sincos", "physics")
    assert (result.refused, result.is_champion) == (set(), True), result
    refused = run_chain(PENDULUM.name, {"promote.allow_reference": False})
    broken = {line.rule for line in refused.gate if not line.passed}
    assert refused.status == "refused"
    assert "beats_linear_sincos" in broken
    assert find_version(result.home, PENDULUM.name, "@champion").number == 2


def test_a_good_model_of_a_robot_that_rests_in_a_third_of_its_test_data_is_accepted(verdict_on):
    """An interval over blocks in which nothing moves refused it at a tenth of the error."""
    result = verdict_on(ARM, split(ARM, tested=RESTING_ARM), settings(CUBIC))
    assert result.nrmse("model") < 0.25 * result.nrmse("linear")
    assert result.nrmse("model") < 0.05 * result.nrmse("persistence")
    assert result.choice == "trained", result
    assert (result.refused, result.is_champion) == (set(), True), result
    assert result.provisional == ""


def test_one_test_episode_makes_a_provisional_champion(verdict_on):
    result = verdict_on(ARM, split(ARM, test=1), settings(CUBIC))
    assert result.choice == "trained", result
    assert result.is_champion, result
    assert "test episode" in result.provisional


def test_a_drive_whose_free_run_is_worse_than_standing_still_gets_no_champion(verdict_on):
    """It was: a network several times worse than persistence over whole episodes."""
    result = verdict_on(DRIVE, split(DRIVE, 900, test=6), settings(MLP | {"steps": 30}, **OWN))
    assert result.free_run("model") > 1.5 * result.free_run("persistence")
    assert result.document.status == "refused"
    assert any(rule.startswith("no_worse_") for rule in result.refused)


def test_an_axis_of_decimeters_with_windows_of_millimeters_gets_a_stable_champion(verdict_on):
    """A linear model ran away as soon as the position was a coordinate."""
    linear = MLP | AS_FITTED | {"model": {"type": "linear"}, "history": 10}
    result = verdict_on(AXIS, split(AXIS, 1000, test=6), settings(linear))
    assert (result.refused, result.is_champion) == (set(), True), result
    assert result.free_run("model") < 0.5 < result.free_run("persistence")
