"""The champion's own error on new logs: of the same cart-pole, and of others."""

from dataclasses import replace

import numpy as np
import pytest

from kinemill.ingest.membership import members
from kinemill.store import MANIFEST, SUMMARY, read_json
from kinemill.task import load_task
from kinemill.validate.drift import find_drift, latest_drift
from kinemill.validate.forget import forget, stored_data
from tests.validate.drift.conftest import CartPole, write_rollout


def judge(robot, **task):
    chosen = robot.task.model_copy(update=task) if task else robot.task
    return find_drift(chosen, robot.home, robot.episodes(), lambda: robot.champion)


def verdicts(found):
    return {line["recording"]: line["verdict"] for line in found["episodes"]}


def line_of(found, recording):
    (line,) = [line for line in found["episodes"] if line["recording"] == recording]
    return line


def judgings(robot):
    return set((robot.home.store / "drift_judged" / robot.task.name).iterdir())


def test_another_plant_drifts_and_the_same_one_does_not(robot):
    same = [robot.drive(20 + 3 * n) for n in range(4)]
    longer = [robot.drive(21 + 3 * n, pole_length=0.75) for n in range(4)]
    heavier = [robot.drive(22 + 3 * n, cart_mass=1.3) for n in range(4)]
    found = judge(robot)
    assert found["status"] == "judged"
    assert verdicts(found) == dict.fromkeys(same, "no drift") | dict.fromkeys(
        longer + heavier, "drift"
    )
    assert {item["recording"] for item in found["drifting"]} == {*longer, *heavier}
    # A longer pole swings slower: √(0.75/0.6), 12 %, of a phase of 0.5 s, at some rad/s.
    assert {line_of(found, one)["worst"] for one in longer} <= {"pole_angle", "pole_velocity"}
    # The cart answers a force with 1.2/1.5 of the acceleration.
    assert {line_of(found, one)["worst"] for one in heavier} <= {"cart_position", "cart_velocity"}


def test_distributions_are_told_and_decide_nothing(robot):
    same = [robot.drive(20 + n) for n in range(4)]
    longer = robot.drive(31, pole_length=0.75)
    found = judge(robot)

    def most(recording, what):
        return max(each[what] for each in line_of(found, recording)["coverage"].values())

    # A new trajectory of the same robot may lie further off than one of another robot.
    assert max(most(one, "psi") for one in same) > most(longer, "psi") > 0.25
    assert line_of(found, longer)["verdict"] == "drift"
    assert {line_of(found, one)["verdict"] for one in same} == {"no drift"}
    assert all(0.0 < most(one, "ks") <= 1.0 for one in [*same, longer])


def test_recordings_that_the_champion_knows_are_not_judged(robot):
    assert judge(robot)["counts"]["recordings"] == 0
    new = robot.drive(20)
    found = judge(robot)
    assert verdicts(found) == {new: "no drift"}
    held = found["champion"]["held_out"]
    assert [line["name"] for line in held["episodes"]] == ["log-006.csv", "log-007.csv"]
    assert held["windows"] == sum(line["windows"] for line in held["episodes"])


def test_names_say_nothing(robot):
    robot.drive(20)
    other = robot.drive(21, pole_length=0.75)
    before = verdicts(judge(robot))
    for number, path in enumerate(sorted(robot.logs.glob("log-02*"))):
        path.rename(robot.logs / f"log-00{number}-as-ever.csv")
    for name in ("recordings", "members", "index"):
        (robot.home.store / name).rename(robot.home.store / f"forgotten-{name}")
    found = judge(robot)
    assert "as-ever" in line_of(found, other)["name"]
    assert verdicts(found) == before


def written(outcomes):
    """When each outcome was written; its folder is touched whenever it is found again."""
    return {path: (path / MANIFEST).stat().st_mtime_ns for path in outcomes}


def test_one_more_recording_costs_one_judging(robot):
    for number in (20, 21):
        robot.drive(number)
    first = judge(robot)
    known = judgings(robot)
    stamps = written(known)
    assert len(known) == 2
    robot.drive(22)
    second = judge(robot)
    assert len(judgings(robot) - known) == 1
    assert written(known) == stamps
    told = {line["episode"]: line for line in second["episodes"]}
    assert all(told[line["episode"]] == line for line in first["episodes"])


def test_what_was_measured_of_a_forgotten_recording_goes(robot):
    kept, gone = (robot.drive(number) for number in (20, 21))
    judge(robot)
    member = members(robot.home, robot.task.name)[gone]
    assert len(stored_data(robot.task, robot.home, member).outcomes) == 3  # read, judged, measured
    forget(robot.task, robot.home, member)
    (left,) = judgings(robot)
    assert read_json(left / SUMMARY)["hash"] == kept


def test_another_factor_judges_anew_without_measuring_anew(robot):
    new = robot.drive(20)
    found = judge(robot)
    known, ratio = judgings(robot), line_of(found, new)["ratio"]
    assert 0.2 < ratio < 2.0
    strict = robot.task.retrain.model_copy(update={"drift_factor": 0.9 * ratio})
    assert verdicts(judge(robot, retrain=strict)) == {new: "drift"}
    assert judgings(robot) == known


def test_an_episode_too_short_for_a_window_is_said_to_be(robot):
    new = robot.drive(20, seconds=0.5)  # 25 rows at 20 ms, one less than 1 + 25
    found = judge(robot)
    line = line_of(found, new)
    assert (line["verdict"], line["windows"], line["worst"]) == ("too short", 0, None)
    assert line["told"] == f"{line['rows']} rows hold no window of the history and 25 steps"
    assert (found["counts"]["too short"], found["drifting"]) == (1, [])


def test_whole_turns_of_an_angle_change_nothing(robot):
    def turn(table):
        table["qpos_pole"] += 200 * np.pi

    plain, turned = robot.drive(20), robot.drive(21, spoil=turn)
    again = line_of(judge(robot), turned)
    # The same run once more, not turned: seed and plant are the same, the file is another.
    straight = robot.drive(21)
    found = judge(robot)
    for name, error in line_of(found, straight)["errors"].items():
        assert again["errors"][name]["rmse"] == pytest.approx(error["rmse"], rel=1e-3)
    assert line_of(found, plain)["verdict"] == "no drift"


def test_without_a_champion_there_is_no_verdict_and_no_failure(robot):
    robot.drive(20)
    robot.champion = None
    found = judge(robot)
    assert found["status"] == "no champion"
    assert found["why"] == "no version of cart_pole has passed the gate yet"
    assert (found["episodes"], found["drifting"]) == ([], [])
    assert latest_drift(robot.home, "cart_pole")["status"] == "no champion"


def test_a_champion_of_other_channels_is_not_comparable(robot):
    robot.drive(20)
    slower = load_task(robot.task.path, {"ingest.min_file_age": 0.0, "dt": 0.04})
    robot.task = slower
    found = judge(robot)
    assert found["status"] == "not comparable"
    assert "dt 0.02; expected dt 0.04" in found["why"]


def test_a_damaged_champion_is_not_comparable(robot, monkeypatch):
    robot.drive(20)
    (robot.champion.folder / "rollout.onnx").write_bytes(b"no onnx")
    found = judge(robot)
    assert found["status"] == "not comparable"
    assert "rollout.onnx" in found["why"]


def test_a_champion_without_a_held_out_window_is_not_comparable(robot):
    long = robot.task.verify.model_copy(update={"horizon": 1000})
    found = judge(robot, verify=long)
    assert found["status"] == "not comparable"
    assert "expected history + horizon = 1001 rows" in found["why"]


def test_a_better_champion_has_another_measure(robot):
    """One that believes in a longer pole errs on its held-out episodes, and so is used to it."""
    new = robot.drive(20)
    usual = line_of(judge(robot), new)["errors"]["pole_angle"]["usual"]
    folder = robot.home.root / "other"
    model = write_rollout(folder, robot.task, CartPole(pole_length=0.75))
    robot.champion = replace(robot.champion, version=2, folder=folder, model=model)
    found = judge(robot)
    assert found["champion"]["version"] == 2
    assert line_of(found, new)["errors"]["pole_angle"]["usual"] > 5 * usual
    assert line_of(found, new)["verdict"] == "no drift"


def test_what_was_found_last_is_kept_in_few_words(robot):
    other = robot.drive(20, pole_length=0.75)
    found = judge(robot)
    assert latest_drift(robot.home, "cart_pole") == {
        "status": "judged",
        "champion": 1,
        "counts": found["counts"],
        "drifting": [
            {"recording": other, "name": "log-020.csv", "told": line_of(found, other)["told"]}
        ],
    }
    assert latest_drift(robot.home, "another") is None
