"""The example of an environment of one's own: masks, structured actions, learned."""

import numpy as np
import pytest

from kinemill.policies.environments import layout_of, make_environment
from kinemill.policies.environments.card import make_card
from kinemill.policies.environments.evaluation import RandomPolicy, try_policy
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.train import stage as train
from tests.conftest import ROOT

FILE = ROOT / "examples" / "reinforcement" / "stock_cutting.yaml"
STRUCTURED = FILE.with_name("stock_cutting_structured.yaml")


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
            cut, remaining = inner._cut.sum(), inner._remaining.copy()
            action = int(random.choice(np.flatnonzero(observed["action_mask"])))
            kind, turned, sheet = inner.parts_of(action)
            assert action == (kind * 2 + turned) * inner.sheets + sheet
            observed, reward, ended, cut_off, info = environment.step(action)
            over = ended or cut_off
            area = int(np.prod(inner._pieces[kind]))
            assert inner._cut.sum() - cut == area
            assert (remaining - inner._remaining).tolist() == [int(k == kind) for k in range(4)]
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


def test_sub_steps_cut_as_the_flat_form_does():
    flat, structured = (make_environment(load_task(file)) for file in (FILE, STRUCTURED))
    game, random = structured.unwrapped, np.random.default_rng(0)
    for seed in range(3):
        observed, piece = flat.reset(seed=seed)[0], structured.reset(seed=seed)[0]
        over = False
        while not over:
            action = int(random.choice(np.flatnonzero(observed["action_mask"])))
            kind, cut = divmod(action, 2 * game.sheets)
            allowed = observed["action_mask"].reshape(game.kinds, -1)
            assert piece["action_mask"].tolist() == [*allowed.max(axis=1), 1, 0, 0, 0, 0, 0]
            cutting, reward, *_ = structured.step(np.array([kind, 0]))
            assert (cutting["action_mask"].tolist(), reward) == ([1, 0, 0, 0, *allowed[kind]], 0)
            observed, expected, over, _, _ = flat.step(action)
            piece, reward, over_too, _, _ = structured.step(np.array([0, cut]))
            assert (reward, over_too) == (expected, over)


def largest_first(environment, seed):
    """Return the return of a heuristic: the largest piece, into an opened sheet if it fits."""
    observed, total, over = environment.reset(seed=seed)[0], 0.0, False
    game = environment.unwrapped
    while not over:

        def rank(action):
            kind, turned, sheet = game.parts_of(action)
            return game._pieces[kind].prod(), game._cut[sheet].any(), -sheet, -turned

        best = max(np.flatnonzero(observed["action_mask"]), key=rank)
        observed, reward, over, _, _ = environment.step(int(best))
        total += reward
    return total


def test_a_heuristic_and_random_cuts_return_what_the_docs_state():
    task = load_task(FILE)
    environment = make_environment(task)
    seeds = range(1_000_000, 1_000_100)
    heuristic = np.mean([largest_first(environment, seed) for seed in seeds])
    random = try_policy(task, RandomPolicy(environment.action_space), seeds).mean_return
    assert (heuristic, random) == (pytest.approx(0.398, abs=1e-3), pytest.approx(-0.140, abs=1e-3))


@pytest.mark.slow
@pytest.mark.parametrize("file", [FILE, STRUCTURED], ids=["flat", "structured"])
def test_a_policy_learns_to_cut(home, file):
    task = load_task(file)
    card = make_card(task, home)
    silent = (NullReporter(), NullReporter())
    final = train.run(task, home, card.ref, card.ref, silent).summary["final"]
    space = make_environment(task).action_space
    random_policy = try_policy(task, RandomPolicy(space), final["seeds"])
    assert final["return_interval"][0] > random_policy.interval()["return"][1]
    assert final["return"] > 0.28
