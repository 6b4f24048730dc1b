"""Rebuild the registry in MLflow from the store: versions, aliases and audit trail.

Versions keep their numbers, tags, runs and files. A readable database is repaired in place, so runs
and versions of other clients stay; an unreadable one is replaced. The old file is copied first in
both cases. Runs without a version are not in the store and are lost with the database.
"""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

from kinemill.errors import CorruptArtifact, KinemillError
from kinemill.register import tags
from kinemill.register.alias_switch import Event
from kinemill.register.bundle import check_bundle
from kinemill.register.commit import apply, commit, finish
from kinemill.register.consistency import check_registry
from kinemill.register.delete_guard import protect, release
from kinemill.register.ledger import Change, Ledger, ledger_tasks, read_ledger
from kinemill.register.mlflow_rows import put_rows
from kinemill.register.mlflow_tables import RegistryState, connected, read_tables
from kinemill.register.model_version import save
from kinemill.register.versions import CHALLENGER, CHAMPION
from kinemill.store import ArtifactRef, Home, Json, fault_point, open_ref
from kinemill.store.database import database
from kinemill.store.locks import file_timestamp, lock, unused
from kinemill.tracking import Tracking, open_tracking
from kinemill.tracking.database import create_database


def rebuild_registry(home: Home) -> Json:
    """Rebuild the registry in MLflow from the ledgers, for every task.

    Returns:
        `home`, `backup` (copy of the old database file, or null), and in `tasks` for each task the
        number of its versions and its champion.

    Raises:
        BadInput: The home is in use: processes have the database open.
        KinemillError: Files are missing from the store.
    """
    tasks = ledger_tasks(home)
    if not tasks:
        fix = "restore one with kinemill admin restore"
        raise KinemillError(home.ledgers, "holds no ledger", fix=fix)
    with ExitStack() as locks:
        locks.enter_context(unused(home))
        for task in tasks:
            locks.enter_context(lock(home, f"register-{task}"))
        ledgers = [read_ledger(home, task) for task in tasks]
        backup = None if database() else _keep(home)
        tracking = open_tracking(home)
        release(tracking)  # the rebuild may delete an alias that another client set
        rebuilt = {ledger.task: _rebuild(tracking, ledger) for ledger in ledgers}
        protect(tracking)
        for task in tasks:
            check_registry(home, task)
    return {"home": str(home.root), "backup": str(backup) if backup else None, "tasks": rebuilt}


def _keep(home: Home) -> Path | None:
    """Copy a readable database, or move an unreadable one away; return the path."""
    stamp = file_timestamp()
    aside = home.root / f"mlflow.db.before-{stamp}"
    with lock(home, "mlflow"):
        exists = home.mlflow_db.is_file()
        if exists and _is_readable(home):
            shutil.copyfile(home.mlflow_db, aside)
        elif exists:
            home.mlflow_db.rename(aside)
        if not home.mlflow_db.is_file():
            create_database(home)
    return aside if exists else None


def _is_readable(home: Home) -> bool:
    try:
        for task in ledger_tasks(home):
            read_tables(home, task)
    except KinemillError:
        return False
    return True


def _rebuild(tracking: Tracking, ledger: Ledger) -> Json:
    home, task = tracking.home, ledger.task
    previous = read_tables(home, task)
    with connected(home) as connection:
        for number in sorted(ledger.versions):
            put_rows(home, task, number, connection)
    fault_point("rebuild.rows")
    apply(tracking, task, _state(ledger, read_tables(home, task)))
    _delete_unknown_tags(tracking, ledger)
    # Marked as applied before the files are uploaded: missing files are reported by `pull`, a
    # missing mark would stop every command.
    finish(tracking, task, ledger.number)
    for number in sorted(ledger.versions):
        _restore_files(tracking, ledger, number)
    champion = ledger.aliases.get(CHAMPION)
    moved = previous.aliases.get(CHAMPION)
    if champion and moved not in (champion, None) and previous.applied == ledger.number:
        why = f"another MLflow client had made version {moved} champion"
        commit(tracking, task, Change(), Event.of("restored", champion, moved, why))
    return {"versions": len(ledger.versions), "champion": champion}


def _state(ledger: Ledger, current: RegistryState) -> Change:
    """Return the whole state of a task as one change."""
    unknown = current.notes.keys() - ledger.notes.keys() - {tags.APPLIED}
    aliases: dict[str, int | None] = dict(ledger.aliases)
    stray = [
        one for one in (CHAMPION, CHALLENGER) if one in current.aliases.keys() - aliases.keys()
    ]
    return Change(
        tags={number: entry.tags for number, entry in ledger.versions.items()},
        descriptions={number: entry.description for number, entry in ledger.versions.items()},
        aliases=aliases | dict.fromkeys(stray),
        notes=dict.fromkeys(unknown) | ledger.notes,
    )


def _delete_unknown_tags(tracking: Tracking, ledger: Ledger) -> None:
    """Delete kinemill's tags that are not in the ledger."""
    current = read_tables(tracking.home, ledger.task)
    for number, entry in ledger.versions.items():
        stored = current.versions[number].stored.keys() - tags.pack(entry.tags).keys()
        for name in sorted(name for name in stored if name.startswith(tags.OWN)):
            tracking.client.delete_model_version_tag(ledger.task, str(number), name)


def _restore_files(tracking: Tracking, ledger: Ledger, number: int) -> None:
    """Upload the files of a version again if MLflow's copy is missing."""
    entry = ledger.versions[number]
    model = entry.source.removeprefix("models:/")
    if tracking.client.list_logged_model_artifacts(model):
        return
    try:
        ref = ArtifactRef(entry.tags[tags.BUNDLE], entry.tags[tags.BUNDLE_DIGEST])
        bundle = open_ref(tracking.home, ref)
        check_bundle(bundle, entry.tags[tags.SUMS])
    except (KeyError, CorruptArtifact):
        return  # `pull` and `load` report the missing files
    with tempfile.TemporaryDirectory() as aside:
        folder = Path(aside) / "model"
        save(bundle, folder, entry.run_id, model)
        tracking.client.log_model_artifacts(model, str(folder))
