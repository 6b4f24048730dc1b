"""IO manager: references between assets as small JSON files, per run and latest.

`refs/runs/<run>/<task>/<asset>.json` is the output of an asset in one run: later stages of that run
read it, independently of other runs. `refs/latest/<task>/<asset>.json` is the input of a stage that
runs alone. A run of one partition writes `<asset>@<digest of the partition>.json`.
`refs/latest/<task>/rules.note.json` has the rules of the last complete run that registered a model.
An asset with a failed blocking check has no output, so no file changes.
"""

from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.errors import BadInput
from kinemill.store import ArtifactRef, digest, publish_json, read_json
from kinemill.store.home import Home
from kinemill_dagster.resources.tags import PARTITION

LATEST = "latest"
_GENERATIONS = 20  # most generations of retries searched for a reference


def latest(home: Home, task: str, asset: str) -> ArtifactRef | None:
    """Return the latest reference of `asset`, or None."""
    return handed_on(home, LATEST, task, asset)


def _file(home: Home, run: str, task: str, asset: str) -> Path:
    folder = home.dagster / "refs"
    return (folder / run if run == LATEST else folder / "runs" / run) / task / f"{asset}.json"


def note(home: Home, run: str, task: str, name: str, value: object) -> None:
    """Store a value of a stage in a run, for the run's summary."""
    publish_json(_file(home, run, task, f"{name}.note"), value)


def read_note(home: Home, run: str, task: str, name: str) -> Any:
    """Return the value `name` of a run, or None."""
    file = _file(home, run, task, f"{name}.note")
    return read_json(file) if file.is_file() else None


def handed_on(home: Home, run: str, task: str, asset: str) -> ArtifactRef | None:
    """Return the reference of `asset` in a run, or None."""
    file = _file(home, run, task, asset)
    return ArtifactRef.from_json(read_json(file)) if file.is_file() else None


def pass_on(home: Home, run: str, task: str, asset: str, ref: ArtifactRef) -> None:
    """Write the reference of `asset` for a run, then update the latest one."""
    for owner in (run, LATEST):
        publish_json(_file(home, owner, task, asset), ref.to_json())


def _name(context: dg.OutputContext | dg.InputContext, asset: str) -> str:
    """Return the file name of a reference: of the asset, or of a partition."""
    key = context.step_context.run_tags.get(PARTITION) if context.has_asset_partitions else None
    return f"{asset}@{digest(key)[:16]}" if key else asset


def _generations(instance: dg.DagsterInstance, run: dg.DagsterRun | None) -> list[str]:
    """Return the ids of a run and of the runs that it retries, the newest first."""
    ids: list[str] = []
    while run is not None and len(ids) < _GENERATIONS:
        ids.append(run.run_id)
        parent = run.parent_run_id or run.tags.get("dagster/parent_run_id")
        run = instance.get_run_by_id(parent) if parent else None
    return ids


class RefIOManager(dg.ConfigurableIOManager):
    """Passes references between stages as JSON files, without pickle."""

    def handle_output(self, context: dg.OutputContext, obj: ArtifactRef) -> None:
        """Write the reference for this run, then update the latest one."""
        task, asset = context.asset_key.path
        pass_on(Home.resolve(), context.run_id, task, _name(context, asset), obj)

    def load_input(self, context: dg.InputContext) -> ArtifactRef:
        """Read the reference of this run, of the retried run, or the latest one.

        Raises:
            BadInput: The upstream asset has no output yet.
        """
        home = Home.resolve()
        task, asset = context.asset_key.path
        name = _name(context, asset)
        for run in (*_generations(context.instance, context.step_context.dagster_run), LATEST):
            if ref := handed_on(home, run, task, name):
                return ref
        raise BadInput(
            context.asset_key.to_user_string(),
            "does not exist yet",
            fix=f"materialize it first, or run the whole pipeline: kinemill run {task}",
        )


refs = RefIOManager()
