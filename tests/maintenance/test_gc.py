"""Making room: what goes, in which order, and what is left alone."""

import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kinemill.dataset import dataset_versions
from kinemill.errors import KinemillError
from kinemill.maintenance import gc as collector
from kinemill.maintenance.gc import Limits, collect
from kinemill.maintenance.liveness import NoOrchestrator
from kinemill.register import tags
from kinemill.store import digest, find, open_ref, publish_json
from kinemill.store.locks import holders, in_use, lock
from kinemill.task.protocols import NullReporter
from kinemill.tracking import open_tracking
from kinemill.tracking.maintenance import DeletedRun
from tests.maintenance.conftest import publish

DAY = 86400.0
ROOT = Path(__file__).resolve().parents[2]


def gc(home, **expected):
    return collect(home, Limits(**expected), NoOrchestrator(), NullReporter())


def names(result, what="gone"):
    return [item["name"] for item in result[what]]


def test_what_nothing_goes_back_to_goes_users_before_what_they_use(home, made):
    data = made("training_set", days=40, n=1)
    model = made("model", data, days=20)
    files = made("onnx_model", model, days=30)
    result = gc(home)
    assert names(result) == [files.path, model.path, data.path]
    assert not any((home.root / ref.path).exists() for ref in (data, model, files))
    assert result["freed"]["model"]["things"] == 1
    assert result["freed"]["model"]["bytes"] >= 1000


def test_a_dry_run_says_the_same_and_keeps_it(home, made):
    old = made("model", n=1)
    result = gc(home, dry=True)
    assert names(result) == [old.path]
    assert open_ref(home, old).is_dir()


def test_what_was_found_known_lately_stays_with_all_it_was_made_from(home, made):
    data = made("training_set", days=40, n=1)
    made("model", data, days=1)
    assert names(gc(home)) == []


def test_finding_an_outcome_known_is_a_use(home, made):
    made("model", days=40, n=1)
    assert find(home, "model", "cart", digest({"n": 1}))
    assert names(gc(home)) == []


def test_the_newest_dataset_and_the_latest_of_each_stage_stay(home, made):
    old, new = made("dataset", days=40, n=1), made("dataset", days=30, n=2)
    for ref, day in ((old, 40), (new, 30)):
        manifest = home.root / ref.path / "MANIFEST.json"
        os.utime(manifest, (time.time() - day * DAY,) * 2)
    latest = made("model", n=3)
    location = home.dagster / "refs" / "latest" / "cart" / "model.json"
    publish_json(location, latest.to_json())
    result = gc(home)
    assert names(result) == [old.path]
    why = {item["name"]: item["why"] for item in result["kept"]}
    assert why == {new.path: "newest dataset of cart", latest.path: "latest model of cart"}
    assert [version.status(home) for version in dataset_versions(home, "cart")] == ["ready", "gone"]


def test_a_budget_takes_the_oldest_and_no_more_than_it_needs(home, made):
    refs = [made("model", days=days, n=days) for days in (10, 30, 20)]
    previous = gc(home, dry=True)["bytes"]["before"]
    result = gc(home, budget=previous - 1500)
    assert names(result) == [refs[1].path, refs[2].path]
    assert result["within_budget"]
    assert result["bytes"]["after"] <= previous - 1500


def test_what_somebody_at_work_may_use_stays(home, made):
    """A run may be about to read what was last used a minute before it began."""
    ref = made("model", days=0.0, n=1)
    with lock(home, "train/cart/x"):
        assert [holder.lock for holder in holders(home) if holder.lock != "maintenance"] == [
            "train/cart/x"
        ]
        assert names(gc(home, unused=0.0)) == []
    time.sleep(0.01)
    assert names(gc(home, unused=0.0)) == [ref.path]


def test_the_lock_of_a_dead_process_keeps_nothing(home, made):
    script = (
        "import os; from kinemill.store.home import Home; from kinemill.store.locks import lock\n"
    )
    script += "with lock(Home.resolve(), 'train/cart/x'): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False)
    assert (home.root / ".locks" / "train" / "cart" / "x").read_text()
    assert holders(home) == []


def test_what_is_found_known_while_it_goes_is_put_back(home, made, monkeypatch):
    ref = made("model", n=1)
    staging = home.store / ".staging"

    def touched(name):
        if name == "gc.aside":
            os.utime(next(staging.glob("gone-*")))

    monkeypatch.setattr(collector, "fault_point", touched)
    assert names(gc(home)) == []
    assert open_ref(home, ref).is_dir()


WRITTEN_ASIDE = [
    ".aside-1", ".mlflow-1", ".locks/use/run-1", "store/raw/ab/.aside-1", "store/.aside-1",
    "store/registry/cart/.aside-1", "runs/cart/k/.aside-1", "tune/cart/.aside-1",
    "dagster/refs/runs/r/.aside-1", "alerts/.aside-1", "store/.staging/model-cart-1",
    "store/members/cart/.aside-1",
]  # fmt: skip


@pytest.mark.parametrize("location", WRITTEN_ASIDE)
def test_what_a_dead_process_wrote_aside_goes_wherever_it_is(home, made, location):
    old, new = home.root / location, home.root / f"{location}-new"
    for path in (old, new):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 3 * DAY,) * 2)
    with lock(home, "ingest-cart"):  # a process at work, which may write the new one
        assert names(gc(home)) == [location]
    assert new.exists()


@pytest.mark.parametrize("location", ["artifacts/1/r/artifacts/.aside-1", "logs/arm/.aside-1"])
def test_file_of_a_user_with_the_name_of_a_temporary_file_stays(home, made, location):
    path = home.root / location
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    os.utime(path, (time.time() - 3 * DAY,) * 2)
    assert names(gc(home)) == []


def test_drafts_of_tasks_go_after_a_day(home, made):
    del made
    for name, age in (("old", 2 * DAY), ("new", 0.0)):
        log = home.drafts / name / "logs" / "a.csv"
        log.parent.mkdir(parents=True)
        log.write_text("1")
        for path in (log, log.parent, log.parent.parent):
            os.utime(path, (time.time() - age,) * 2)
    assert names(gc(home)) == ["drafts/old"]
    assert [path.name for path in home.drafts.iterdir()] == ["new"]


def test_a_run_that_has_gone_on_for_days_keeps_what_it_wrote_aside(home, made):
    with in_use(home, "run-1"):
        aside = home.runs / "cart" / "k" / ".aside-1"
        aside.parent.mkdir(parents=True)
        aside.write_bytes(b"x")
        (mine,) = (home.root / ".locks" / "use").iterdir()
        then = time.time() - 3 * DAY
        about = json.loads(mine.read_text())
        about["since"] = datetime.fromtimestamp(then, UTC).isoformat(timespec="seconds")
        for path in (aside, mine):
            os.utime(path, (then + 3600.0,) * 2)
        mine.write_text(json.dumps(about | {"host": "another machine"}))  # taken to live
        os.utime(mine, (then + 3600.0,) * 2)
        assert names(gc(home)) == []


def test_logs_of_a_training_go_when_it_ended_long_ago_unless_its_model_is_the_latest(home, made):
    models = [made("model", days=1, n=n) for n in range(3)]
    publish_json(home.dagster / "refs" / "latest" / "cart" / "model.json", models[0].to_json())
    folders = [home.runs / "cart" / Path(ref.path).name for ref in models]
    unfinished = home.runs / "cart" / ("0" * 32)
    for folder in (*folders, unfinished):
        publish_json(folder / "config.json", {})
        for path in (folder / "config.json", folder):
            os.utime(path, (time.time() - (40 if folder != folders[1] else 3) * DAY,) * 2)
    result = gc(home)
    assert [Path(name).name for name in names(result)] == []  # all three models were used lately
    for ref in models:
        os.utime(home.root / ref.path, (time.time() - 3 * DAY,) * 2)
    deleted = [item for item in gc(home, unused=2.0)["gone"] if item["kind"] == "training log"]
    assert [Path(item["name"]).name for item in deleted] == [folders[2].name]
    assert unfinished.is_dir()


def test_the_newest_snapshots_stay_with_what_is_in_quarantine_though_nothing_names_them(home, made):
    locked = made("recording", days=90, n=1)
    shard = made("recordings_shard", locked, days=80)
    older, newer = made("recordings", days=70, n=1), made("recordings", shard, days=60)
    assert names(gc(home)) == [older.path]
    assert open_ref(home, newer).is_dir()
    assert open_ref(home, locked).is_dir()


def test_without_its_registry_a_home_with_models_is_left_alone(home, made):
    ref = made("bundle", n=1)
    with pytest.raises(KinemillError, match="restore a backup"):
        gc(home)
    assert open_ref(home, ref).is_dir()


def test_of_one_task_alone(home, made):
    made("model", n=1)
    other = made("model", task="arm", n=1)
    assert names(gc(home, task="arm")) == [other.path]


@pytest.fixture
def registered(tracked_home):
    """Three versions, the first of them champion, each with a training set of its own."""
    home = tracked_home
    client = open_tracking(home).client
    client.create_registered_model("cart")
    models = []
    for number in (1, 2, 3):
        data = publish(home, "training_set", days=50 - number, n=number)
        model = publish(home, "model", data, days=40 - number)
        made_of = {tags.MODEL: model.digest, tags.MODEL_FOLDER: model.path}
        client.create_model_version("cart", source=f"file:{number}", tags=made_of)
        models.append((data, model))
    client.set_registered_model_alias("cart", "champion", "1")
    return home, models


def test_versions_keep_what_they_were_made_from_and_a_budget_takes_copies_of_refused_ones(
    registered,
):
    home, models = registered
    result = gc(home)
    assert names(result) == []
    why = {item["name"]: item["why"] for item in result["kept"]}
    assert why[models[0][0].path] == "cart version 1, champion"
    assert why[models[1][1].path] == "cart version 2, undecided"
    result = gc(home, budget=1)
    assert names(result) == [models[1][0].path]  # version 3 is the newest, version 1 the champion
    assert not result["within_budget"]
    for _, model in models:
        open_ref(home, model)


def test_files_of_a_run_that_was_deleted_in_mlflow_go_unless_a_version_came_from_it(registered):
    home, _ = registered
    client = open_tracking(home).client
    experiment = client.create_experiment("cart", (home.artifacts / "cart").as_uri())
    folders = []
    for number in range(2):
        run = client.create_run(experiment)
        client.log_text(run.info.run_id, "x", "note.txt")
        folders.append(home.artifacts / "cart" / run.info.run_id / "artifacts")
        client.delete_run(run.info.run_id)
        if number:
            client.create_model_version("cart", source="file:4", run_id=run.info.run_id)
    assert [item["kind"] for item in gc(home)["gone"]] == ["MLflow files"]
    assert [folder.is_dir() for folder in folders] == [False, True]


@pytest.mark.parametrize("location", ["artifacts", "artifacts/../store", "artifacts/cart"])
def test_location_of_a_deleted_run_is_not_deleted_unless_it_is_the_run_folder(
    home, monkeypatch, location
):
    deleted = DeletedRun("r1", "cart", home.root / location, 0.0)
    monkeypatch.setattr(collector, "deleted_runs", lambda _home: [deleted])
    monkeypatch.setattr(collector, "versions_of", lambda *_: [])
    monkeypatch.setattr(type(home), "has_registry", True)
    for folder in (home.store, home.artifacts / "cart"):
        folder.mkdir(parents=True)
    assert list(collector.deleted_in_mlflow(home)) == []


@pytest.mark.parametrize(
    "point",
    [
        "gc.aside:1",
        pytest.param("gc.gone:1", marks=pytest.mark.ci),
        pytest.param("gc.aside:2", marks=pytest.mark.ci),
    ],
)
def test_killed_anywhere_it_leaves_whole_outcomes_with_their_sources(home, made, point):
    data = made("training_set", days=40, n=1)
    model = made("model", data)
    script = (
        "from kinemill.store.home import Home; from kinemill.maintenance.gc import *\n"
        "from kinemill.maintenance.liveness import NoOrchestrator\n"
        "from kinemill.task.protocols import NullReporter\n"
        "collect(Home.resolve(), Limits(), NoOrchestrator(), NullReporter())"
    )
    message = {**os.environ, "KINEMILL_FAULT": point}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=message, check=False)
    assert done.returncode == -9
    there = [(home.root / ref.path).is_dir() for ref in (data, model)]
    assert there in ([True, False], [False, False])  # never a model without its data
    for ref, is_there in zip((data, model), there, strict=True):
        if is_there:
            open_ref(home, ref)
    gc(home)
    assert list((home.store / ".staging").iterdir()) == []
    assert not any((home.root / ref.path).exists() for ref in (data, model))
