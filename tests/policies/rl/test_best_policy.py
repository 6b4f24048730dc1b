"""Which policy of a training is kept: compared from the same starts, confirmed from new ones."""

from dataclasses import replace

import pytest

from kinemill.policies.rl.evaluation import Evaluator
from tests.policies.rl.test_training_loop import published, rl_task


@pytest.fixture
def evaluations(monkeypatch):
    """Scripted results of evaluations, and the seeds of each."""
    said, seeds, run = [], [], Evaluator.run

    def announce(self, policy, seeds_used):
        trials = run(self, policy, seeds_used)
        seeds.append(tuple(seeds_used))
        return (
            replace(trials, returns=tuple(said.pop(0) for _ in seeds_used[:1])) if said else trials
        )

    monkeypatch.setattr(Evaluator, "run", announce)
    return said, seeds


def curve(folder):
    import json

    return json.loads((folder / "history.json").read_text())["evaluation/return"]


def test_policies_are_compared_from_starts_that_nothing_else_is_tried_from(home, evaluations):
    """A policy that does not change looks the same each time."""
    folder = published(rl_task(optimizer={"type": "adam", "lr": 1e-12}), home)
    returns = [value for _, value in curve(folder)]
    assert (len(returns), len(set(returns))) == (6, 1)
    *selection, final = evaluations[1]
    assert len(set(selection)) == 1
    assert not set(selection[0]) & set(final)


def test_the_target_is_to_be_reached_from_new_starts_too(home, evaluations):
    said, seeds = evaluations
    said += [-9.0, -4.0, -8.0, -3.0, -8.0, -4.0, -5.0]  # the 3rd, 5th, 7th: from new starts
    folder = published(rl_task(target=-5.0), home)
    selection, confirming = [seeds[k] for k in (0, 1, 3, 5)], [seeds[k] for k in (2, 4, 6)]
    assert len(set(selection)) == 1
    assert len({*selection, *confirming}) == 4
    assert [value for _, value in curve(folder)] == [-9.0, -4.0, -3.0, -4.0]


def test_the_policy_that_reached_the_target_is_kept(home, evaluations):
    """One that looked better was refuted from new starts."""
    from kinemill.store import read_json

    evaluations[0].extend([-1.0, -99.0, -4.0, -5.0])
    folder = published(rl_task(target=-5.0), home)
    summary = read_json(folder / "summary.json")
    assert summary["reached"]
    assert summary["best_step"] == summary["steps"] == 64
