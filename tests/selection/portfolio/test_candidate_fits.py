"""Settings of candidates: how the time of a candidate is divided."""

from kinemill.selection.portfolio.candidate_fits import gradient_steps, learn_of
from kinemill.task.portfolio import Candidate
from tests.train.conftest import pendulum_task

NEWTON = {"model": {"type": "mlp"}, "gauss_newton": {"windows": 256, "iterations": 15}}


def test_a_gauss_newton_fit_takes_half_of_the_time_at_most():
    learn = learn_of(pendulum_task().learn, Candidate("a", NEWTON, trains=True), 100, 12.0)
    assert learn.gauss_newton.seconds == 6.0
    assert learn.gauss_newton.windows == 256
    assert gradient_steps(learn, 12.0, 0.01) == 600


def test_the_last_training_fits_more_windows():
    learn = learn_of(pendulum_task().learn, Candidate("a", NEWTON, trains=True), 100, 12.0, 4)
    assert learn.gauss_newton.windows == 1024
    assert learn.gauss_newton.iterations == 15


def test_without_that_fit_all_time_is_for_gradients():
    mlp = Candidate("a", {"model": {"type": "mlp"}, "history": 4}, trains=True)
    learn = learn_of(pendulum_task().learn, mlp, 1000, 12.0)
    assert learn.gauss_newton is None
    assert gradient_steps(learn, 12.0, 0.01) == 1200
    assert (learn.steps, learn.eval_every, learn.history) == (1000, 333, 4)
    assert learn.schedule.warmup_steps == 50


def test_a_fit_in_closed_form_has_no_limit():
    learn = learn_of(pendulum_task().learn, Candidate("a", NEWTON), 40, 0.0)
    assert learn.gauss_newton.seconds is None
