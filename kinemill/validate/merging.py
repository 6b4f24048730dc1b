"""What the shards of a task's episodes come to together: counts, checks, deviations, ranges."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kinemill.shards import set_digest, totals
from kinemill.spec import Task
from kinemill.validate import across, expectations, foreign, responses, table
from kinemill.validate.checks import SHOWN, CheckResult, physical_names, planned_checks, sound_rows
from kinemill.validate.noting import Repeats

Json = dict[str, Any]
COUNTS = ("accepted", "recordings", "quarantined", "faulty", "rows")


def counted(parts: list[Json]) -> Json:
    """Return the sums over the summaries of shards, and the digest of all episodes."""
    dropped: Counter[str] = Counter()
    for part in parts:
        dropped.update(part["dropped"])
    return {
        **totals(parts, COUNTS),
        "dropped_rows": dropped.total(),
        "dropped": dict(sorted(dropped.items())),
        "digest": set_digest(bytes.fromhex(part["digest"]) for part in parts),
    }


def checks_of(task: Task, parts: list[Json], counts: Json, repeats: Repeats) -> list[CheckResult]:
    """Return the result of every check over all shards, blocking ones first.

    Args:
        task: what was asked.
        parts: summaries of the shards.
        counts: their sums.
        repeats: the pairs of recordings that are the same run.
    """
    plans = planned_checks(task)
    found = {check.name: check for check in _amounts(task, parts, counts)}
    found |= _merged(parts)
    if not counts["accepted"]:
        nothing = sound_rows(task, table.empty(task))
        failed = [check.name for check in nothing if not check.passed]
        asked = expectations.not_asked(task, f"{', '.join(failed)} failed")
        found |= {check.name: check for check in [*nothing, *asked]}
    for name in physical_names():
        found[f"physics_{name}"] = _measured(found[f"physics_{name}"], name, parts)
    kept = counts["recordings"] - counts["quarantined"]
    strange = foreign.foreign_units([part["spread"] for part in parts], kept, task)
    pairs = {"found": repeats.total, "failing": repeats.shown[:SHOWN]}
    units = {"found": len(strange), "failing": strange[:SHOWN]}
    found[across.NEAR_DUPLICATES] = plans[across.NEAR_DUPLICATES].answer(not repeats.total, pairs)
    found[across.FOREIGN_UNITS] = plans[across.FOREIGN_UNITS].answer(not strange, units)
    turned = responses.foreign_actions((part["responses"] for part in parts), task)
    actions = {"found": len(turned), "failing": turned[:SHOWN]}
    found[across.FOREIGN_ACTIONS] = plans[across.FOREIGN_ACTIONS].answer(not turned, actions)
    return [found[name] for name in plans]


def _amounts(task: Task, parts: list[Json], counts: Json) -> list[CheckResult]:
    plans, total = planned_checks(task), counts["recordings"]
    share, allowed = counts["quarantined"] / max(1, total), task.validation.max_quarantined_share
    return [
        plans["accepted_not_empty"].answer(
            counts["accepted"] > 0, {"episodes": counts["accepted"]}
        ),
        plans["quarantined_share"].answer(
            share <= allowed,
            {
                "share": share,
                "expected": f"at most {allowed:g}",
                "quarantined": counts["quarantined"],
                "recordings": total,
                "failing": sorted(name for part in parts for name in part["failing"])[:SHOWN],
            },
        ),
    ]


def _merged(parts: list[Json]) -> dict[str, CheckResult]:
    """Return the checks that every shard answered, over all of them."""
    merged: dict[str, CheckResult] = {}
    for check in (CheckResult(**item) for part in parts for item in part["checks"]):
        before = merged.get(check.name)
        merged[check.name] = _both(before, check) if before else check
    return merged


def _both(one: CheckResult, other: CheckResult) -> CheckResult:
    values = {
        key: _joined(key, one.values.get(key), other.values.get(key))
        for key in dict.fromkeys([*one.values, *other.values])
    }
    return replace(one, passed=one.passed and other.passed, values=values)


def _joined(key: str, one: Any, other: Any) -> Any:
    """Return what two shards say under the same key: counts add up, examples are named first."""
    if one is None or other is None:
        return other if one is None else one
    if isinstance(one, list):
        return [*one, *other][:SHOWN]
    if isinstance(one, str) or key == "expectations":
        return one if one == other else f"{one}; {other}"
    return one + other


def _measured(result: CheckResult, name: str, parts: list[Json]) -> CheckResult:
    """Add what the check reports: the least, median and largest of each number over the tracks."""
    numbers: dict[str, list[float]] = {}
    for found in (part["measured"].get(name, {}) for part in parts):
        for number, values in found.items():
            numbers.setdefault(number, []).extend(values)
    if not numbers:
        return result
    return replace(result, values={**result.values, "measured": across.spans(numbers)})


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
    found = {
        name: expectations.not_asked(task, "rows are missing, too few or not finite")
        for name in tables
        if name not in sound
    }
    if not sound:
        return found
    together = expectations.schema_checks(task, pl.concat(sound.values()))
    if len(sound) == 1:
        return found | dict.fromkeys(sound, together)
    if all(check.passed for check in together):
        return found | {name: _of_part(together, rows.height) for name, rows in sound.items()}
    return found | {name: expectations.schema_checks(task, rows) for name, rows in sound.items()}


def _is_sound(task: Task, rows: Any) -> bool:
    return all(check.passed for check in sound_rows(task, rows))


def _of_part(passed: list[CheckResult], episodes: int) -> list[CheckResult]:
    return [replace(check, values={**check.values, "episodes": episodes}) for check in passed]
