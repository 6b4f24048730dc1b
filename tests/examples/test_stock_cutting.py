"""The example of an environment of one's own: masks, structured actions, learned."""

import numpy as np
import pytest

from kinemill.environments import layout_of, make_environment
from kinemill.environments.card import make_card
from kinemill.environments.evaluation import RandomPolicy, try_policy
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import stage as train
from tests.conftest import ROOT

FILE = ROOT / "examples" / "reinforcement" / "stock_cutting.yaml"


def test_exactly_what_fits_is_allowed():
    environment = make_environment(load_task(FILE))
    inner = environment.unwrapped
    random, refused = np.random.default_rng(0), 0
    for seed in range(3):
        observed, over = environment.reset(seed=seed)[0], False
        while not over:
            forbidden = np.flatnonzero(observed["action_mask"] == 0)
            if len(forbidden):
                refused += 1
                with pytest.raises(ValueError, match="cannot be cut"):
                    inner.step(int(random.choice(forbidden)))
            cut, remaining = inner._cut.sum(), inner._left.copy()
            action = int(random.choice(np.flatnonzero(observed["action_mask"])))
            kind, turned, sheet = inner.parts_of(action)
            assert action == (kind * 2 + turned) * inner.sheets + sheet
            observed, reward, ended, cut_off, info = environment.step(action)
            over = ended or cut_off
            area = int(np.prod(inner._pieces[kind]))
            assert inner._cut.sum() - cut == area
            assert (remaining - inner._left).tolist() == [int(k == kind) for k in range(4)]
            assert reward == pytest.approx(area / 36 - 0.5 * info["sheets_opened"])
    assert refused > 5


def test_its_layout_has_a_mask_for_each_choice():
    task = load_task(FILE)
    layout = layout_of(task, make_environment(task))
    assert (layout.mask, layout.choices, layout.inputs) == (
        24,
        (24,),
        ("observation", "action_mask"),
    )


@pytest.mark.slow
def test_maskable_ppo_cuts_better_than_chance(home):
    task = load_task(FILE)
    card = make_card(task, home)
    silent = (NullReporter(), NullReporter())
    final = train.run(task, home, card.ref, card.ref, silent).summary["final"]
    space = make_environment(task).action_space
    random_policy = try_policy(task, RandomPolicy(space), final["seeds"])
    assert final["return_interval"][0] > random_policy.interval()["return"][1]
