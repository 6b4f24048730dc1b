"""References: the best member of each family on validation rows."""

import numpy as np
import pytest
import torch

from kinemill.dataset.windows import gather
from kinemill.runtime.window_metrics import predict
from kinemill.selection.references import stage
from kinemill.selection.references.baselines import Persistence
from kinemill.selection.references.fit import fit_references
from kinemill.selection.references.published import load_references
from kinemill.store import get_or_build
from kinemill.train import load_model
from kinemill.verify.accuracy import evaluate
from tests.conftest import learning_task
from tests.dataset.packing import packed_of, write_packed
from tests.verify.conftest import pack, pendulum_task, swing


@pytest.fixture(scope="module")
def pendulum():
    """Return runs of a third of the usual length: each free run over them takes as many steps."""
    splits = {"train": range(4), "validation": range(50, 51), "test": range(60, 66)}
    return pack({name: [swing(70, seed) for seed in seeds] for name, seeds in splits.items()})


@pytest.fixture(scope="module")
def references(pendulum):
    return fit_references(pendulum_task(), pendulum)


def test_a_pendulum_is_linear_in_sines_and_so_better_described(references, pendulum):
    errors = {
        name: evaluate(one, pendulum, "test", 25, history=10).nrmse
        for name, one in references.predictors().items()
    }
    assert errors["linear_sincos"] < 1e-5 < errors["linear"] < errors["persistence"]
    assert references.best == "linear_sincos"


def test_they_are_published_once_and_come_back_as_they_were(home, pendulum, references):
    def dataset(folder):
        write_packed(folder, pendulum)
        return {}

    ref, task = get_or_build(home, "dataset", "pendulum", {}, dataset).ref, pendulum_task()
    artifact = stage.run(task, home, ref)
    assert not artifact.cached
    assert stage.run(task, home, ref).cached
    assert stage.inputs(task, ref) != stage.inputs(pendulum_task(horizon=10), ref)
    loaded = load_references(home, artifact.ref)
    assert loaded.digest == artifact.ref.digest
    assert list(loaded.items) == list(references.items)
    windows = gather(pendulum, np.array([0, 40, 90]), 10, 9)
    for which in ("predictors", "free_run"):
        expected = getattr(references, which)()
        for name, predictor in getattr(loaded, which)().items():
            result, required = predict(predictor, windows), predict(expected[name], windows)
            # Two fits of data without noise differ by rounding.
            np.testing.assert_allclose(result, required, rtol=0, atol=1e-6)


def test_a_member_is_a_trained_model(home, pendulum, tmp_path):
    result = fit_references(pendulum_task(), pendulum, tmp_path, digest="d" * 64, longest=4)
    folder = result.items["linear"].folder
    step = load_model(folder)
    assert next(step.parameters()).dtype == torch.float32
    windows = gather(pendulum, np.array([0, 40, 90]), step.history, 9)
    arguments = windows.states, windows.past_actions, windows.actions
    with torch.no_grad():
        rolled = step.rollout(*(torch.from_numpy(part).float() for part in arguments)).numpy()
    expected = result.items["linear"].predictor.rollout(*arguments)
    np.testing.assert_allclose(rolled, expected, rtol=0, atol=1e-3)  # float32


def test_a_linear_system_is_found_whatever_the_history(all_histories):
    runs = {
        "train": [swing(120, seed, linear=True) for seed in range(3)],
        "validation": [swing(120, 7, linear=True)],
        "test": [swing(120, 9, linear=True)],
    }
    dataset = pack(runs, angles=())
    result = fit_references(pendulum_task("linear"), dataset)
    assert "linear_sincos" in result.left_out
    errors = evaluate(result.predictors()["linear"], dataset, "test", 25)
    assert (errors.rmse < 2e-5).all()  # rows are kept in float32


def test_an_action_moves_the_very_next_state():
    """x[k+1] = u[k], white noise: exact with the right action, else an error of 1 deviation."""

    def echo(seed):
        noise = np.random.default_rng(seed).standard_normal(200)
        led = np.concatenate([[0.0], noise[:-1]])
        return np.stack([led, -led, noise], axis=1)

    dataset = pack({"train": [echo(1)], "validation": [echo(3)], "test": [echo(2)]}, angles=())
    result = fit_references(pendulum_task("linear"), dataset, longest=4)
    errors = evaluate(result.predictors()["linear"], dataset, "test", 10)
    assert (errors.by_step < 1e-5).all()


def test_many_channels_in_a_short_log_have_a_linear_model_that_stays_bounded():
    """A vehicle at rest: sensors drift apart from each other, and commands move none of them."""
    names = [f"x{number}" for number in range(30)]
    channels = {name: {"role": "state", "unit": "m"} for name in names}
    channels |= {f"u{number}": {"role": "action", "unit": "N"} for number in range(4)}

    def drift(rows, seed):
        noise = np.random.default_rng(seed).standard_normal((rows, len(channels)))
        for row in range(1, rows):
            noise[row, :30] = 0.98 * noise[row - 1, :30] + 0.2 * noise[row, :30]
        return noise

    task = learning_task("rest", 0.02, channels, verify={"horizon": 50})
    runs = {"train": [drift(400, 1)], "validation": [drift(150, 2)], "test": [drift(150, 3)]}
    dataset = packed_of("rest", 0.02, channels, runs)
    linear = fit_references(task, dataset).items["linear"]
    assert linear.facts.ridge >= 1.0
    errors = evaluate(linear.predictor, dataset, "test", 50)
    assert errors.nrmse < evaluate(Persistence(), dataset, "test", 50).nrmse


def test_episodes_of_one_row_of_history_have_a_constant_velocity():
    """Such as the short episodes of a log with many gaps."""
    runs = {split: [swing(11, number)] for number, split in enumerate(("train", "validation"))}
    result = fit_references(pendulum_task(horizon=10), pack({**runs, "test": [swing(12, 5)]}))
    assert {name: item.facts.history for name, item in result.items.items()}[
        "constant_velocity"
    ] == 1


def test_rollouts_use_one_thread_as_a_busy_machine_slows_several_down(references, pendulum):
    predictor, counts = references.predictors()["linear"], set()
    hook = predictor.step.register_forward_pre_hook(lambda *_: counts.add(torch.get_num_threads()))
    count = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        predict(predictor, gather(pendulum, np.array([0, 40]), 40, 9))
        assert counts == {1}
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(count)
        hook.remove()


@pytest.mark.ci
def test_the_test_split_chooses_nothing():
    def noisy(rows, seed):  # without noise the best errors are rounding, which is not repeatable
        run = swing(rows, seed)
        return run + np.random.default_rng(seed).normal(0.0, 1e-3, run.shape)

    runs = {"train": [noisy(200, seed) for seed in range(2)], "validation": [noisy(100, 3)]}
    one, other = (
        fit_references(pendulum_task(), pack({**runs, "test": [noisy(120, seed)]}), longest=10)
        for seed in (8, 9)
    )
    for name, item in one.items.items():
        expected = other.items[name].facts
        facts = item.facts
        assert (facts.history, facts.ridge) == (expected.history, expected.ridge)
        assert facts.score == pytest.approx(expected.score, rel=1e-6)


@pytest.mark.ci
def test_where_a_coordinate_counts_from_changes_nothing():
    """An encoder in counts: float32 represents 1e6 + n exactly, so the rows are the same."""

    def errors(offset):
        def counted(seed):
            run = swing(200, seed, linear=True)
            run[:, 0] = np.round(1e4 * run[:, 0]) + offset
            return run

        splits = {"train": range(3), "validation": range(5, 7), "test": range(8, 10)}
        dataset = pack({name: [*map(counted, some)] for name, some in splits.items()}, angles=())
        linear = fit_references(pendulum_task("coordinate"), dataset, longest=10).items["linear"]
        assert linear.facts.stable
        return evaluate(linear.predictor, dataset, "test", 25, history=10).nrmse

    near, far = errors(0.0), errors(1e6)
    assert far == pytest.approx(near, rel=1e-3)
