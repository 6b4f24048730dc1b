"""Run the pipeline of a task in this process, for `kinemill run`: no server, no daemon.

The run is recorded in the same Dagster storage as all others, so the web pages show it.
"""

import logging
import sys
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple, TextIO, cast
from uuid import uuid4

import dagster as dg

from kinemill.dataset import DatasetSummary
from kinemill.errors import BadInput, Blocked, KinemillError
from kinemill.failures import quiet_threads
from kinemill.ingest.files import drop_folder, require_logs
from kinemill.interrupts import Interrupted
from kinemill.register.run_summary import EpisodeCounts, RunDocument
from kinemill.register.stage import Registration
from kinemill.register.versions import SHORT, bundle_folder, find_version
from kinemill.registry import nearest
from kinemill.store import ArtifactRef, Json, from_json_value, to_json_value
from kinemill.store.home import Home
from kinemill.store.locks import current_user, in_use
from kinemill.task import Task, load_task, remember_task
from kinemill.task.overrides import nested
from kinemill.task.portfolio import Selection
from kinemill.task.web_overrides import within
from kinemill.validate.summary import EpisodesSummary
from kinemill.verify.document import Verification, open_verification, read_verification
from kinemill_dagster.assets import CHAIN, STAGE_OF, stages_of
from kinemill_dagster.pipelines.chain import chain_job
from kinemill_dagster.pipelines.instance import open_instance
from kinemill_dagster.pipelines.orphan_runs import cancel_run, free, reap
from kinemill_dagster.pipelines.server.console import view
from kinemill_dagster.resources.dagster_api import origin_of
from kinemill_dagster.resources.io import handed_on, latest, read_note
from kinemill_dagster.resources.machine_check import check_inputs, check_machine
from kinemill_dagster.resources.partitions import run_tags
from kinemill_dagster.resources.pools import sleep_between_claims
from kinemill_dagster.resources.tags import MAX_RETRIES, OWNER, RESUME
from kinemill_dagster.resources.task_resource import RECOMPUTABLE

_UNSTORED = (
    "Exception while writing logger call to event log: "  # prefix of a line that Dagster prints
)


def run_chain(
    task: str,
    overrides: Mapping[str, object] | None = None,
    *,
    logs: Path | None = None,
    resume: bool = False,
    recompute: Sequence[str] = (),
    show_progress: bool = False,
) -> RunDocument:
    """Run the full pipeline and return the document of `kinemill run`.

    Args:
        task: name of a task, or path of its file.
        overrides: dotted key to value.
        logs: folder with new logs, or one log; default: the task's drop folder.
        resume: resume the latest interrupted training, or fail.
        recompute: assets to compute although they are cached.
        show_progress: show the progress of the stages on stderr.

    Raises:
        TaskError: The task file or an override is wrong; nothing was started.
        BadInput: `logs` holds no log; nothing was started.
        Blocked: A blocking check failed.
        KinemillError: Another error of a stage.
        Interrupted: A signal ended the run, which is canceled.
    """
    plain = _checked_task(task, overrides, logs)
    for stage in recompute:
        if stage not in RECOMPUTABLE:
            fix = nearest(stage, list(RECOMPUTABLE))
            raise BadInput(f"--recompute {stage}", "is no stage that can be recomputed", fix=fix)
    home = Home.resolve()
    check_inputs(load_task(task, overrides), home)
    with _open_run(plain, show_progress) as (instance, run_id):
        try:
            tags = run_tags(plain, home, instance, logs)
            tags |= {RESUME: "true"} if resume else {}
            config = run_config(plain, overrides or {}, logs)
            if recompute:
                config["resources"][plain.name]["config"]["recompute"] = list(recompute)
            _execute(instance, plain, config, _Run(run_id, tags, logs))
        except KinemillError as error:
            error.document = to_json_value(_document(instance, home, plain, run_id))
            raise
        return _document(instance, home, plain, run_id)


def make_until(
    asset: str,
    task: str,
    overrides: Mapping[str, object],
    *,
    logs: Path | None = None,
    show_progress: bool = False,
) -> ArtifactRef:
    """Run the pipeline of a task up to an asset, and return its reference.

    Raises:
        TaskError: The task file or an override is wrong; nothing was started.
        BadInput: `logs` holds no log; nothing was started.
        Blocked: A blocking check failed.
        Interrupted: A signal ended the run, which is canceled.
    """
    plain = _checked_task(task, overrides, logs)
    assets = list(stages_of(plain).values())
    home = Home.resolve()
    with _open_run(plain, show_progress) as (instance, run_id):
        tags = run_tags(plain, home, instance, logs)
        run = _Run(run_id, tags, logs, assets[: assets.index(asset) + 1])
        _execute(instance, plain, run_config(plain, overrides, logs), run)
    made = handed_on(home, run_id, plain.name, asset)
    if made is None:
        raise Blocked(plain.name, f"did not produce {asset}", fix=_look(plain))
    return made


def _checked_task(task: str, overrides: Mapping[str, object] | None, logs: Path | None) -> Task:
    """Return a task as its file has it, after a check of all inputs of a run."""
    plain = load_task(task)
    effective = load_task(task, overrides)
    check_machine(effective)
    if logs is not None:
        require_logs(effective, logs)
    remember_task(Home.resolve(), plain)
    return plain


@contextmanager
def _open_run(task: Task, show_progress: bool) -> Generator[tuple[dg.DagsterInstance, str]]:
    """Open Dagster's instance, and yield it with the id of a run, whose progress can be shown."""
    run_id = str(uuid4())
    home = Home.resolve()
    _mute_logs()
    with (
        in_use(home, f"chain-{run_id[:8]}"),
        open_instance(home) as instance,
        view(task) if show_progress else nullcontext() as listen,
    ):
        if listen:
            instance.add_event_listener(run_id, listen)
        yield instance, run_id


def _mute_logs() -> None:
    """Keep Dagster's messages off the terminal; the run's log contains them."""
    for name in ("dagster", "sqlalchemy.pool"):  # the pool logs a connection that a signal broke
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for category in (dg.BetaWarning, dg.PreviewWarning):
        warnings.filterwarnings("ignore", category=category)
    quiet_threads()  # the thread of Pipes fails on a full disk as well


class _Errors:
    """Filter of `sys.stderr` that drops Dagster's message for each event it cannot store."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, unless the error of the run reports the same."""
        return len(text) if text.startswith(_UNSTORED) else self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Run(NamedTuple):
    """Id, tags, folder of logs and assets of a run; None: the drop folder, all assets."""

    id: str
    tags: Mapping[str, str]
    logs: Path | None
    assets: Sequence[str] | None = None


def _execute(instance: dg.DagsterInstance, task: Task, config: Json, run: _Run) -> None:
    """Run the job of a task or a part of it; overrides are already checked by `load_task`."""
    job = chain_job(task)
    tags = {OWNER: current_user(), **run.tags}
    if not _is_accepted(job, task, config, run.logs):
        job = chain_job(task, web=False)
        tags[MAX_RETRIES] = "0"
    part = None if run.assets is None else [dg.AssetKey([task.name, name]) for name in run.assets]
    reap(instance)  # a dead run may occupy the slot that this one needs
    sleep_between_claims(instance)
    create = instance.create_run_for_job

    def create_run(*, job_def: dg.JobDefinition, **rest: Any) -> dg.DagsterRun:
        """Create the run with the job and the origin that the pages know.

        `execute_in_process` has no parameter for the origin, and replaces the executor in a copy of
        the job, which the pages would show as an earlier version. A re-executed run logs to stderr,
        this one does not: Dagster reads the loggers of a run from the run.
        """
        recorded = job if part is None else job_def
        rest["run_config"] = {key: rest["run_config"][key] for key in config if key != "loggers"}
        made = create(job_def=recorded, remote_job_origin=origin_of(job.name), **rest)
        return made._replace(run_config=config)  # pyright: ignore[reportPrivateUsage]

    vars(instance)["create_run_for_job"] = create_run
    try:
        with redirect_stderr(cast(TextIO, _Errors(sys.stderr))):
            job.execute_in_process(
                run_config=config, instance=instance, run_id=run.id, asset_selection=part, tags=tags
            )
    except dg.Failure as error:
        raise Blocked(task.name, str(error.description), fix=_look(task)) from error
    except dg.DagsterError as error:
        if isinstance(error.__cause__, KinemillError):
            raise error.__cause__ from error
        raise
    except (dg.DagsterExecutionInterruptedError, KeyboardInterrupt) as error:
        raise Interrupted(cancel_run(instance, Home.resolve(), run.id)) from error
    finally:
        free(instance)  # a signal leaves slots occupied


def _is_accepted(job: dg.JobDefinition, task: Task, config: Json, logs: Path | None) -> bool:
    """Return whether the servers accept the config of a run, to re-execute or retry it.

    They accept no code and no folders, and numbers only as numbers.
    """
    try:
        dg.validate_run_config(job, config)
        if logs is not None:
            within(drop_folder(task, Home.resolve()), logs.absolute())
    except (dg.DagsterInvalidConfigError, dg.DagsterConfigMappingFunctionError, KinemillError):
        return False
    return True


def _look(task: Task) -> str:
    return f"kinemill ui shows the checks of {task.name} with the failing values"


def run_config(task: Task, overrides: Mapping[str, object], logs: Path | None) -> Json:
    """Return the run config: overrides for the task's resource, the folder for `recordings`."""
    config: Json = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    config["resources"] = {task.name: {"config": nested(overrides)}}
    if logs is not None:
        config["ops"] = {f"{task.name}__recordings": {"config": {"folder": str(logs.absolute())}}}
    return config


def _document(instance: dg.DagsterInstance, home: Home, task: Task, run_id: str) -> RunDocument:
    refs = {asset: handed_on(home, run_id, task.name, asset) for asset in CHAIN.values()}
    registered = read_note(home, run_id, task.name, "registration")
    registration = (
        from_json_value(registered, Registration, Path("registration")) if registered else None
    )
    selection = read_note(home, run_id, task.name, "selection")
    dataset = refs["dataset"]
    episodes = EpisodesSummary.read(home, refs["episodes"]) if refs["episodes"] else None
    document = RunDocument(
        task.name,
        episodes=EpisodeCounts(
            episodes.accepted if episodes else 0,
            episodes.quarantined if episodes else 0,
            read_note(home, run_id, task.name, "cached") or 0,
        ),
        dataset=dataset.digest[:SHORT] if dataset else None,
        selection=from_json_value(selection, Selection, Path("selection")) if selection else None,
        report=str(home.root / registration.report) if registration else None,
        seconds={stage: round(time, 3) for stage, time in seconds(instance, run_id).items()},
        warnings=list(DatasetSummary.read(home, dataset).warnings) if dataset else [],
    )
    return document.with_results(_verification(home, refs["verification"]), registration)


def _verification(home: Home, ref: ArtifactRef | None) -> Verification | None:
    return open_verification(home, ref) if ref else None


def verification_of(task: str, version: int | None) -> Verification | None:
    """Return the verification of a version, else the latest of the task, or None."""
    home = Home.resolve()
    if version is None:
        return _verification(home, latest(home, load_task(task).name, "verification"))
    registered = find_version(home, load_task(task).name, f":{version}")
    return read_verification(bundle_folder(home, registered))


def seconds(instance: dg.DagsterInstance, run_id: str) -> dict[str, float]:
    """Return the wall time of each stage of a run, s."""
    return {
        STAGE_OF[str(stat.step_key).partition("__")[2]]: stat.end_time - stat.start_time
        for stat in instance.get_run_step_stats(run_id)
        if stat.end_time is not None and stat.start_time is not None
    }
