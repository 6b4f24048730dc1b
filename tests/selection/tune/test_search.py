"""Trials: shared between processes, gone on with, judged on validation data alone."""

import shutil
import signal
import subprocess
import time
from contextlib import ExitStack

import numpy as np
import pytest
import yaml

from kinemill.augment import stage as augment
from kinemill.dataset import load_dataset
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.selection.tune import (
    best_of,
    describe,
    list_trials,
    tracked,
    write_best,
)
from kinemill.selection.tune.search import begin, folder_of, read_search
from kinemill.selection.tune.settings import complete
from kinemill.selection.tune.study import FILE, next_trial, open_study
from kinemill.selection.validation_errors import ValidationRows
from kinemill.store.home import Home
from kinemill.task import load_task, parse_overrides
from kinemill.tracking import open_tracking
from kinemill.train import TrainingJob, load_model
from tests.selection.tune.conftest import go, packed_with, start
from tests.train.conftest import publish, swing

pytestmark = pytest.mark.slow


def errors(search) -> list[float | None]:
    return [line.error for line in list_trials(search)]


def test_a_search_begins_with_the_own_settings_and_ends_with_what_was_asked_for(searched, tmp_path):
    result = list_trials(searched)
    assert [line.state for line in result] == ["done"] * 4
    assert (result[0].is_baseline, result[0].settings) == (True, {})
    assert best_of(result).error == min(errors(searched))
    document = describe(searched, result)
    assert (document["trials"], document["best"]["number"]) == (4, best_of(result).number)
    moved = Home(shutil.copytree(searched.home.root, tmp_path / "moved"))
    search = read_search(folder_of(moved, searched.name))
    go(search, 4)  # enough: nothing is done again
    assert list_trials(search) == result
    go(search, 5)
    assert list_trials(search)[:4] == result
    assert len(errors(search)) == 5


def test_equal_seeds_choose_alike_and_others_do_not(searched, search_of, tmp_path):
    message = [[line.settings for line in list_trials(searched)][:3]]
    for name, seed in (("same", 0), ("other", 1)):
        search = search_of(home=Home(tmp_path / name), tune__seed=seed)
        go(search, 3)
        message.append([line.settings for line in list_trials(search)])
        assert errors(search)[0] == errors(searched)[0]  # the own settings
    assert message[0] == message[1]
    assert message[0] != message[2]


def test_test_data_changes_no_error(searched, search_of):
    """The test episode of the second dataset is a thousand times too large, and half of it NaN."""
    spoilt = 1000.0 * swing(60, 11)
    spoilt[30:] = np.nan
    search = search_of(packed=packed_with(spoilt))
    go(search, 3)
    assert errors(search) == errors(searched)[:3]
    assert [line.settings for line in list_trials(search)] == [
        line.settings for line in list_trials(searched)[:3]
    ]


def test_the_chain_finds_the_best_model_made(searched, pendulum):
    best = min(
        (line for line in list_trials(searched) if not line.is_baseline),
        key=lambda line: line.error,
    )
    task = pendulum(**best.settings)  # what `kinemill run --set @best.yaml` makes of the file
    training_set = augment.run(task, searched.home, searched.dataset).ref
    assert TrainingJob(task, searched.home, searched.dataset, training_set).find_model() is not None


def test_settings_leave_nothing_of_the_own_plug_in(search_of):
    search = search_of(learn__model={"type": "gru", "layers": 2})
    task, settings = complete(search, {"learn.model": {"type": "gru", "hidden_size": 8}})
    assert (task.learn.model.layers, settings["learn.model.layers"]) == (1, 1)
    assert next(iter(settings)) == "learn.model.type"


def test_the_best_settings_are_a_file_of_overrides(searched, task_file):
    read = parse_overrides([f"@{write_best(searched)}"])
    assert read == best_of(list_trials(searched)).settings
    assert load_task(task_file, read).learn.history == read.get("learn.history", 3)


def test_trial_error_is_the_score_of_the_portfolio(searched):
    best = best_of(list_trials(searched))
    task, _ = complete(searched, best.settings)
    training_set = augment.run(task, searched.home, searched.dataset).ref
    model = TrainingJob(task, searched.home, searched.dataset, training_set).find_model()
    packed = load_dataset(searched.home, searched.dataset)
    rows = ValidationRows(packed, searched.history, task.verify.horizon)
    module = load_model(searched.home.root / model.ref.path)
    assert best.error == rows.errors_of(module).score


def test_validation_episodes_must_hold_a_window(search_of):
    with pytest.raises(BadInput, match=r"no episode has 204 steps.*shorten `learn.history`"):
        search_of(verify__horizon=200)


def test_a_trial_that_cannot_be_is_counted_and_told(search_of):
    select = {
        "select": [{"type": "transformer", "size": {"select": [8]}, "heads": {"select": [2]}}]
    }
    search = search_of(
        tune__space={"learn": {"model": select, "optimizer": {"lr": {"range": [9e2, 1e3]}}}}
    )
    go(search, 2)
    own, bad = list_trials(search)
    assert own.state == "done"
    assert bad.state == "failed"
    assert "finite" in bad.why
    document = describe(search, [own, bad])
    assert (document["trials"], document["failed"], document["best"]["number"]) == (2, 1, 0)


def test_bad_trials_are_pruned(search_of):
    """A rate at which nothing is learned ends at the first evaluation that counts."""
    rates = {"select": [1e-2, 1e-9]}
    search = search_of(
        tune__space={"learn": {"optimizer": {"lr": rates}, "seed": {"range": [0, 99]}}},
        tune__pruning="median",
        tune__startup=20,
        learn__steps=60,
    )
    go(search, 6)
    result = list_trials(search)
    pruned = [line for line in result if line.state == "pruned"]
    assert 1e-9 in {line.settings["learn.optimizer.lr"] for line in pruned}
    assert all(20 <= line.last[0] < 60 for line in pruned)  # a third is for getting under way
    assert result[0].state == "done"  # what all is compared with
    assert best_of(result).settings.get("learn.optimizer.lr", 1e-3) != 1e-9


def test_horizons_are_searched_without_pruning(search_of):
    search = search_of(
        tune__space={"learn": {"horizon": {"select": [2, 6]}}}, tune__pruning="median"
    )
    assert not search.prunes
    go(search, 3)
    assert all(line.state == "done" and line.last is None for line in list_trials(search))


def test_no_time_is_no_result_and_the_next_call_goes_on(search_of):
    search = search_of()
    go(search, 3, until=time.time() - 1.0)
    assert [line.state for line in list_trials(search)] == ["waiting"]
    go(search, 1)
    assert [line.state for line in list_trials(search)] == ["done"]


def test_what_runs_is_left_alone_and_what_was_lost_is_tried_again(search_of, pendulum):
    search, locked = search_of(), ExitStack()
    with locked:
        _, first = next_trial(search, pendulum(), 2, 0, locked)
        with ExitStack() as also:
            _, second = next_trial(search, pendulum(), 2, 1, also)
            assert next_trial(search, pendulum(), 2, 2, ExitStack()) is None
        # The second one's lock is free now, as if its process had died.
        with ExitStack() as again:
            _, third = next_trial(search, pendulum(), 2, 2, again)
            assert third.params == second.params
            assert third.user_attrs["proposed"] == second.user_attrs["proposed"]
        assert [line.state for line in list_trials(search)] == ["running", "lost", "running"]
        with ExitStack() as again:
            assert next_trial(search, pendulum(), 2, 2, again)[1].number == 3
        # Its third death is its last: there is a first trial, which runs, and one that failed.
        assert next_trial(search, pendulum(), 2, 2, ExitStack()) is None
    assert first.number == 0
    assert [line.state for line in list_trials(search)] == ["running", "lost", "lost", "failed"]


def test_damaged_study_is_refused_with_its_file(search_of):
    search = search_of()
    (search.folder / FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(CorruptArtifact, match=r"optuna\.db.*not a database"):
        list_trials(search)


def test_home_with_special_characters_holds_a_study(search_of, tmp_path):
    search = search_of(home=Home(tmp_path / "a b?#%{x}"))
    assert [line.state for line in list_trials(search)] == ["waiting"]
    assert (search.folder / FILE).is_file()


def test_the_run_of_a_search_holds_those_of_its_trials(search_of, tracked_home):
    search = search_of(home=tracked_home)
    for trials in (2, 3):  # it goes on in the same run
        with tracked(search) as (run, experiment):
            go(search, trials, parent=run, experiment=experiment)
    client = open_tracking(tracked_home).client
    runs = client.search_runs([experiment])
    whole = client.get_run(run)
    trials = [each for each in runs if each.data.tags.get("mlflow.parentRunId") == run]
    assert (len(runs), len(trials)) == (4, 3)
    assert {each.info.status for each in runs} == {"FINISHED"}
    best = best_of(list_trials(search))
    assert whole.data.metrics["best"] == pytest.approx(best.error)
    message = sorted(trial.data.metrics["error"] for trial in trials)
    assert message == pytest.approx(sorted(errors(search)))
    curve = client.get_metric_history(trials[0].info.run_id, "validation/multi_step")
    assert [point.step for point in curve] == [10, 20, 30]


def kill(worker: "subprocess.Popen[bytes]", after: float) -> None:
    time.sleep(after)
    worker.send_signal(signal.SIGKILL)
    worker.wait()


def test_a_killed_search_ends_as_if_it_had_not_been(search_of, pendulum, tmp_path):
    whole = search_of(home=Home(tmp_path / "whole"), learn__steps=300)
    go(whole, 5)
    broken = search_of(home=Home(tmp_path / "broken"), learn__steps=300)
    for _ in range(3):  # at any time: while it imports, chooses, trains or writes
        kill(start(broken, 5, 0), after=float(np.random.default_rng().uniform(2.0, 8.0)))
    worker = start(broken, 5, 0)
    assert worker.wait(timeout=300) == 0, worker.stderr.read().decode()
    done = [line for line in list_trials(broken) if line.state == "done"]
    assert [line.settings for line in done] == [line.settings for line in list_trials(whole)]
    assert [line.error for line in done] == errors(whole)


def test_two_workers_share_a_study(search_of, pendulum):
    search = search_of()
    open_study(search, pendulum())
    workers = [start(search, 8, number) for number in range(2)]
    for worker in workers:
        assert worker.wait(timeout=300) == 0, worker.stderr.read().decode()
    result = list_trials(search)
    assert [line.state for line in result] == ["done"] * 8
    assert len({str(line.settings) for line in result}) == 8


def test_a_task_without_a_model_is_searched_over_the_candidates_of_its_portfolio(
    task_file, home, packed
):
    """The first trial is the portfolio itself; the others set whole parts of `learn`."""
    document = yaml.safe_load(task_file.read_text())
    document["learn"] = {"type": "dynamics", "steps": 10, "budget": 2.0, "batch_size": 32}
    document["tune"] = {"startup": 2}
    task_file.write_text(yaml.safe_dump(document, sort_keys=False))
    search = begin(load_task(task_file), home, publish(home, packed), {})
    assert not search.prunes  # horizons differ
    go(search, 4)
    lines = list_trials(search)
    assert sum(line.error is not None for line in lines) >= 3
    assert lines[0].is_baseline
    for line in lines[1:]:
        assert {"learn.model.type", "learn.history"} <= line.settings.keys()
        assert load_task(task_file, line.settings).learn.model is not None
