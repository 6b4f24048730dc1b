"""What parts of a task's episodes come to together: shards to groups, groups to all of them.

A part is a JSON object of counts, results of checks, deviations, answers, measured numbers, bars
and recordings to be shown. Where it is one of sixteen it is `bounded`, so that no part grows with
the number of recordings, and adding sixteen of them costs the same wherever they stand.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kinemill.store.shards import set_digest, totals
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

Json = dict[str, Any]
COUNTS = ("accepted", "recordings", "quarantined", "faulty", "held_back", "rows")


def merge_parts(parts: list[Json]) -> Json:
    """Return what parts come to, in the order of the hashes that their recordings begin with."""
    dropped: Counter[str] = Counter()
    for part in parts:
        dropped.update(part["dropped"])
    return {
        **totals(parts, (*COUNTS, "sketches")),
        "dropped": dict(sorted(dropped.items())),
        "failing": sorted(name for part in parts for name in part["failing"])[:MAX_LISTED],
        "checks": [check.to_json() for check in _merged(parts)],
        "measured": measures.merge_parts(part["measured"] for part in parts),
        "spread": unit_outliers.merge_parts(part["spread"] for part in parts),
        "responses": action_responses.merge_parts(part["responses"] for part in parts),
        "ranges": ranges.merge_parts(part["ranges"] for part in parts),
        "shown": report_samples.merge_parts(part["shown"] for part in parts),
        "digest": set_digest(bytes.fromhex(part["digest"]) for part in parts),
    }


def bounded(part: Json) -> Json:
    """Return as much of a part as is kept of one of sixteen."""
    responses = part["responses"]
    return {
        **part,
        "measured": measures.truncate(part["measured"]),
        "spread": unit_outliers.truncate(part["spread"]),
        "responses": action_responses.truncate(responses) if responses else None,
        "ranges": ranges.truncate(part["ranges"]),
        "shown": report_samples.truncate(part["shown"]),
    }


def _merged(parts: list[Json]) -> list[CheckResult]:
    """Return the checks that every part answered, over all of them."""
    by_name: dict[str, list[CheckResult]] = {}
    for check in (CheckResult(**item) for part in parts for item in part["checks"]):
        by_name.setdefault(check.name, []).append(check)
    return [_over(results) for results in by_name.values()]


def _over(results: list[CheckResult]) -> CheckResult:
    values_by_key: dict[str, list[Any]] = {}
    for check in results:
        for key, value in check.values.items():
            values_by_key.setdefault(key, []).extend([] if value is None else [value])
    values = {key: _joined(key, listed) for key, listed in values_by_key.items()}
    return replace(results[0], passed=all(check.passed for check in results), values=values)


def _joined(key: str, said: list[Any]) -> Any:
    """Return what parts say under the same key: counts add up, examples are named first."""
    if not said:
        return None
    if isinstance(said[0], list):
        return [item for listed in said for item in listed][:MAX_LISTED]
    if isinstance(said[0], str):
        pieces = dict.fromkeys(piece for text in said for piece in text.split("; "))
        return "; ".join([*pieces][:MAX_LISTED])
    return max(said) if key == "expectations" else sum(said)


def schema_of(task: Task, tables: Mapping[str, Any]) -> dict[str, list[CheckResult]]:
    """Ask Great Expectations about the episodes of some shards, at once if nothing is wrong.

    Args:
        task: what the suite is generated from.
        tables: by shard, one row an episode that is asked about; none of them empty.

    Returns:
        the results by shard.
    """
    import polars as pl

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


def _is_sound(task: Task, rows: Any) -> bool:
    return all(check.passed for check in sound_rows(task, rows))


def _of_part(passed: list[CheckResult], episodes: int) -> list[CheckResult]:
    return [replace(check, values={**check.values, "episodes": episodes}) for check in passed]
