"""What commands tell about dataset versions: lists, one version, and what two differ in.

Lists are read by the page: a version of a hundred thousand episodes costs what is shown of it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, cast

import polars as pl

from kinemill.dataset._listing import page, scan_listing
from kinemill.dataset._near_duplicates import warnings
from kinemill.dataset._versions import Version, count, find_version, versions
from kinemill.errors import CorruptArtifact
from kinemill.store import Json, digest, open_ref
from kinemill.store.home import Home

PAGE = 20


def list_datasets(home: Home, task: str, offset: int = 0, limit: int = PAGE) -> Json:
    """Return a page of the versions of a task, newest first."""
    lines = [_line(home, version) for version in versions(home, task, offset, limit)]
    return {"task": task, "total": count(home, task), "offset": offset, "datasets": lines}


def _line(home: Home, version: Version) -> Json:
    status = version.status(home)
    line: Json = {
        "name": f"{version.task}/v{version.number}",
        "version": version.number,
        "digest": version.ref.digest,
        "status": status,
        "owner": version.owner,
        "created": version.created,
        "updated": version.updated(home),
    }
    if status == "gone":
        return {**line, "dt": None, "episodes": {}, "rows": {}, "rule_digest": None}
    rules, summary = version.rules(home), version.summary(home)
    return {
        **line,
        "dt": rules["dt"],
        "episodes": summary["episodes"],
        "rows": summary["rows"],
        "rule_digest": digest(rules),
    }


def show_dataset(
    home: Home, task: str, which: str = "latest", offset: int = 0, limit: int = PAGE
) -> Json:
    """Return all that one version is, with a page of its episodes, every byte of it checked.

    Raises:
        BadInput: no version is called that.
        CorruptArtifact: its files are gone.
    """
    version = find_version(home, task, which)
    line, rules, summary = _line(home, version), version.rules(home), version.summary(home)
    episodes = scan_listing(version.folder(home))
    totals = episodes.select(pl.len(), pl.col("recording").n_unique().alias("recordings")).collect()
    features = _features(rules, summary["statistics"])
    return {
        "task": task,
        **line,
        "status": _checked(home, version),
        "states": sum(feature["role"] == "state" for feature in features),
        "actions": sum(feature["role"] == "action" for feature in features),
        "features": features,
        "rules": rules["dataset"],
        "recordings": totals["recordings"].item(),
        "warnings": warnings(summary),
        "list": {
            "total": totals["len"].item(),
            "offset": offset,
            "episodes": page(episodes, offset, limit),
        },
    }


def _checked(home: Home, version: Version) -> str:
    try:
        open_ref(home, version.ref)
    except CorruptArtifact:
        return "damaged"
    return "ready"


def _features(rules: Json, statistics: Json) -> list[Json]:
    return [
        {
            "name": name,
            "role": rules["channels"][name]["role"],
            "unit": rules["channels"][name]["unit"],
            "kind": rules["channels"][name]["kind"],
            "mean": statistics[name]["mean"],
            "std": statistics[name]["std"],
            "delta_std": statistics[name].get("delta_std"),
        }
        for name in rules["columns"]
    ]


def diff_datasets(
    home: Home, task: str, first: str, second: str, offset: int = 0, limit: int = PAGE
) -> Json:
    """Return what `second` has that `first` has not, and the other way round.

    Under the same rules no episode moves from one side of the split to another; one whose rows
    changed was made anew from the same recording.
    """
    a, b = (find_version(home, task, which) for which in (first, second))
    before, after = (scan_listing(one.folder(home)) for one in (a, b))
    told = before.join(after, on="id", how="full", suffix="_b", coalesce=True)
    both = pl.col("split").is_not_null() & pl.col("split_b").is_not_null()
    kinds = {
        "added": pl.col("split").is_null(),
        "removed": pl.col("split_b").is_null(),
        "moved": both & (pl.col("split") != pl.col("split_b")),
        "changed": both & (pl.col("rows") != pl.col("rows_b")),
    }
    sums = {kind: which.sum() for kind, which in kinds.items()}
    counts = told.select(**sums).collect(engine="streaming")
    rules = list(_changed(a.rules(home), b.rules(home)))
    return {
        "task": task,
        "a": _line(home, a),
        "b": _line(home, b),
        "rules": rules,
        **{kind: counts[kind].item() for kind in kinds},
        "offset": offset,
        "episodes": {
            kind: page(_told(told.filter(which)), offset, limit) for kind, which in kinds.items()
        },
    }


def _told(frame: pl.LazyFrame) -> pl.LazyFrame:
    name = pl.coalesce("name", "name_b")
    columns = ("id", "split", "split_b", "rows", "rows_b")
    return frame.select(name.alias("name"), *columns).sort("id")


def _changed(a: Any, b: Any, key: str = "") -> Iterator[Json]:
    """Yield every key under which two rules differ, dotted, with both values."""
    if isinstance(a, dict) and isinstance(b, dict):
        one, other = cast("Mapping[str, Any]", a), cast("Mapping[str, Any]", b)
        for name in dict.fromkeys([*one, *other]):
            yield from _changed(one.get(name), other.get(name), f"{key}.{name}".strip("."))
    elif a != b:
        yield {"key": key, "a": a, "b": b}
