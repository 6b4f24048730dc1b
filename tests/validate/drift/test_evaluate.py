"""The champion's own error on new logs: of the same cart-pole, and of others."""

from dataclasses import replace

import numpy as np
import pytest

from kinemill.ingest.membership import members
from kinemill.store import MANIFEST, SUMMARY, read_json
from kinemill.task import load_task
from kinemill.validate.drift import find_drift, latest_drift
from kinemill.validate.drift.documents import DriftingRecording, LatestDrift
from kinemill.validate.forget import forget, stored_data
from tests.validate.drift.conftest import CartPole, write_rollout

pytestmark = pytest.mark.ci


def evaluate(robot, **updates):
    task = robot.task.model_copy(update=updates) if updates else robot.task
    return find_drift(task, robot.home, robot.episodes(), lambda: robot.champion)


def verdicts(report):
    return {episode.recording: episode.verdict for episode in report.episodes}


def verdict_of(report, recording):
    (verdict,) = [episode for episode in report.episodes if episode.recording == recording]
    return verdict


def measurements(robot):
    return set((robot.home.store / "drift_recording" / robot.task.name).iterdir())


def test_another_plant_drifts_and_the_same_one_does_not(robot):
    same = [robot.drive(20 + 3 * n) for n in range(2)]
    longer = [robot.drive(21 + 3 * n, pole_length=0.75) for n in range(2)]
    heavier = [robot.drive(22 + 3 * n, cart_mass=1.3) for n in range(2)]
    report = evaluate(robot)
    assert report.status == "evaluated"
    assert verdicts(report) == dict.fromkeys(same, "no drift") | dict.fromkeys(
        longer + heavier, "drift"
    )
    assert {one.recording for one in report.drifting} == {*longer, *heavier}
    # A longer pole swings slower: √(0.75/0.6), 12 %, of a phase of 0.5 s, at some rad/s.
    assert {verdict_of(report, one).worst for one in longer} <= {"pole_angle", "pole_velocity"}
    # The cart answers a force with 1.2/1.5 of the acceleration.
    assert {verdict_of(report, one).worst for one in heavier} <= {"cart_position", "cart_velocity"}


def test_distributions_are_told_and_decide_nothing(robot):
    same = [robot.drive(20 + n) for n in range(4)]
    longer = robot.drive(31, pole_length=0.75)
    report = evaluate(robot)

    def largest(recording):
        return max(verdict_of(report, recording).stability.values())

    # A new trajectory of the same robot may lie further off than one of another robot.
    assert max(largest(recording) for recording in same) > largest(longer) > 0.25
    assert verdict_of(report, longer).verdict == "drift"
    assert {verdict_of(report, one).verdict for one in same} == {"no drift"}


def test_recordings_that_the_champion_knows_are_not_judged(robot):
    assert evaluate(robot).counts.recordings == 0
    new = robot.drive(20)
    report = evaluate(robot)
    assert verdicts(report) == {new: "no drift"}
    assert set(report.champion.held_out) == set(robot.task.states)


def test_names_say_nothing(robot):
    robot.drive(20)
    other = robot.drive(21, pole_length=0.75)
    expected = verdicts(evaluate(robot))
    for number, path in enumerate(sorted(robot.logs.glob("log-02*"))):
        path.rename(robot.logs / f"log-00{number}-as-ever.csv")
    for name in ("recordings", "members", "index"):
        (robot.home.store / name).rename(robot.home.store / f"forgotten-{name}")
    report = evaluate(robot)
    assert "as-ever" in verdict_of(report, other).name
    assert verdicts(report) == expected


def written(artifacts):
    """When each artifact was written; a cache hit touches its folder."""
    return {path: (path / MANIFEST).stat().st_mtime_ns for path in artifacts}


def test_one_more_recording_costs_one_judging(robot):
    for number in (20, 21):
        robot.drive(number)
    first = evaluate(robot)
    cached = measurements(robot)
    stamps = written(cached)
    assert len(cached) == 2
    robot.drive(22)
    second = evaluate(robot)
    assert len(measurements(robot) - cached) == 1
    assert written(cached) == stamps
    by_episode = {episode.episode: episode for episode in second.episodes}
    assert all(by_episode[episode.episode] == episode for episode in first.episodes)


def test_what_was_measured_of_a_forgotten_recording_goes(robot):
    first, second = (robot.drive(number) for number in (20, 21))
    evaluate(robot)
    member = members(robot.home, robot.task.name)[second]
    assert len(stored_data(robot.task, robot.home, member).artifacts) == 3
    forget(robot.task, robot.home, member)
    (remaining,) = measurements(robot)
    assert read_json(remaining / SUMMARY)["hash"] == first


def test_another_factor_judges_anew_without_measuring_anew(robot):
    new = robot.drive(20)
    report = evaluate(robot)
    cached, ratio = measurements(robot), verdict_of(report, new).ratio
    assert 0.2 < ratio < 2.0
    strict = robot.task.retrain.model_copy(update={"drift_factor": 0.9 * ratio})
    assert verdicts(evaluate(robot, retrain=strict)) == {new: "drift"}
    assert measurements(robot) == cached


def test_an_episode_too_short_for_a_window_is_said_to_be(robot):
    new = robot.drive(20, seconds=0.5)  # 25 rows at 20 ms, one less than 1 + 25
    report = evaluate(robot)
    one = verdict_of(report, new)
    assert (one.verdict, one.windows, one.worst) == ("too short", 0, None)
    assert one.message == f"{one.rows} rows are too few for the history and 25 steps"
    assert (report.counts.too_short, report.drifting) == (1, [])


def test_whole_turns_of_an_angle_change_nothing(robot):
    def turn(table):
        table["qpos_pole"] += 200 * np.pi

    plain, turned = robot.drive(20), robot.drive(21, spoil=turn)
    again = verdict_of(evaluate(robot), turned)
    # The same run once more, not turned: seed and plant are the same, the file is another.
    straight = robot.drive(21)
    report = evaluate(robot)
    for name, error in verdict_of(report, straight).errors.items():
        assert again.errors[name].rmse == pytest.approx(error.rmse, rel=1e-3)
    assert verdict_of(report, plain).verdict == "no drift"


def test_without_a_champion_there_is_no_verdict_and_no_failure(robot):
    robot.drive(20)
    robot.champion = None
    report = evaluate(robot)
    assert report.status == "no champion"
    assert report.why == "no version of cart_pole is champion"
    assert (report.episodes, report.drifting) == ([], [])
    assert latest_drift(robot.home, "cart_pole").status == "no champion"


def test_a_champion_that_cannot_judge_is_not_comparable_and_says_why(robot):
    def refused(why, **updates):
        report = evaluate(robot, **updates)
        assert report.status == "not comparable"
        assert why in report.why

    long = robot.task.verify.model_copy(update={"horizon": 1000})
    refused("expected history + horizon = 1001 rows", verify=long)
    robot.drive(20)
    rollout = robot.champion.folder / "rollout.onnx"
    whole = rollout.read_bytes()
    rollout.write_bytes(b"no onnx")
    refused("rollout.onnx")
    rollout.write_bytes(whole)
    robot.task = load_task(robot.task.path, {"ingest.min_file_age": 0.0, "dt": 0.04})
    refused("dt 0.02; expected dt 0.04")


def test_a_better_champion_has_another_measure(robot):
    """One that believes in a longer pole errs on its held-out episodes, and so is used to it."""
    new = robot.drive(20)
    usual = verdict_of(evaluate(robot), new).errors["pole_angle"].usual
    folder = robot.home.root / "other"
    model = write_rollout(folder, robot.task, CartPole(pole_length=0.75))
    robot.champion = replace(robot.champion, version=2, folder=folder, model=model)
    report = evaluate(robot)
    assert report.champion.version == 2
    assert verdict_of(report, new).errors["pole_angle"].usual > 5 * usual
    assert verdict_of(report, new).verdict == "no drift"


def test_what_was_found_last_is_kept_in_few_words(robot):
    other = robot.drive(20, pole_length=0.75)
    report = evaluate(robot)
    message = verdict_of(report, other).message
    assert latest_drift(robot.home, "cart_pole") == LatestDrift(
        status="evaluated",
        counts=report.counts,
        drifting=[DriftingRecording(other, "log-020.csv", message)],
        champion=1,
    )
    assert latest_drift(robot.home, "another") is None
