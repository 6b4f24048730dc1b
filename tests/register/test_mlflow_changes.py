"""Changes that people and programs make in MLflow: each is legitimate, and no command stops."""

import shutil
import sqlite3
import threading
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.errors import BadInput, CorruptArtifact, KinemillError, Unreachable
from kinemill.register import audit, fetch_bundle, list_versions, promotion, show, why
from kinemill.register.alias_switch import ChampionChanged, follow
from kinemill.register.audit_log import CHAMPION_CHANGES, MOVED
from kinemill.register.champion import load_champion
from kinemill.register.versions import aliases_of, champion_of, find_version
from kinemill.runtime.integrity import SUMS
from kinemill.store import file_digest
from kinemill.tracking import open_tracking
from tests.register.conftest import Claims, hang_up

pytestmark = pytest.mark.ci

READS = [
    "model list cart", "model show cart", "model show cart:1", "model why cart", "model why cart:1",
    "model audit cart", "model lineage cart:1", "model report cart:1 --to {out}/report.html",
    "model export cart:1 --to {out}/model", "model pull cart:1 --to {out}/robot",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _served_here(monkeypatch):
    monkeypatch.setattr(promotion, "run_stored_cases", lambda folder: (True, "answered"))


def set_alias(name, version, client):
    client.set_registered_model_alias("cart", name, version)


def delete_alias(client):
    client.delete_registered_model_alias("cart", "champion")


def set_tags(client):
    for name, value in (("team", "arm"), ("kinemill.decision", "great"), ("kinemill.key", "")):
        client.set_model_version_tag("cart", "2", name, value)
    client.set_model_version_tag("cart", "2", "kinemill.report", "nowhere/report.html")
    client.set_registered_model_tag("cart", "kinemill.task", "{")


def delete_tags(client):
    for name in client.get_model_version("cart", "2").tags:
        client.delete_model_version_tag("cart", "2", name)


def describe(client):
    client.update_model_version("cart", "3", "the calm one")
    client.update_registered_model("cart", "a cart")


def delete_version(number, client):
    client.delete_model_version("cart", number)


def register_by_hand(alias, client):
    version = client.create_model_version("cart", source="s3://models/cart")
    client.set_registered_model_alias("cart", alias, version.version)


# Each change, and the champion after it; it was version 3.
CHANGES = {
    "champion moved": (partial(set_alias, "champion", "1"), 1),
    "challenger set": (partial(set_alias, "challenger", "1"), 3),
    "alias of a fleet set": (partial(set_alias, "pilots", "2"), 3),
    "champion alias deleted": (delete_alias, None),
    "tags set": (set_tags, 3),
    "tags deleted": (delete_tags, 3),
    "descriptions changed": (describe, 3),
    "version deleted": (partial(delete_version, "2"), 3),
    "champion deleted": (partial(delete_version, "3"), None),
    "version registered by hand": (partial(register_by_hand, "pilots"), 3),
    "champion registered by hand": (partial(register_by_hand, "champion"), 4),
}


def run_reads(chain, out):
    """Run each command that reads the registry; return its exit code or its error by command."""
    results = {}
    for command in READS:
        done = CliRunner().invoke(app, command.format(out=out).split())
        results[command] = done.exception or done.exit_code
    return results


def check_audit(chain):
    """Check that the events are a chain that ends in MLflow's champion; return them."""
    result, champion = audit(chain.home, "cart"), None
    for event in result.events:
        if event.what in CHAMPION_CHANGES and event.status == "done":
            assert event.previous == champion
            champion = event.version
    assert result.champion == champion == aliases_of(chain.home, "cart").get("champion")
    return result.events


def check_commands(chain, out, champion):
    """Check that commands work after a change, with this champion."""
    results = run_reads(chain, out)
    assert set(results.values()) <= {0}, results
    events = check_audit(chain)
    assert audit(chain.home, "cart").champion == champion
    if champion != 3:
        moved = events[-1]
        assert (moved.what, moved.version, moved.previous) == (MOVED, champion, 3)
    other = 2 if champion == 1 else 1
    promotion.promote(chain.task, chain.home, f":{other}", force=True, why="calm")
    back = promotion.rollback(chain.task, chain.home, to=":1" if other == 2 else "")
    assert back.version != other
    check_audit(chain)


@pytest.fixture
def three(with_champion, monkeypatch):
    """A registry with versions 1 to 3, of which 3 is champion."""
    return with_champion(3)


def client_of(chain):
    return open_tracking(chain.home).client


# One of each outcome: another champion, the same one, and none.
QUICK = ("champion moved", "tags deleted", "champion deleted")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else pytest.mark.ci) for name in CHANGES],
)
def test_change_in_mlflow_stops_no_command(three, tmp_path, name):
    change, champion = CHANGES[name]
    change(client_of(three))
    check_commands(three, tmp_path, champion)


def test_change_in_mlflow_stops_no_registration(three):
    client = client_of(three)
    names = ("champion moved", "tags set", "champion alias deleted", "version deleted")
    for number, (change, _) in enumerate(CHANGES[name] for name in names):
        if number:
            client.set_registered_model_alias("cart", "champion", "1")
        change(client)
        error = 0.02 / 2**number
        made = three.register(error, gain=2.0 + number, champion=2 * error)
        assert made.decision == "champion"
        assert three.register(error, gain=2.0 + number).status == "unchanged"
        check_audit(three)


def test_move_in_mlflow_is_explained(three):
    three.register(0.31, gain=0.9)
    client_of(three).set_registered_model_alias("cart", "champion", "4")
    text = why(three.home, "cart", ":4")["explanation"]
    assert text.startswith("made champion in MLflow by user unknown, noticed 20")
    text = why(three.home, "cart", ":3")["explanation"]
    assert text.startswith("replaced as champion in MLflow")


def test_user_who_moved_the_champion_is_recorded_if_known(three):
    client_of(three).set_registered_model_alias("cart", "champion", "1")
    follow(three.home, "cart", who="pam")
    moved = check_audit(three)[-1]
    assert (moved.who, moved.what, moved.version) == ("pam", MOVED, 1)
    assert "in MLflow by user pam, noticed 20" in why(three.home, "cart", ":1")["explanation"]


def test_audit_log_records_the_files_of_each_version(three):
    client = client_of(three)
    client.set_registered_model_alias("cart", "champion", "1")
    promotion.promote(three.task, three.home, ":2")
    events = check_audit(three)
    assert [event.version for event in events] == [1, 2, 3, 1, 2]
    assert events[0].files != events[1].files
    for event in events:
        version = client.get_model_version("cart", str(event.version))
        assert (event.source, event.files) == (version.source, version.tags["kinemill.sums"])


def test_changed_files_of_a_version_are_named(three, tmp_path):
    """Neither a changed file nor a changed list of files is loaded, promoted or pulled."""
    client, version = client_of(three), find_version(three.home, "cart", ":2")
    loads = (
        partial(fetch_bundle, "models:/cart/2", three.home),
        partial(promotion.promote, three.task, three.home, ":2"),
    )
    client.set_model_version_tag("cart", "2", "kinemill.sums", "0" * 64)
    for load in loads:
        with pytest.raises(KinemillError, match=r"cart/2.*: its files were changed in MLflow"):
            load()
    client.set_model_version_tag("cart", "2", "kinemill.sums", version.sums)
    other = find_version(three.home, "cart", ":1")  # another bundle of the store, and intact
    for name in ("kinemill.bundle", "kinemill.bundle_digest"):
        client.set_model_version_tag("cart", "2", name, other.tags[name])
    assert file_digest(fetch_bundle("models:/cart/2", three.home) / SUMS) == version.sums

    logged = client.get_logged_model(version.logged_model)
    copy = Path(logged.artifact_location.removeprefix("file://")) / "bundle" / "rollout.onnx"
    copy.write_bytes(copy.read_bytes()[:-1] + b"!")
    shutil.rmtree(three.home.store / "fetched")
    named = r"models:/cart/2: has no intact files: .*MLflow's copy: .*rollout.onnx: is missing or"
    with pytest.raises(CorruptArtifact, match=named):
        fetch_bundle("models:/cart/2", three.home)


def test_version_of_another_user_with_a_stolen_key_is_not_decided(three):
    """A version with the key of a future registration, made by a user who may register."""
    made = three.register(0.01, gain=0.9, champion=0.02)
    client = client_of(three)
    stolen = dict(client.get_model_version("cart", str(made.version)).tags)
    client.delete_model_version("cart", str(made.version))
    known = ("kinemill.key", "kinemill.bundle", "kinemill.bundle_digest")
    forged = {name: stolen[name] for name in known} | {"kinemill.sums": "0" * 64}
    client.create_model_version("cart", source="s3://models/cart", tags=forged)
    again = three.register(0.01, gain=0.9, champion=0.02)
    assert (again.version, again.decision) == (6, "champion")


def test_deleted_version_is_named_as_deleted(three):
    client_of(three).delete_model_version("cart", "2")
    with pytest.raises(BadInput, match=r"cart:2: was deleted in MLflow; expected one of 3@champ"):
        show("cart", three.home, ":2")
    with pytest.raises(BadInput, match="was deleted in MLflow"):
        promotion.promote(three.task, three.home, ":2")
    assert promotion.rollback(three.task, three.home).version == 1  # version 2 is skipped
    assert [item.version for item in list_versions("cart", three.home).versions] == [3, 1]


def test_renamed_model_is_gone_and_the_next_run_registers_anew(three):
    client_of(three).rename_registered_model("cart", "wagon")
    assert list_versions("cart", three.home).versions == []
    for command in (
        partial(show, "cart", three.home),
        partial(promotion.rollback, three.task, three.home),
        partial(promotion.promote, three.task, three.home, ":1"),
    ):
        with pytest.raises(BadInput, match="has no version: MLflow's users deleted or renamed"):
            command()
    events = check_audit(three)
    assert (events[-1].what, events[-1].version) == (MOVED, None)
    made = three.register(0.1)
    assert (made.version, made.status) == (1, "done")


def test_copied_version_does_not_hide_the_original(three):
    tracking = open_tracking(three.home)
    with tracking.as_default():
        tracking.client.copy_model_version("models:/cart/1", "cart")
    again = three.register(0.1, gain=0.5, champion=0.15)
    assert (again.version, again.status) == (1, "unchanged")


def test_champion_moved_during_the_evaluation_is_compared_again(three):
    class Moving(Claims):
        def serve(self, folder):
            client_of(three).set_registered_model_alias("cart", "champion", "1")
            return super().serve(folder)

    made = three.register(0.01, gain=0.9, evidence=Moving(0.01, 0.1))
    assert (made.decision, made.previous_champion) == ("champion", 1)
    events = [(event.what, event.version) for event in check_audit(three)[-2:]]
    assert events == [(MOVED, 1), ("champion", 4)]


def test_promotions_by_mlflow_and_kinemill_at_once_leave_a_complete_audit(three):
    client = client_of(three)

    def move():
        for number in range(20):
            client.set_registered_model_alias("cart", "champion", str(1 + number % 3))

    thread = threading.Thread(target=move)
    thread.start()
    while thread.is_alive():
        for number in (1, 2, 3):
            try:
                promotion.promote(three.task, three.home, f":{number}")
            except (BadInput, ChampionChanged):
                continue  # it is champion already, or MLflow was faster
    thread.join()
    check_audit(three)


def test_champion_of_another_program_is_no_reference_for_drift(three):
    register_by_hand("champion", client_of(three))
    assert load_champion(three.home, "cart") is None
    with pytest.raises(CorruptArtifact, match="models:/cart/4: was not registered by kinemill"):
        fetch_bundle("models:/cart@champion", three.home)


def test_alias_of_a_missing_version_is_one_clear_error(three):
    with closing(sqlite3.connect(three.home.mlflow_db)) as connection, connection:
        connection.execute("UPDATE registered_model_aliases SET version = 99")
    assert len(list_versions("cart", three.home).versions) == 3
    for command in (champion_of, load_champion):
        with pytest.raises(BadInput, match=r"cart:99: is not a version"):
            command(three.home, "cart")
    with pytest.raises(BadInput, match=r"cart@champion, version 99: is not a version"):
        fetch_bundle("models:/cart@champion", three.home)
    assert promotion.promote(three.task, three.home, ":1").version == 1


def test_lost_database_is_reported_and_not_replaced(three):
    hang_up(three.home)
    three.home.mlflow_db.unlink()
    for command in (
        partial(list_versions, "cart", three.home),
        partial(audit, three.home, "cart"),
        partial(promotion.rollback, three.task, three.home),
        partial(three.register, 0.1),
    ):
        with pytest.raises(Exception, match="is missing, but there are versions of cart; restore"):
            command()
    assert not three.home.mlflow_db.exists()


def test_unreachable_server_is_named(three, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Unreachable, match=r"http://127.0.0.1:9: .* respond \(\[Errno 111\] Conn"):
        list_versions("cart", three.home)
