"""Documents of runs, from Dagster's storage and the metrics in the home."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus

from kinemill.errors import BadInput
from kinemill.store.home import Home
from kinemill.store.locks import spell_time
from kinemill.store.versioned_cache import VersionedCache
from kinemill.task.settings import leaves
from kinemill.tracking.run_metrics import progress_version, read_progress
from kinemill.tracking.statistics import is_statistics
from kinemill.verify.phrases import counted
from kinemill_dagster.pipelines.run_errors import errors_of
from kinemill_dagster.pipelines.server.rest.documents import RunDocument, RunStatus
from kinemill_dagster.resources.dagster_api import event_log_version, run_storage_version
from kinemill_dagster.resources.tags import OWNER, RETRIED_BY, TASK, WHY

_STATUS: dict[DagsterRunStatus, RunStatus] = {
    DagsterRunStatus.QUEUED: "queued",
    DagsterRunStatus.NOT_STARTED: "queued",
    DagsterRunStatus.STARTING: "starting",
    DagsterRunStatus.MANAGED: "running",
    DagsterRunStatus.STARTED: "running",
    DagsterRunStatus.CANCELING: "canceling",
    DagsterRunStatus.SUCCESS: "completed",
    DagsterRunStatus.FAILURE: "failed",
    DagsterRunStatus.CANCELED: "canceled",
}
ENDED: frozenset[RunStatus] = frozenset({"completed", "failed", "canceled"})
_GOING = [DagsterRunStatus.STARTING, DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]
_WAITING: frozenset[RunStatus] = frozenset({"queued", "starting"})
_LENGTH = 36  # characters of an id
_PAGE = 500  # ids per query when an id is completed
_PIPES = "[pipes] "  # start of Dagster's messages about the process of a training
_NEWEST = 20  # events of a run among which its stage is found
_EXAMPLES = 5  # runs that an error names
_PAGE_OF_UI = 100  # runs; longer lists are read from Dagster each time


@dataclass(frozen=True)
class Runs:
    """The runs of a home.

    Attributes:
        home: the home.
        instance: Dagster's instance.
    """

    home: Home
    instance: dg.DagsterInstance
    _lists: VersionedCache[Sequence[dg.RunRecord]] = field(
        default_factory=lambda: VersionedCache[Sequence[dg.RunRecord]](64), init=False
    )
    _documents: VersionedCache[RunDocument] = field(
        default_factory=lambda: VersionedCache[RunDocument](2000), init=False
    )

    def latest(self, limit: int, task: str | None = None) -> list[RunDocument]:
        """Return the documents of the newest runs, of one task or of all."""
        return [self.document(record) for record in self.records(limit, task)]

    def records(self, limit: int, task: str | None = None) -> Sequence[dg.RunRecord]:
        """Return the newest runs, of one task or of all."""
        filters = dg.RunsFilter(tags={TASK: task}) if task else None

        def version() -> Hashable:
            return run_storage_version(self.instance) if limit <= _PAGE_OF_UI else None

        def build() -> Sequence[dg.RunRecord]:
            return self.instance.get_run_records(filters, limit=limit)

        return self._lists.get((limit, task), version, build)

    def find(self, run: str) -> dg.RunRecord:
        """Return the run with this id, or this beginning of an id.

        Raises:
            UnknownRun: There is none.
            BadInput: There are several.
        """
        whole = run if len(run) == _LENGTH else self._complete(run)
        record = self.instance.get_run_record_by_id(whole)
        if record is None:
            raise self._unknown(run)
        return record

    def document(self, record: dg.RunRecord) -> RunDocument:
        """Return the document of a run, read again only after a change."""
        run = record.dagster_run
        is_active = status_of(record) not in ENDED | _WAITING

        def version() -> Hashable:
            events = event_log_version(self.instance, run.run_id) if is_active else "unchanged"
            progress = progress_version(self.home, run.run_id, is_active=is_active)
            if status_of(record) == "queued":
                return None  # what it waits for is a property of the other runs
            changes = record.update_timestamp, frozenset(run.tags.items())
            return events and progress and (run.status, *changes, events, progress)

        return self._documents.get(run.run_id, version, lambda: self._document(record))

    def _document(self, record: dg.RunRecord) -> RunDocument:
        run = record.dagster_run
        status = status_of(record)
        task = task_of(run)
        progress = read_progress(self.home, run.run_id, task)
        ended = record.end_time if status in ENDED else None
        errors = errors_of(self.instance, run.run_id) if status == "failed" else ()
        return RunDocument(
            id=run.run_id,
            task=task,
            status=status,
            step=progress.step,
            total_steps=progress.total,
            loss=progress.loss,
            parameters=_parameters(run.run_config, task),
            error=next(map(_short, errors), None),
            model=None if status in _WAITING else self._model(run.run_id, task),
            owner=run.tags.get(OWNER),
            stage=self._stage(run.run_id) if status == "running" else None,
            why=run.tags.get(WHY),
            waits_for=self._waits_for(run, task) if status == "queued" else None,
            resumed_by=run.tags.get(RETRIED_BY),
            created_at=record.create_timestamp.isoformat(timespec="seconds"),
            completed_at=None if ended is None else spell_time(ended),
        )

    def _stage(self, run: str) -> str | None:
        """Return the asset under way, with the last line that it reported."""
        for record in self.instance.get_records_for_run(
            run, limit=_NEWEST, ascending=False
        ).records:
            entry = record.event_log_entry
            asset = (entry.step_key or "").partition("__")[2]
            text = "" if entry.dagster_event else entry.user_message.strip()
            if asset and text and not is_statistics(text) and not text.startswith(_PIPES):
                return f"{asset}: {text.splitlines()[0]}"
            if asset and entry.dagster_event_type == DagsterEventType.STEP_START:
                return asset
        return None

    def _waits_for(self, run: dg.DagsterRun, task: str) -> str:
        """Return what a queued run waits for."""
        going = self.instance.get_runs(dg.RunsFilter(statuses=_GOING))
        if same := next((item for item in going if item.tags.get(TASK) == task), None):
            return f"run {same.run_id[:8]} of the same task to end"
        owner = run.tags.get(OWNER)
        if sum(item.tags.get(OWNER) == owner for item in going) > 1:
            return f"a run of {owner} to end: an owner has at most two runs at a time"
        if going:
            return f"its place: {counted(len(going), 'runs')} are in progress"
        return "the daemon, which starts queued runs every few seconds"

    def _complete(self, start: str) -> str:
        """Return the only id with this beginning, among all runs."""
        matches = [run for run in self._ids() if start and run.startswith(start)]
        if len(matches) > 1:
            examples = ", ".join(run[: len(start) + 4] for run in matches[:3])
            raise BadInput(f"run {start}", f"is the beginning of {examples}", fix="give more of it")
        if not matches:
            raise self._unknown(start)
        return matches[0]

    def _ids(self) -> Iterator[str]:
        cursor: str | None = None
        while ids := self.instance.get_run_ids(cursor=cursor, limit=_PAGE):
            yield from ids
            cursor = ids[-1]

    def _unknown(self, run: str) -> "UnknownRun":
        records = self.instance.get_run_records(limit=_EXAMPLES)
        examples = [
            f"{record.dagster_run.run_id[:8]} ({task_of(record.dagster_run)}, {status_of(record)})"
            for record in records
        ]
        fix = f"the latest: {', '.join(examples) or 'there is none yet'}"
        return UnknownRun(f"run {run}", "unknown", fix=fix)

    def _model(self, run: str, task: str) -> str | None:
        """Return the address of the version that the run registered or found cached."""
        kind = DagsterEventType.ASSET_MATERIALIZATION
        for limit in (1, None):  # the registration is the last stage of a whole run
            page = self.instance.get_records_for_run(
                run, of_type=kind, limit=limit, ascending=False
            )
            for record in page.records:
                made = record.event_log_entry.asset_materialization
                version = made and made.metadata.get("version")
                if made and made.asset_key.path[-1] == "registered_model" and version:
                    return f"models:/{task}/{version.value}"
        return None


class UnknownRun(BadInput):
    """There is no run with this id."""


def status_of(record: dg.RunRecord) -> RunStatus:
    """Return the status of a run."""
    return _STATUS[record.dagster_run.status]


def task_of(run: dg.DagsterRun) -> str:
    """Return the task of a run, also of one that materializes only some assets."""
    assets = run.asset_selection or ()
    selected = min((key.path[0] for key in assets), default=run.job_name)
    return run.tags.get(TASK) or selected


def _short(message: str) -> str:
    """Return the message of an error without the dotted name of its class."""
    kind, _, rest = message.partition(": ")
    return rest if rest and "." in kind and kind.replace(".", "_").isidentifier() else message


def _parameters(config: Mapping[str, Any], task: str) -> dict[str, Any]:
    """Return the overrides that a run was started with, dotted key to value."""
    resource = config.get("resources", {}).get(task, {})
    return dict(leaves(resource.get("config", {}))) if isinstance(resource, Mapping) else {}
