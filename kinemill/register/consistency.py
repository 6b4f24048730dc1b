"""Compare the registry in MLflow with the ledger in the store, before it is used.

Every command that reads or writes the registry calls this module first. It completes a commit that
a killed process left unfinished. A registry that is lost, damaged or altered stops the command with
an error; `kinemill admin rebuild-registry` rebuilds it from the store. Versions that other MLflow
clients added are ignored, unless they have one of kinemill's aliases.
"""

from collections.abc import Iterator, Mapping

from kinemill.errors import BadInput
from kinemill.register import tags
from kinemill.register.alias_switch import name_of_version
from kinemill.register.commit import apply, finish
from kinemill.register.ledger import (
    Change,
    Ledger,
    RegistryMismatch,
    changes,
    ledger_tasks,
    read_ledger,
    without_events,
)
from kinemill.register.mlflow_tables import RegistryState, read_tables
from kinemill.register.versions import CHALLENGER, CHAMPION
from kinemill.store.database import database, spell
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill.tracking import Tracking, open_tracking
from kinemill.tracking.database import REBUILD

_OURS = (CHAMPION, CHALLENGER)
_COLUMNS = ("run_id", "source")
_MOST = 3  # differences listed in an error


def open_registry(home: Home, task: str) -> Tracking:
    """Open the registry of a task with at least one version, after comparing it with the ledger.

    Raises:
        BadInput: The task has no version.
        RegistryMismatch: MLflow differs from the ledger.
        KinemillError: The database is lost or damaged.
    """
    require_registry(home, task)
    return open_tracking(home)


def require_registry(home: Home, task: str) -> None:
    """Compare the registry of a task with its ledger, without MLflow, which takes 2 s to import.

    Raises:
        BadInput: The task has no version.
        RegistryMismatch: MLflow differs from the ledger.
        KinemillError: The database is lost or damaged.
    """
    if not is_registered(home, task):
        raise BadInput(task, "has no version yet", fix=f"kinemill run {task}")


def is_registered(home: Home, task: str) -> bool:
    """Return whether a task has a registry, after comparing it with the ledger.

    Raises:
        RegistryMismatch: MLflow differs from the ledger.
        KinemillError: The database is lost or damaged.
    """
    if not home.has_registry:
        if ledger_tasks(home):
            open_tracking(home)  # raises the error that it is lost
        return False
    check_registry(home, task)
    return True


def check_all(home: Home) -> None:
    """Compare the registry of every task with its ledger.

    Raises:
        RegistryMismatch: MLflow differs from the ledger.
        KinemillError: The database is lost or damaged.
    """
    for task in ledger_tasks(home):
        is_registered(home, task)


def check_registry(home: Home, task: str) -> None:
    """Complete an unfinished commit of a task, then compare MLflow with the ledger.

    Raises:
        RegistryMismatch: MLflow differs from the ledger.
        KinemillError: The database is damaged.
    """
    if differing := mismatches(home, task):
        more = f"; and {len(differing) - _MOST} more" if len(differing) > _MOST else ""
        shared = database()
        raise RegistryMismatch(
            spell(shared) if shared else home.mlflow_db,
            f"differs from the ledger of {task} in the store: {'; '.join(differing[:_MOST])}{more}",
            fix=REBUILD,
        )


def mismatches(home: Home, task: str) -> list[str]:
    """Return the differences between MLflow and ledger, after completing an unfinished commit."""
    ledger, state = read_ledger(home, task), read_tables(home, task)
    if not list(differences(ledger, state)):
        return []
    with lock(home, f"ledger-{task}"):  # read again: a commit may have been in progress before
        ledger, state = read_ledger(home, task), read_tables(home, task)
        if state.applied == ledger.number - 1 and _complete(home, ledger, state):
            state = read_tables(home, task)
    return list(differences(ledger, state))


def _complete(home: Home, ledger: Ledger, state: RegistryState) -> bool:
    """Apply the last record again; return False if another client changed the registry.

    If the champion alias is on neither the previous nor the next champion, another client moved it.
    The record then stays unapplied, and the mismatch is reported.
    """
    previous, last = Ledger(ledger.task), Change()
    for last in changes(home, ledger.task):
        if previous.number < ledger.number - 1:
            previous.add(last)
    expected = {states.aliases.get(CHAMPION) for states in (previous, ledger)}
    if state.aliases.get(CHAMPION) not in expected or not set(ledger.versions) <= set(
        state.versions
    ):
        return False
    tracking = open_tracking(home)
    apply(tracking, ledger.task, last)
    finish(tracking, ledger.task, ledger.number)
    return True


def differences(ledger: Ledger, state: RegistryState) -> Iterator[str]:
    """Yield the differences between MLflow and ledger; none for a task without a ledger."""
    if not ledger.number and database() is None:
        champion = state.versions.get(state.aliases.get(CHAMPION, 0))
        if champion and tags.KEY in champion.tags:
            yield "the store has no record of any version (restore it with kinemill admin restore)"
    if not ledger.number:
        return  # a robot may share only the database
    if state.applied != ledger.number:
        yield f"it has {state.applied} of {ledger.number} records"
    yield from _of_versions(ledger, state)
    for alias in _OURS:
        recorded, current = ledger.aliases.get(alias), state.aliases.get(alias)
        if recorded != current:
            names = name_of_version(current), name_of_version(recorded)
            yield f"@{alias} is {names[0]}, but {names[1]} by the last decision"
    notes = {name: value for name, value in state.notes.items() if name != tags.APPLIED}
    if names := _unlike(without_events(ledger.notes), notes):
        yield f"the model has another {', '.join(names)}"


def _of_versions(ledger: Ledger, state: RegistryState) -> Iterator[str]:
    if lost := sorted(set(ledger.versions) - set(state.versions)):
        yield f"version{'s' * (len(lost) > 1)} {', '.join(map(str, lost))} missing"
    for number, entry in sorted(ledger.versions.items()):
        if other := state.versions.get(number):
            pairs = (entry.run_id, other.run_id), (entry.source, other.source)
            names = _unlike(entry.tags, other.own_tags)
            names += [name for name, (one, two) in zip(_COLUMNS, pairs, strict=True) if one != two]
            if names:
                yield f"version {number} has another {', '.join(names)}"


def _unlike(recorded: Mapping[str, str], current: Mapping[str, str]) -> list[str]:
    """Return the names of tags whose values differ, sorted."""
    return sorted(name for name in {*recorded, *current} if recorded.get(name) != current.get(name))
