"""All recordings of a task: judged one by one, then shown and checked together."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from kinemill.home import Home
from kinemill.ingest import Recording, load_recordings
from kinemill.spec import Task
from kinemill.spec.ports import Progress, Silence
from kinemill.store import Outcome, Ref, once, open_ref, publish_json, read_json
from kinemill.validate import across, expectations, page, table
from kinemill.validate.checks import (
    SHOWN,
    CheckResult,
    physical_names,
    planned_checks,
    sound_rows,
)
from kinemill.validate.episodes import Episode, rules, validate_recording
from kinemill.validate.release import without_released

STAGE, VERSION = "episodes", 2

Json = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """A recording and what became of it; without tracks there was nothing to judge."""

    recording: Recording
    outcome: Outcome | None

    @property
    def summary(self) -> Json:
        """What was published about it."""
        return self.outcome.summary if self.outcome else {}

    @property
    def episodes(self) -> list[Json]:
        """Its accepted episodes."""
        return self.summary.get("episodes", [])

    @property
    def reasons(self) -> list[Json]:
        """Everything wrong with it, found when it was read or when it was judged."""
        return [*self.recording.summary["reasons"], *self.summary.get("reasons", [])]


def validate(task: Task, home: Home, recordings: Ref, progress: Progress | None = None) -> Outcome:
    """Judge every recording that is new and publish the episodes that can be learned from.

    A failing blocking check does not keep the outcome from being published: it holds the page that
    says why. Whoever calls decides by `load_checks`.

    Args:
        task: channels, limits and the `validate` part.
        home: where outcomes are kept.
        recordings: snapshot of recordings, published by ingest.
        progress: told after every recording.

    Returns:
        the published episodes, checks and page; known when nothing has changed.
    """
    inputs = {
        "recordings": recordings.digest,
        "rules": rules(task),
        "max_quarantined_share": task.validation.max_quarantined_share,
        "version": VERSION,
    }
    return once(
        home,
        STAGE,
        task.name,
        inputs,
        lambda folder: _build(task, _judge_all(task, home, recordings, progress), folder),
    )


def load_episodes(home: Home, ref: Ref) -> list[Episode]:
    """Return the accepted episodes, their files checked against their digests."""

    @cache  # episodes of one recording share a folder
    def opened(where: Ref) -> Path:
        return open_ref(home, where)

    def episode(item: Json) -> Episode:
        path = opened(Ref.from_json(item["ref"])) / item["file"]
        return Episode(item["id"], item["recording"], item["name"], item["rows"], path)

    return [episode(item) for item in read_json(open_ref(home, ref) / "episodes.json")]


def load_checks(home: Home, ref: Ref) -> list[CheckResult]:
    """Return the results of every check, blocking ones first."""
    return [CheckResult(**item) for item in read_json(open_ref(home, ref) / "checks.json")]


def _judge_all(
    task: Task, home: Home, recordings: Ref, progress: Progress | None
) -> Iterator[Judged]:
    listener, asked = progress or Silence(), rules(task)
    everything = load_recordings(home, recordings)
    for done, recording in enumerate(everything, 1):
        outcome = None
        if recording.summary["tracks"]:
            outcome = validate_recording(task, home, recording, asked)
        judged = Judged(recording, outcome)
        note = f"{len(judged.episodes)} episodes"
        listener.advance("validate", done, len(everything), f"{recording.name}: {note}")
        yield judged


def _build(task: Task, judging: Iterator[Judged], folder: Path) -> Json:
    judged = list(judging)
    quarantine = [item for item in judged if not item.episodes]
    rows = _table(task, judged)
    checks = [*_amounts(task, judged), *_schema(task, rows, judged), *_physics(task, judged)]
    checks += _across(task, judged, rows)
    publish_json(folder / "episodes.json", [entry for item in judged for entry in _entries(item)])
    publish_json(folder / "quarantine.json", [_with_reasons(item) for item in quarantine])
    publish_json(folder / "checks.json", [check.to_json() for check in checks])
    rows.write_parquet(folder / "table.parquet", compression="lz4")
    dropped: Counter[str] = Counter()
    for item in judged:
        dropped.update(item.summary.get("dropped", {}))
    summary = {
        "accepted": rows.height,
        "quarantined": len(quarantine),
        "recordings": len(judged),
        "rows": sum(entry["rows"] for item in judged for entry in item.episodes),
        "dropped_rows": dropped.total(),
        "dropped": dict(sorted(dropped.items())),
        "checks": [
            {"name": check.name, "passed": check.passed, "blocking": check.blocking}
            for check in checks
        ],
    }
    drawn = [page.Drawn(_with_reasons(item), item.summary.get("strip", [])) for item in judged]
    (folder / "page.html").write_text(page.render(task, summary, checks, rows, drawn))
    return summary


def _entries(item: Judged) -> Iterator[Json]:
    if item.outcome is None:
        return
    for episode in item.episodes:
        yield {
            "id": episode["id"],
            "recording": item.recording.hash,
            "name": item.recording.name,
            "rows": episode["rows"],
            "ref": item.outcome.ref.to_json(),
            "file": episode["file"],
        }


def _with_reasons(item: Judged) -> Json:
    recording = item.recording
    return {"recording": recording.hash, "name": recording.name, "reasons": item.reasons}


def _table(task: Task, judged: list[Judged]) -> pl.DataFrame:
    columns: dict[str, list[Any]] = {name: [] for name in table.columns_of(task)}
    for item in judged:
        for name, values in item.summary.get("table", {}).items():
            columns[name] += values
    return pl.DataFrame(columns, schema=table.empty(task).schema)


def _amounts(task: Task, judged: list[Judged]) -> list[CheckResult]:
    plans, total = planned_checks(task), len(judged)
    episodes = sum(len(item.episodes) for item in judged)
    quarantined = [item.recording.name for item in judged if not item.episodes]
    share, allowed = len(quarantined) / max(1, total), task.validation.max_quarantined_share
    return [
        plans["accepted_not_empty"].answer(episodes > 0, {"episodes": episodes}),
        plans["quarantined_share"].answer(
            share <= allowed,
            {
                "share": share,
                "expected": f"at most {allowed:g}",
                "quarantined": len(quarantined),
                "recordings": total,
                "failing": quarantined[:SHOWN],
            },
        ),
    ]


def _schema(task: Task, rows: pl.DataFrame, judged: list[Judged]) -> list[CheckResult]:
    sound = sound_rows(task, rows)
    failed = [check.name for check in sound if not check.passed]
    if failed:
        return [*sound, *expectations.not_asked(task, f"{', '.join(failed)} failed")]
    return [*sound, *expectations.schema_checks(task, without_released(rows, judged))]


def _physics(task: Task, judged: list[Judged]) -> list[CheckResult]:
    """Tell, for each physical check, what it found in how many recordings and what it cost."""
    plans = planned_checks(task)
    results = {
        name: plans[f"physics_{name}"].answer(
            True, {"faults": 0, "rows": 0, "recordings": 0, "failing": []}
        )
        for name in physical_names()
    }
    for item in judged:
        for name, count in item.summary.get("found", {}).items():
            results[name] = _add(results[name], item, name, count)
    return [_measured(result, name, judged) for name, result in results.items()]


def _measured(result: CheckResult, name: str, judged: list[Judged]) -> CheckResult:
    """Add what the check reports: the least, median and largest of each number over all tracks."""
    tracks = [track for item in judged for track in item.summary.get("measured", [])]
    found = across.spans([track[name] for track in tracks if name in track])
    return replace(result, values={**result.values, "measured": found}) if found else result


def _across(task: Task, judged: list[Judged], rows: pl.DataFrame) -> list[CheckResult]:
    """Tell what only shows between recordings."""
    plans = planned_checks(task)
    sketches = {
        item.recording.name: item.summary["sketch"] for item in judged if item.summary.get("sketch")
    }
    names = {entry["id"]: item.recording.name for item in judged for entry in item.episodes}
    found = {
        across.NEAR_DUPLICATES: across.near_duplicates(sketches, task),
        across.FOREIGN_UNITS: across.foreign_units(rows, names, task),
    }
    return [
        plans[name].answer(not items, {"found": len(items), "failing": items[:SHOWN]})
        for name, items in found.items()
    ]


def _add(result: CheckResult, item: Judged, name: str, count: int) -> CheckResult:
    shown = [
        {"recording": item.recording.name, **reason}
        for reason in item.summary["reasons"]
        if reason["check"] == name
    ]
    values = {
        "faults": result.values["faults"] + count,
        "rows": result.values["rows"] + item.summary["dropped"].get(name, 0),
        "recordings": result.values["recordings"] + 1,
        "failing": [*result.values["failing"], *shown][:SHOWN],
    }
    return replace(result, passed=False, values=values)
