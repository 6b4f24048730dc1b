"""JSON documents of the dataset commands: list versions, show one.

Tables are read page by page, so the cost follows the page and not the number of episodes.
"""

import polars as pl

from kinemill.dataset.catalog import Version, count, dataset_versions, find_version
from kinemill.dataset.listing import PUBLIC, listed_segments, page, scan_listing
from kinemill.dataset.summary import ChannelStatistics
from kinemill.errors import CorruptArtifact
from kinemill.store import Home, Json, digest, open_ref

PAGE = 20


def list_datasets(home: Home, task: str, offset: int = 0, limit: int = PAGE) -> Json:
    """Return a page of the versions of a task, newest first."""
    lines = [_line(home, version) for version in dataset_versions(home, task, offset, limit)]
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
    rules = version.rules(home)
    summary = version.summary(home)
    return {
        **line,
        "dt": rules["dt"],
        "episodes": summary.episodes,
        "rows": summary.rows,
        "rule_digest": digest(rules),
    }


def show_dataset(
    home: Home, task: str, which: str = "latest", offset: int = 0, limit: int = PAGE
) -> Json:
    """Return the details of one version with a page of its episodes, after an integrity check.

    Raises:
        BadInput: No version matches.
        CorruptArtifact: Its files are gone.
    """
    version = find_version(home, task, which)
    line = _line(home, version)
    rules = version.rules(home)
    summary = version.summary(home)
    episodes = scan_listing(version.folder(home))
    recordings = episodes.select(pl.col("recording").n_unique()).collect().item()
    features = [_feature(rules, name, summary.statistics[name]) for name in rules["columns"]]
    return {
        "task": task,
        **line,
        "status": _verified_status(home, version),
        "states": sum(feature["role"] == "state" for feature in features),
        "actions": sum(feature["role"] == "action" for feature in features),
        "features": features,
        "rules": rules["dataset"],
        "recordings": recordings,
        "warnings": summary.warnings,
        "list": {
            "total": sum(segment.episodes for segment in listed_segments(version.folder(home))),
            "offset": offset,
            "episodes": page(episodes.select(PUBLIC), offset, limit),
        },
    }


def _verified_status(home: Home, version: Version) -> str:
    try:
        open_ref(home, version.ref)
    except CorruptArtifact:
        return "damaged"
    return "ready"


def _feature(rules: Json, name: str, statistics: ChannelStatistics) -> Json:
    channel = rules["channels"][name]
    return {
        "name": name,
        **{key: channel[key] for key in ("role", "unit", "kind")},
        "mean": statistics.mean,
        "std": statistics.std,
        "delta_std": statistics.delta_std,
    }
