"""Study of a search: assignment of trials, pruning, retries after a crash.

Optuna proposes settings (TPE: Bergstra et al., 2011) and the journal stores them. A worker holds a
lock for its trial. A running trial without a lock has lost its process: its settings are repeated,
from the last checkpoint of the training.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import IO

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import Trial, TrialState

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.store import Json, digest
from kinemill.store.database import address_of, held_by_all, make_schema
from kinemill.store.locks import lock
from kinemill.task.document import Task
from kinemill.task.search import Number, select_values
from kinemill.tune.search import Search

ATTEMPTS = 3  # per proposal; settings that crashed three processes would crash the next one
OWN, ATTEMPT, PROPOSED, WHY = "own", "attempt", "proposed", "why"
_EARLY = "ended early: "
FILE = "journal.log"


class _LockHeld(Exception):
    """Another process holds the lock."""


class Proposals:
    """A chooser with Optuna's proposals for a trial."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    def select(self, name: str, labels: list[str]) -> int:
        """Return the index of the proposed item."""
        return labels.index(self.trial.suggest_categorical(name, labels))

    def range(self, name: str, low: Number, high: Number, step: Number | None, log: bool) -> Number:
        """Return the proposed number, on the grid `low + n * step`."""
        if isinstance(low, int) and isinstance(high, int) and isinstance(step or 0, int):
            by = int(step or 1)
            return self.trial.suggest_int(
                name, low, low + (high - low) // by * by, step=by, log=log
            )
        if step is None:
            return self.trial.suggest_float(name, float(low), float(high), log=log)
        most = int((high - low) / step + 1e-9)  # 0.3 / 0.1 is slightly less than 3
        return low + step * self.trial.suggest_int(name, 0, most)


def open_study(search: Search, task: Task) -> optuna.Study:
    """Open the study of a search; the first process creates it with the task's settings."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = open_storage(search.folder)
    with lock(search.home, f"tune/{search.name}/made"):
        made = search.name not in optuna.get_all_study_names(storage)
        study = optuna.create_study(
            storage=storage, study_name=search.name, load_if_exists=True, pruner=_pruner(task)
        )
        if made:
            study.enqueue_trial({}, user_attrs={OWN: True, ATTEMPT: 1})
    return study


def _pruner(task: Task) -> optuna.pruners.BasePruner:
    if task.tune.pruning == "none":
        return optuna.pruners.NopPruner()
    if task.learn.steps is None:
        fix = "set tune.pruning to none, or learn.steps instead of learn.epochs"
        where = f"tune.pruning: {task.tune.pruning}"
        raise BadInput(where, "compares trials by steps, and learn.epochs is set", fix=fix)
    steps = task.learn.steps
    if task.tune.pruning == "hyperband":
        least = max(1, steps // 9)
        return optuna.pruners.HyperbandPruner(min_resource=least, max_resource=max(steps, least))
    # Errors in the first third predict little: the learning rate is high or rising.
    return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=steps // 3)


def next_trial(
    search: Search, task: Task, trials: int, asker: int, stack: ExitStack
) -> tuple[optuna.Study, Trial] | None:
    """Start the next trial with proposed settings; hold its lock until `stack` is closed.

    `asker` seeds the sampler, so that concurrent proposals differ. It returns the study and the
    trial, or None if the total is reached.
    """
    with lock(search.home, f"tune/{search.name}/study"):
        study = open_study(search, task)
        take_back(search, study)
        spent = _spent(study)
        if spent >= trials:
            return None
        seed = int(digest([task.tune.seed, asker, spent])[:8], 16)
        study.sampler = optuna.samplers.TPESampler(n_startup_trials=task.tune.startup, seed=seed)
        trial = study.ask()
        stack.enter_context(lock(search.home, _name(search, trial.number)))
        own = OWN in trial.user_attrs
        trial.set_user_attr(PROPOSED, {} if own else select_values(search.space, Proposals(trial)))
        return study, trial


def _name(search: Search, number: int) -> str:
    return f"tune/{search.name}/{number}"


def _spent(study: optuna.Study) -> int:
    """Return the number of trials, including running ones, without those to repeat."""
    again = [reason["again"] for reason in ended_early(study).values()]
    every = study.get_trials(deepcopy=False)
    return sum(trial.state != TrialState.WAITING for trial in every) - sum(again)


def ended_early(study: optuna.Study) -> dict[int, Json]:
    """Return by number the reasons of trials without a result, and whether they are repeated."""
    attributes = study.user_attrs
    early = {key: value for key, value in attributes.items() if key.startswith(_EARLY)}
    return {int(key.removeprefix(_EARLY)): reason for key, reason in early.items()}


def give_back(study: optuna.Study, number: int, why: str) -> None:
    """End a trial without a result, and enqueue its settings again."""
    (trial,) = (one for one in study.get_trials(deepcopy=False) if one.number == number)
    attempt = trial.user_attrs.get(ATTEMPT, 1)
    again = attempt < ATTEMPTS
    study.set_user_attr(f"{_EARLY}{number}", {"why": why, "again": again})
    study.tell(number, state=TrialState.FAIL)
    if again:
        own = {key: trial.user_attrs[key] for key in (OWN,) if key in trial.user_attrs}
        study.enqueue_trial(trial.params, user_attrs={**own, ATTEMPT: attempt + 1})


def take_back(search: Search, study: optuna.Study) -> list[int]:
    """End trials of dead processes; return their numbers."""
    active = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    lost = [trial.number for trial in active if _abandoned(search, trial.number)]
    for number in lost:
        give_back(study, number, "its process died")
    return lost


def _abandoned(search: Search, number: int) -> bool:
    def refuse(_who: str) -> None:
        raise _LockHeld

    try:
        with lock(search.home, _name(search, number), refuse):
            return True
    except _LockHeld:
        return False


class Journal(BaseJournalBackend):
    """Lines of JSON in a file, one per event; a truncated last line is ignored.

    Optuna's file backend has locks that expire, and a truncated line makes its file unreadable
    after the next append. This backend uses `flock`, which the system releases at the end of a
    process, and the next writer removes a truncated line.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._begins = [0]  # offsets of the lines read so far, and of the next one

    def read_logs(self, log_number_from: int) -> Iterator[Json]:
        """Yield the events from index `log_number_from`.

        Raises:
            CorruptArtifact: A line is damaged.
        """
        if not self._file.is_file():
            return
        number = min(log_number_from, len(self._begins) - 1)
        with self._file.open("rb") as file:
            file.seek(self._begins[number])
            while (line := file.readline()).endswith(b"\n"):
                number += 1
                if number == len(self._begins):
                    self._begins.append(file.tell())
                if number > log_number_from:
                    yield self._event(line, number)

    def _event(self, line: bytes, number: int) -> Json:
        try:
            return json.loads(line)
        except ValueError as error:
            message = f"line {number} is not JSON"
            fix = "move the file away and repeat the search"
            raise CorruptArtifact(self._file, message, fix=fix) from error

    def append_logs(self, logs: list[Json]) -> None:
        """Remove a truncated line, append events, and flush them to disk."""
        text = "".join(f"{json.dumps(log, separators=(',', ':'))}\n" for log in logs)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            _mend(file)
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())


def _mend(file: IO[bytes]) -> None:
    """Truncate a file after its last line end."""
    at = end = file.seek(0, os.SEEK_END)
    while at > 0:
        file.seek(at - 1)
        if file.read(1) == b"\n":
            break
        at -= 1
    if at < end:
        file.truncate(at)


def open_storage(folder: Path) -> BaseStorage:
    """Return the storage of the studies in `folder`, or of the shared database."""
    shared = address_of("optuna")
    return JournalStorage(Journal(folder / FILE)) if shared is None else _open_shared(shared)


@cache  # once per process
def _open_shared(address: str) -> BaseStorage:
    make_schema("optuna")
    with held_by_all("optuna tables"):  # concurrent creation would fail
        return RDBStorage(address)
