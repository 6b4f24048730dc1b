"""Report page of a learning loop: learning curve and rounds."""

from kinemill.control.learning_loop import EpisodeRecord, RoundRecord
from kinemill.control.loop_round import loop_page
from kinemill.task import load_task

TASK = load_task("pendulum", {"control.seconds": 0.4})


def record(number, logs, successes, **changed):
    episodes = [EpisodeRecord(seed, 50, False, 1.0, log) for seed, log in enumerate(logs)]
    values = {"version": number + 1, "alias": None, "gate": [], "trials": 4}
    values |= {"nrmse": 0.5 / (number + 1), "coverage": None, "wall": 1.0, "cpu": 1.0}
    values |= {"steps": 50 * len(logs) * (number + 1), "successes": successes}
    return RoundRecord(number=number, episodes=episodes, **(values | changed))


def test_loop_page_shows_successes_of_the_last_round():
    page = loop_page(TASK, [record(0, ["a.csv"], 1), record(1, ["b.csv", "c.csv"], 3)])
    assert ">3 of 4</td>" in page
    assert "closed loop, last version" in page
    assert page.count("<svg") == 2
    without_trials = loop_page(TASK, [record(0, ["a.csv"], 0, trials=0)])
    assert "episodes of the last round" in without_trials
