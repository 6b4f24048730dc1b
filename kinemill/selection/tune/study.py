"""Study of a search: assignment of trials, pruning, retries after a crash.

Optuna proposes settings (TPE: Bergstra et al., 2011) and stores them in a database. A worker holds
a lock for its trial. A running trial without a lock has lost its process: its settings are
repeated, from the last checkpoint of the training. Optuna's heartbeats would detect that only after
a grace period, in which a resumed search proposes other trials, and would repeat a suspended trial.
"""

import copy
import warnings
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import DatabaseError, OperationalError

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.selection.tune.search import Search
from kinemill.store import digest
from kinemill.store.database import address_of, held_by_all, make_schema
from kinemill.store.locks import lock
from kinemill.task.document import Task
from kinemill.task.search import Number, select_values

ATTEMPTS = 3  # per proposal; settings that crashed three processes would crash the next one
BASELINE = "baseline"
PROPOSED = "proposed"
WHY = "why"
FILE = "optuna.db"
_WAIT = 60.0  # s for the lock of SQLite


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
    with lock(search.home, f"tune/{search.name}/made"):
        storage = open_storage(search.folder)
        made = search.name not in optuna.get_all_study_names(storage)
        study = optuna.create_study(
            storage=storage, study_name=search.name, load_if_exists=True, pruner=_pruner(task)
        )
        if made:
            study.enqueue_trial({}, user_attrs={BASELINE: True})
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
        is_baseline = BASELINE in trial.user_attrs
        trial.set_user_attr(
            PROPOSED, {} if is_baseline else select_values(search.space, Proposals(trial))
        )
        return study, trial


def _name(search: Search, number: int) -> str:
    return f"tune/{search.name}/{number}"


def _spent(study: optuna.Study) -> int:
    """Return the number of trials, including running ones, without those to repeat."""
    trials = study.get_trials(deepcopy=False)
    return sum(trial.state != TrialState.WAITING for trial in trials) - len(retried(trials))


def retried(trials: list[FrozenTrial]) -> set[int]:
    """Return the numbers of the trials whose settings were enqueued again."""
    return {number for trial in trials for number in trial.system_attrs.get("retry_history", ())}


def retry(study: optuna.Study, number: int) -> None:
    """End a trial without a result, and enqueue its settings again."""
    study.tell(number, state=TrialState.FAIL)
    trial = study.get_trials(deepcopy=False)[number]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        enqueue_retry = RetryHeartbeatStaleTrialCallback(max_retry=ATTEMPTS - 1)
    enqueue_retry(study, copy.deepcopy(trial))  # it appends to the history of the trial


def take_back(search: Search, study: optuna.Study) -> list[int]:
    """End trials of dead processes; return their numbers."""
    active = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    lost = [trial.number for trial in active if _abandoned(search, trial.number)]
    for number in lost:
        retry(study, number)
    return lost


def _abandoned(search: Search, number: int) -> bool:
    def refuse(_who: str) -> None:
        raise _LockHeld

    try:
        with lock(search.home, _name(search, number), refuse):
            return True
    except _LockHeld:
        return False


def open_storage(folder: Path) -> RDBStorage:
    """Return the storage of the studies in `folder`, or of the shared database.

    Raises:
        CorruptArtifact: The file is damaged.
    """
    shared = address_of("optuna")
    if shared is not None:
        return _open_shared(shared)
    path = folder / FILE
    folder.mkdir(parents=True, exist_ok=True)
    address = URL.create("sqlite", database=str(path)).render_as_string()
    try:
        return RDBStorage(address, engine_kwargs={"connect_args": {"timeout": _WAIT}})
    except OperationalError:
        raise  # such as a full disk
    except DatabaseError as error:
        fix = "move the file away and repeat the search"
        raise CorruptArtifact(path, f"cannot be read: {error.orig}", fix=fix) from error


@cache  # once per process
def _open_shared(address: str) -> RDBStorage:
    make_schema("optuna")
    with held_by_all("optuna tables"):  # concurrent creation would fail
        return RDBStorage(address)
