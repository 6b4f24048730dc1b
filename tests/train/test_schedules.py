"""Learning rates against torch's own schedulers, step by step."""

import pytest
import torch
from torch.optim import lr_scheduler as theirs

from kinemill.task.learn import Learn
from kinemill.task.plugins import OBJECTIVES, SCHEDULES
from kinemill.train.loop import learning_rate

TOP, STEPS, WARM = 1e-2, 120, 20


def warmed(scheduler):
    """A linear warm-up over WARM steps before `scheduler(optimizer)`."""

    def build(optimizer):
        up = theirs.LinearLR(optimizer, start_factor=1 / WARM, total_iters=WARM - 1)
        return theirs.SequentialLR(optimizer, [up, scheduler(optimizer)], milestones=[WARM])

    return build


REFERENCES = {
    "constant": ({"warmup_steps": WARM}, warmed(lambda o: theirs.ConstantLR(o, factor=1.0))),
    "warm_restarts": (
        {"warmup_steps": WARM, "period": 15, "t_mult": 2, "min_lr": 1e-4},
        warmed(lambda o: theirs.CosineAnnealingWarmRestarts(o, 15, T_mult=2, eta_min=1e-4)),
    ),
    "cosine_warmup": (
        {"warmup_steps": WARM, "min_lr": 1e-4},
        warmed(lambda o: theirs.CosineAnnealingLR(o, T_max=STEPS - WARM, eta_min=1e-4)),
    ),
    "one_cycle": (
        {"pct_start": 0.25, "start": 0.1, "end": 1e-3},
        lambda o: theirs.OneCycleLR(
            o, max_lr=TOP, total_steps=STEPS, pct_start=0.25, div_factor=10, final_div_factor=100
        ),
    ),
}


def learn(schedule, **settings) -> Learn:
    arguments = {"model": {"type": "mlp"}, "optimizer": {"lr": TOP}, "schedule": schedule}
    return OBJECTIVES["dynamics"](**arguments, steps=STEPS, **settings)


# torch multiplies from step to step, in 120 steps of float64
@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.filterwarnings("ignore:.*epoch parameter:UserWarning")
def test_a_schedule_is_torchs_own(name):
    settings, build = REFERENCES[name]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=TOP)
    scheduler, ours = build(optimizer), learn({"type": name, **settings})
    for step in range(STEPS):
        result = learning_rate(step, ours)
        assert result == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-9), step
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_a_schedule_stays_between_nothing_and_the_top_and_without_settings_reaches_it(name):
    rates = [learning_rate(step, learn({"type": name})) for step in range(STEPS + 50)]
    assert all(0 <= rate <= TOP * (1 + 1e-12) for rate in rates)
    assert max(rates) > 0.5 * TOP
