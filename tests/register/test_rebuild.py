"""A registry that is lost, damaged or altered: each command stops, and the store restores it."""

import shutil
import sqlite3
from contextlib import closing
from functools import partial

import pytest

from kinemill import runtime
from kinemill.errors import KinemillError
from kinemill.maintenance import backups
from kinemill.maintenance.backups import back_up
from kinemill.maintenance.restore import restore
from kinemill.register import (
    audit,
    compare,
    fetch_bundle,
    list_versions,
    promotion,
    recordings_of,
    show,
    tags,
    why,
)
from kinemill.register.commit import commit
from kinemill.register.consistency import check_all
from kinemill.register.ledger import Change, RegistryMismatch, ledger_folder
from kinemill.register.mlflow_rows import rows_file
from kinemill.register.pulls import OfHome
from kinemill.register.rebuild import rebuild_registry
from kinemill.register.warm_start import start_of
from kinemill.runtime import download
from kinemill.runtime.download import run_stored_cases
from kinemill.store import to_json_value
from kinemill.store.home import Home
from kinemill.task import load_task
from kinemill.task.protocols import NullReporter
from kinemill.tracking import MlflowTracker, open_tracking, start_run
from kinemill.tracking.database import create_database


@pytest.fixture(autouse=True)
def _served_here(monkeypatch):
    monkeypatch.setattr(promotion, "serve_zero_window", lambda folder: (True, "answered"))


@pytest.fixture
def full(with_champion, monkeypatch):
    """A registry with champions, a refusal, a rollback and an approval."""
    chain = with_champion(2)
    monkeypatch.setenv("KINEMILL_HOME", str(chain.home.root))
    run_id = start_run(chain.home, "cart", "k", params={"learn": {"lr": 0.1}})
    tracker = MlflowTracker(chain.home, run_id)
    tracker.log_metrics({"train/loss": 0.25}, 10)
    tracker.end()
    chain.register(0.02, gain=0.8, champion=0.1, run_id=run_id)
    promotion.rollback(chain.task, chain.home, why="it shakes")
    chain.register(0.31, gain=0.9)
    return chain


def execute(home, *commands):
    with closing(sqlite3.connect(home.mlflow_db)) as connection, connection:
        for command in commands:
            connection.execute(command)


def hang_up(home):
    """Close the connections that MLflow keeps open, as in a new process."""
    client = open_tracking(home).client
    client._tracking_client.store.engine.dispose()
    client._get_registry_client().store.engine.dispose()


def lose(home):
    home.mlflow_db.unlink()


def empty(home):
    home.mlflow_db.write_bytes(b"")


def garble(home):
    content = bytearray(home.mlflow_db.read_bytes())
    content[: len(content) // 2] = bytes(len(content) // 2)
    home.mlflow_db.write_bytes(content)


def drop_tables(home):
    execute(home, "PRAGMA foreign_keys=OFF", "DROP TABLE model_versions")


def alter_error(home):
    execute(
        home,
        "UPDATE model_version_tags SET value = replace(value, '0.05', '0.01') "
        "WHERE key = 'kinemill.internal' AND version = 2",
    )


def forge_approval(home):
    execute(
        home,
        "INSERT INTO model_version_tags (key, value, name, version, workspace) "
        "VALUES ('kinemill.approved', '{}', 'cart', 4, 'default')",
    )


def garble_tags(home):
    execute(home, "UPDATE model_version_tags SET value = '{' WHERE key = 'kinemill.internal'")


def delete_version(home):
    execute(home, "DELETE FROM model_versions WHERE version = 1")


def move_alias(home):
    execute(home, "UPDATE registered_model_aliases SET version = 1 WHERE alias = 'champion'")


def edit_champion(home):
    execute(home, "UPDATE registered_model_tags SET value = '1' WHERE key = 'kinemill.champion'")


DAMAGE = [
    lose, empty, garble, drop_tables, alter_error, forge_approval, garble_tags, delete_version,
    move_alias,
    edit_champion,
]  # fmt: skip


def commands(chain, folder):
    """Return every command that reads or writes the registry, by name."""
    task, home = chain.task, chain.home
    following = load_task(task.path, {"learn.start_from": "models:/cart@champion"})
    return {
        "models": partial(list_versions, "cart", home),
        "show": partial(show, "cart", home),
        "why": partial(why, home, "cart"),
        "compare": partial(compare, task, home, ":1", ":2"),
        "lineage": partial(recordings_of, home, "cart"),
        "load": partial(fetch_bundle, "models:/cart@champion", home),
        "pull": OfHome(home, "cart", "@champion").resolve,
        "start_from": partial(start_of, following, home),
        "run": partial(chain.register, 0.01, gain=1.0),
        "approve": partial(promotion.approve, task, home, ":4"),
        "promote": partial(promotion.promote, task, home, ":1"),
        "rollback": partial(promotion.rollback, task, home),
        "backup": partial(back_up, home, folder / "pool", NullReporter()),
        "up": partial(check_all, home),
    }


def message(chain, folder):
    """Return the output of all commands about the registry, and the files that a robot gets."""
    home, robot = chain.home, folder / "robot"
    shutil.rmtree(robot, ignore_errors=True)
    result = download.pull(OfHome(home, "cart", "@champion"), robot, try_it=run_stored_cases)
    run = open_tracking(home).client.get_run(show("cart", home, ":3").run_id)
    return {
        "models": to_json_value(list_versions("cart", home)),
        "show": [to_json_value(show("cart", home, f":{number}")) for number in range(1, 5)],
        "why": [why(home, "cart", f":{number}") for number in range(1, 5)],
        "audit": to_json_value(audit(home, "cart")),
        "pull": result["version"],
        "load": runtime.load("models:/cart@champion").interface,
        "runs": (run.data.params, run.data.metrics, run.data.tags, run.info.artifact_uri),
        "history": open_tracking(home).client.get_metric_history(run.info.run_id, "train/loss"),
        "inputs": run.inputs.dataset_inputs[0].dataset.digest,
    }


QUICK = {lose, drop_tables, forge_approval, move_alias}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(one, id=one.__name__, marks=() if one in QUICK else pytest.mark.slow)
        for one in DAMAGE
    ],
)
def test_it_is_seen_by_every_command_and_comes_back_from_the_store(full, tmp_path, damage):
    home = full.home
    previous = message(full, tmp_path)
    hang_up(home)
    damage(home)
    for name, command in commands(full, tmp_path).items():
        with pytest.raises(KinemillError, match="kinemill admin rebuild-registry"):
            pytest.fail(f"{name} went ahead: {command()}")
    assert "rebuild-registry" in audit(home, "cart").gaps[0]
    if damage is lose:
        assert not home.mlflow_db.exists()  # nobody made an empty one in its place
    result = rebuild_registry(home)
    after = message(full, tmp_path)
    if damage is move_alias:
        assert after["audit"]["events"].pop()["what"] == "restored"
    assert {name: value for name, value in previous.items() if after[name] != value} == {}
    assert result["tasks"] == {"cart": {"versions": 4, "champion": 2}}
    assert (result["backup"] is None) == (damage is lose)
    assert full.register(0.31, gain=0.9).status == "unchanged"
    assert full.register(0.3, gain=1.1).version == 5


def test_an_older_database_that_is_put_back_is_not_taken_for_the_registry(full, tmp_path):
    old = tmp_path / "old.db"
    shutil.copyfile(full.home.mlflow_db, old)
    full.register(0.29, gain=1.2)
    previous = message(full, tmp_path)
    hang_up(full.home)
    shutil.copyfile(old, full.home.mlflow_db)
    with pytest.raises(KinemillError, match="version 5 missing"):
        full.register(0.1, gain=1.3)
    rebuild_registry(full.home)
    assert message(full, tmp_path) == previous


def test_what_mlflow_lost_of_its_files_comes_from_the_bundle(full, tmp_path):
    shutil.rmtree(full.home.artifacts)
    hang_up(full.home)
    lose(full.home)
    rebuild_registry(full.home)
    client = open_tracking(full.home).client
    (model,) = client.search_logged_models(
        [open_tracking(full.home).experiment("cart")], max_results=1
    )
    assert any("bundle" in item.path for item in client.list_logged_model_artifacts(model.model_id))


def test_versions_and_runs_of_other_clients_stay(full):
    client = open_tracking(full.home).client
    own = start_run(full.home, "cart", "another")
    client.create_model_version("cart", "file:theirs")
    alter_error(full.home)
    rebuild_registry(full.home)
    assert client.get_run(own).info.run_id == own
    assert client.get_model_version("cart", "5").source == "file:theirs"


def test_an_experiment_that_took_the_number_of_a_lost_one_stays(full):
    hang_up(full.home)
    lose(full.home)
    create_database(full.home)
    client = open_tracking(full.home).client
    theirs = client.create_experiment("another")
    assert theirs == "1"  # the number that the lost database had for the task
    rebuild_registry(full.home)
    assert client.get_experiment(theirs).name == "another"
    assert client.get_experiment_by_name("cart").experiment_id == "2"
    assert client.get_run(show("cart", full.home, ":3").run_id).info.experiment_id == "2"


def test_a_record_is_written_only_on_top_of_what_mlflow_shows(full):
    change = Change(aliases={"champion": 1})
    open_tracking(full.home).client.set_registered_model_tag("cart", tags.APPLIED, "99")
    with pytest.raises(RegistryMismatch, match="is not the ledger of the registry, which has 99"):
        commit(open_tracking(full.home), "cart", change)


def test_a_ledger_that_is_damaged_or_incomplete_says_so(full):
    folder = ledger_folder(full.home, "cart")
    text = (folder / "000002.json").read_text()
    for content in ("no json", "[]", '{"format": 1}', '{"format": 7}'):
        (folder / "000002.json").write_text(content)
        with pytest.raises(KinemillError, match=r"000002\.json"):
            list_versions("cart", full.home)
    (folder / "000002.json").unlink()
    with pytest.raises(KinemillError, match=r"000002.json: is missing.*kinemill admin restore"):
        list_versions("cart", full.home)
    (folder / "000002.json").write_text(text)
    rows_file(full.home, "cart", 2).unlink()
    hang_up(full.home)
    lose(full.home)
    with pytest.raises(
        KinemillError, match=r"rows/000002.json: is missing.*kinemill admin restore"
    ):
        rebuild_registry(full.home)


def test_without_a_ledger_there_is_nothing_to_rebuild(chain):
    with pytest.raises(KinemillError, match="holds no ledger"):
        rebuild_registry(chain.home)


def test_a_backup_holds_database_and_ledger_of_one_moment(with_champion, tmp_path, monkeypatch):
    """A decision that is made during the copy is in neither copy."""
    chain = with_champion(1)
    real, came = backups.fault_point, []

    def register_meanwhile(name):
        if name == "backup.databases" and not came:
            came.append(chain.register(0.01, gain=0.9, champion=0.1).version)
        real(name)

    monkeypatch.setattr(backups, "fault_point", register_meanwhile)
    back_up(chain.home, tmp_path / "pool", NullReporter())
    assert came == [2]
    there = Home(tmp_path / "again")
    restore(there, tmp_path / "pool", NullReporter())
    assert [line.version for line in list_versions("cart", there).versions] == [1]
    assert audit(there, "cart").gaps == []
