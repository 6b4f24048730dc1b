"""Merge the summaries of shards into groups, and of groups into the whole.

The summary of one of 16 parts is `bounded`. So no part grows with the number of recordings, and
merging 16 parts costs the same at every level.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import polars as pl

from kinemill.store.shards import set_digest
from kinemill.task import Task
from kinemill.validate import (
    action_responses,
    expectations,
    measures,
    ranges,
    report_samples,
    unit_outliers,
)
from kinemill.validate.check_results import MAX_LISTED, CheckResult, sound_rows


@dataclass(frozen=True)
class Counts:
    """Counts of a part.

    Attributes:
        accepted: number of accepted episodes.
        recordings: number of recordings.
        quarantined: number of recordings without an accepted episode.
        faulty: number of recordings with a finding.
        held_back: number of recordings that are not accepted as a whole.
        rows: number of accepted rows.
        sketches: number of sketches.
    """

    accepted: int
    recordings: int
    quarantined: int
    faulty: int
    held_back: int
    rows: int
    sketches: int


COUNTS = tuple(field.name for field in fields(Counts))


@dataclass(frozen=True)
class PartSummary(Counts):
    """Summary of a shard, a group of shards, or all recordings of a task.

    Attributes:
        dropped: dropped rows by check.
        failing: names of quarantined recordings, shortened.
        checks: results of the checks of episodes and recordings.
        measured: numbers that the checks measured.
        unit_stds: standard deviations, to find unit outliers.
        responses: responses to actions, to find action outliers.
        ranges: lowest and highest values of episodes.
        samples: recordings for the report.
        digest: digest of the set of episodes.
    """

    dropped: dict[str, int]
    failing: list[str]
    checks: list[CheckResult]
    measured: measures.NumberSummaries
    unit_stds: unit_outliers.UnitStds
    responses: action_responses.ResponseSums | None
    ranges: ranges.Bars
    samples: report_samples.Samples
    digest: str


def merge_parts(parts: list[PartSummary]) -> PartSummary:
    """Merge parts, given in the order of the hashes that their recordings begin with."""
    dropped: Counter[str] = Counter()
    for part in parts:
        dropped.update(part.dropped)
    return PartSummary(
        **{name: sum(getattr(part, name) for part in parts) for name in COUNTS},
        dropped=dict(sorted(dropped.items())),
        failing=sorted(name for part in parts for name in part.failing)[:MAX_LISTED],
        checks=_merge_checks(parts),
        measured=measures.merge_parts(part.measured for part in parts),
        unit_stds=unit_outliers.merge_parts(part.unit_stds for part in parts),
        responses=action_responses.merge_parts(part.responses for part in parts),
        ranges=ranges.merge_parts(part.ranges for part in parts),
        samples=report_samples.merge_parts(part.samples for part in parts),
        digest=set_digest(bytes.fromhex(part.digest) for part in parts),
    )


def bounded(part: PartSummary) -> PartSummary:
    """Shorten the lists of a part to the share of one of 16."""
    return replace(
        part,
        measured=measures.truncate(part.measured),
        unit_stds=unit_outliers.truncate(part.unit_stds),
        responses=action_responses.truncate(part.responses) if part.responses else None,
        ranges=ranges.truncate(part.ranges),
        samples=report_samples.truncate(part.samples),
    )


def _merge_checks(parts: list[PartSummary]) -> list[CheckResult]:
    by_name: dict[str, list[CheckResult]] = {}
    for check in (check for part in parts for check in part.checks):
        by_name.setdefault(check.name, []).append(check)
    return [_merge_results(results) for results in by_name.values()]


def _merge_results(results: list[CheckResult]) -> CheckResult:
    by_key: dict[str, list[Any]] = {}
    for check in results:
        for key, value in check.values.items():
            by_key.setdefault(key, []).extend([] if value is None else [value])
    values = {key: _merge_values(key, listed) for key, listed in by_key.items()}
    return replace(results[0], passed=all(check.passed for check in results), values=values)


def _merge_values(key: str, values: list[Any]) -> object:
    """Merge the values of one key: add counts, and list the first examples."""
    if not values:
        return None
    if isinstance(values[0], list):
        return [item for listed in values for item in listed][:MAX_LISTED]
    if isinstance(values[0], str):
        pieces = dict.fromkeys(piece for text in values for piece in text.split("; "))
        return "; ".join([*pieces][:MAX_LISTED])
    return max(values) if key == "expectations" else sum(values)


def schema_of(task: Task, tables: Mapping[str, pl.DataFrame]) -> dict[str, list[CheckResult]]:
    """Check the schema of the episodes of some shards, in one call if nothing fails.

    Args:
        task: defines the expectations.
        tables: one row per episode, by shard; no table is empty.

    Returns:
        the results by shard.
    """
    sound = {name: rows for name, rows in tables.items() if _is_sound(task, rows)}
    failed = {
        name: expectations.skipped_checks(task, "rows are missing, too few or not finite")
        for name in tables
        if name not in sound
    }
    if not sound:
        return failed
    results = expectations.schema_checks(task, pl.concat(sound.values()))
    if len(sound) == 1:
        return failed | dict.fromkeys(sound, results)
    if all(check.passed for check in results):
        return failed | {name: _of_part(results, rows.height) for name, rows in sound.items()}
    return failed | {name: expectations.schema_checks(task, rows) for name, rows in sound.items()}


def _is_sound(task: Task, rows: pl.DataFrame) -> bool:
    return all(check.passed for check in sound_rows(task, rows))


def _of_part(passed: list[CheckResult], episodes: int) -> list[CheckResult]:
    return [replace(check, values={**check.values, "episodes": episodes}) for check in passed]
