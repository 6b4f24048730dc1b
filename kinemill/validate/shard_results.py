"""Results of the evaluated recordings of one shard, and their summary.

`judged.json` lists the recordings with their episodes and reasons, `table.parquet` has one row an
accepted episode. The summary holds what merges with that of other shards: results of checks,
counts, deviations and ranges.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from kinemill.ingest import Recording
from kinemill.store import (
    Artifact,
    ArtifactRef,
    Staged,
    digest,
    open_ref,
    read_json,
    summary_of,
    write_listed,
)
from kinemill.store.home import Home
from kinemill.store.shards import set_digest
from kinemill.store.transaction import GetOrBuild
from kinemill.task import Task
from kinemill.validate import (
    action_responses,
    measures,
    merge,
    ranges,
    report_samples,
    table,
    unit_outliers,
)
from kinemill.validate.check_results import (
    MAX_LISTED,
    CheckResult,
    physical_names,
    planned_checks,
    sound_rows,
)
from kinemill.validate.duplicates.index import Sketched
from kinemill.validate.episodes import validate_recording

SHARD, VERSION = "episodes_shard", 4
EVALUATED, TABLE = "judged.json", "table.parquet"
ID = 16  # characters of a recording's hash that its episodes are called after

Json = dict[str, Any]


@dataclass(frozen=True)
class Shard:
    """The judged recordings of a shard, sorted by hash, and one row for each of their episodes."""

    recordings: list[Json]
    table: pl.DataFrame

    @property
    def schema_rows(self) -> pl.DataFrame:
        """The rows for the schema check: without recordings that a user released."""
        released = [item["recording"][:ID] for item in self.recordings if item.get("released")]
        if not released:
            return self.table
        return self.table.filter(pl.col("episode").str.head(ID).is_in(released).not_())


@dataclass(frozen=True)
class EvaluatedRecording:
    """A newly evaluated recording: its entry in the shard, and all results.

    `staged` is the artifact to publish, unless it was cached.
    """

    item: Json
    summary: Json
    staged: Staged | None = None

    @property
    def sketches(self) -> list[Sketched]:
        """Sketches for comparison with other recordings."""
        return _sketched(self.item, self.summary)


def rows_of(task: Task, evaluated: Iterable[EvaluatedRecording]) -> pl.DataFrame:
    """Return one row per episode of newly evaluated recordings."""
    columns: dict[str, list[Any]] = {name: [] for name in table.columns_of(task)}
    for each in evaluated:
        for name, values in each.summary.get("table", {}).items():
            columns[name] += values
    return pl.DataFrame(columns, schema=table.empty(task).schema)


def evaluate_recording(
    task: Task, home: Home, recording: Recording, task_rules: Json
) -> EvaluatedRecording:
    """Evaluate a recording, or return the cached result.

    Args:
        task: checks and fault handling.
        home: where outcomes are kept.
        recording: any recording; without tracks nothing is evaluated.
        task_rules: `rules(task)`, taken once for all recordings.
    """
    artifact: Artifact | Staged | None = None
    if recording.summary["tracks"]:
        artifact = validate_recording(task, home, recording, task_rules)
    summary = artifact.summary if artifact else {}
    item = {
        "recording": recording.hash,
        "name": recording.name,
        "read": recording.ref.digest,
        "ref": artifact.ref.to_json() if artifact else None,
        "episodes": [
            {key: episode[key] for key in ("id", "rows", "file", "part") if key in episode}
            for episode in summary.get("episodes", [])
        ],
        "reasons": [*recording.summary["reasons"], *summary.get("reasons", [])],
        "sketches": len(summary.get("sketches", [])),
        "response": summary.get("response"),
        **{key: summary.get(key, {}) for key in ("dropped", "found")},
        **{key: summary.get(key, []) for key in ("measured", "strip")},
    }
    lost = recording.summary["dropped_rows"] + sum(summary.get("dropped", {}).values())
    item["held_back"] = bool(lost or not summary.get("episodes"))
    item["digest"] = set_digest(bytes.fromhex(digest(one)) for one in episodes_of(item))
    staged = artifact if isinstance(artifact, Staged) else None
    return EvaluatedRecording(
        item | ({"released": True} if recording.released else {}), summary, staged
    )


def sketches_of(home: Home, item: Json) -> list[Sketched]:
    """Return the sketches of a recording that was evaluated before.

    Raises:
        CorruptArtifact: Its artifact is damaged.
    """
    if not item["sketches"]:
        return []
    return _sketched(item, summary_of(home, ArtifactRef.from_json(item["ref"])))


def _sketched(item: Json, summary: Json) -> list[Sketched]:
    sketches: list[Sketched] = []
    for each in summary.get("sketches", []):
        name = f"{item['name']}/{each['part']}" if each["part"] else item["name"]
        sketches.append(Sketched(item["recording"], name, each["sketch"], each["part"]))
    return sketches


def open_shard(home: Home, ref: ArtifactRef) -> Shard:
    """Return a published shard.

    Raises:
        CorruptArtifact: The shard is damaged.
    """
    folder = open_ref(home, ref)
    return Shard(read_json(folder / EVALUATED), pl.read_parquet(folder / TABLE, glob=False))


def read_evaluated(home: Home, ref: ArtifactRef) -> list[Json]:
    """Return the evaluated recordings of a published shard.

    Raises:
        CorruptArtifact: The shard is damaged.
    """
    return read_json(open_ref(home, ref) / EVALUATED)


def make_shard(
    get_or_build: GetOrBuild,
    task: Task,
    inputs: Json,
    shard: Shard,
    schema: list[CheckResult],
    *,
    cut: bool,
) -> Artifact:
    """Make a shard with what it comes to.

    Args:
        get_or_build: publishes it, now or later.
        task: gives channels and checks.
        inputs: everything it depends on.
        shard: the evaluated recordings.
        schema: Great Expectations results of its episodes; empty if it has none.
        cut: whether it is one of several.
    """

    def build(folder: Path) -> Json:
        write_listed(folder / EVALUATED, shard.recordings)
        shard.table.write_parquet(folder / TABLE, compression="lz4")
        summary = _summary(task, shard, schema)
        return merge.bounded(summary) if cut else summary

    return get_or_build(SHARD, task.name, {**inputs, "version": VERSION}, build)


def _summary(task: Task, shard: Shard, schema: list[CheckResult]) -> Json:
    listed, rows = shard.recordings, shard.table
    dropped: Counter[str] = Counter()
    for item in listed:
        dropped.update(item["dropped"])
    names = {episode["id"]: item["name"] for item in listed for episode in item["episodes"]}
    checks = [*(sound_rows(task, rows) if rows.height else []), *schema, *_physics(task, listed)]
    quarantined = [item["name"] for item in listed if not item["episodes"]]
    return {
        "accepted": rows.height,
        "recordings": len(listed),
        "quarantined": len(quarantined),
        "faulty": sum(bool(item["reasons"]) for item in listed),
        "held_back": sum(item["held_back"] for item in listed),
        "rows": sum(episode["rows"] for item in listed for episode in item["episodes"]),
        "dropped": dict(sorted(dropped.items())),
        "failing": sorted(quarantined)[:MAX_LISTED],
        "checks": [check.to_json() for check in checks],
        "measured": measures.gather(track for item in listed for track in item["measured"]),
        "spread": unit_outliers.unit_stds(rows, names, task),
        "responses": action_responses.gather({item["name"]: item["response"] for item in listed}),
        "ranges": ranges.ranges(rows, task),
        "shown": report_samples.gather(listed),
        "sketches": sum(item["sketches"] for item in listed),
        "digest": set_digest(bytes.fromhex(item["digest"]) for item in listed),
    }


def episodes_of(item: Json) -> Iterable[Json]:
    """Yield the accepted episodes of an evaluated recording, as a dataset lists them."""
    for episode in item["episodes"]:
        about = {"recording": item["recording"], "name": item["name"], "ref": item["ref"]}
        yield {**about, **episode}


def _physics(task: Task, listed: list[Json]) -> list[CheckResult]:
    """Return for each physical check its number of findings, recordings and dropped rows."""
    plans = planned_checks(task)
    results = {
        name: plans[f"physics_{name}"].make_result(
            True, {"faults": 0, "rows": 0, "recordings": 0, "failing": []}
        )
        for name in physical_names()
    }
    for item in listed:
        for name, count in item["found"].items():
            results[name] = _add(results[name], item, name, count)
    return list(results.values())


def _add(result: CheckResult, item: Json, name: str, count: int) -> CheckResult:
    reasons = [
        {"recording": item["name"], **reason}
        for reason in item["reasons"]
        if reason["check"] == name
    ]
    values = {
        "faults": result.values["faults"] + count,
        "rows": result.values["rows"] + item["dropped"].get(name, 0),
        "recordings": result.values["recordings"] + 1,
        "failing": [*result.values["failing"], *reasons][:MAX_LISTED],
    }
    return replace(result, passed=False, values=values)
