"""Lineage in both directions: recordings of a model version, and model versions of a recording."""

import polars as pl

from kinemill.dataset import dataset_versions, scan_listing
from kinemill.dataset import find_version as find_dataset
from kinemill.dataset.description import SPLITS
from kinemill.dataset.environment_card import DOCUMENT as CARD
from kinemill.dataset.environment_card import read_card
from kinemill.errors import BadInput
from kinemill.ingest.membership import Member, find_member, members
from kinemill.register import tags
from kinemill.register.versions import Version, find_version, versions_of
from kinemill.store import Home, Json

PAGE = 20


def recordings_of(
    home: Home, task: str, which: str = "", offset: int = 0, limit: int = PAGE
) -> Json:
    """Return the recordings that a model version was trained and evaluated on.

    `which` is `@alias` or `:number`; empty: the champion, else the newest.

    Raises:
        BadInput: The version does not exist, or its dataset is not in this home.
    """
    model = find_version(home, task, which)
    dataset = find_dataset(home, task, model.require(tags.DATASET))
    used = scan_listing(dataset.folder(home)).filter(pl.col("split").is_in(SPLITS))
    recordings = used.group_by("recording", "name", "group").agg(
        *(pl.col("split").eq(split).sum().alias(split) for split in SPLITS), pl.col("rows").sum()
    )
    names = ("TASK", "COMMIT", "MODEL", "ONNX", "VERIFICATION")
    folder = dataset.folder(home)
    return {
        "task": task,
        "model": _model(model),
        "dataset": {"version": dataset.number, "digest": dataset.ref.digest},
        "environment": read_card(folder).lineage if (folder / CARD).is_file() else {},
        "made_by": {name.lower(): model.tags.get(getattr(tags, name)) for name in names},
        "total": recordings.select(pl.len()).collect().item(),
        "offset": offset,
        "recordings": recordings.sort("name", "recording")
        .slice(offset, limit)
        .collect()
        .to_dicts(),
    }


def uses_of(home: Home, task: str, recording: str) -> Json:
    """Return the dataset and model versions that use a recording, newest first.

    `recording` is a content hash, a prefix of it, or the name when first ingested.

    Raises:
        BadInput: The recording is not one of the task.
    """
    models = versions_of(home, task)
    matches = _members(home, task, recording)
    uses_by_recording = {member.hash: (member.name, list[Json]()) for member in matches}
    is_match = (pl.col("name") == recording) | pl.col("recording").is_in([*uses_by_recording])
    if _is_hash(recording):
        is_match |= pl.col("recording").str.starts_with(recording)
    for dataset in dataset_versions(home, task):
        if dataset.status(home) == "gone":
            continue
        rows = scan_listing(dataset.folder(home)).filter(is_match)
        counted = rows.group_by("recording", "name", "split").len().sort("split").collect()
        for (hash_, name), part in counted.group_by("recording", "name", maintain_order=True):
            use = {
                "version": dataset.number,
                "digest": dataset.ref.digest,
                "episodes": dict(zip(part["split"], part["len"], strict=True)),
                "models": [
                    _model(model)
                    for model in models
                    if model.tags.get(tags.DATASET) == dataset.ref.digest
                ],
            }
            uses_by_recording.setdefault(str(hash_), (str(name), []))[1].append(use)
    if not uses_by_recording:
        raise BadInput(
            f"recording {recording!r}",
            f"is not a recording of task {task!r}",
            expected="its name when first ingested, or a prefix of its sha256",
        )
    listed = [
        {"hash": hash_, "name": name, "datasets": uses}
        for hash_, (name, uses) in uses_by_recording.items()
    ]
    return {"task": task, "recordings": sorted(listed, key=lambda item: item["hash"])}


def _is_hash(recording: str) -> bool:
    return len(recording) >= 6 and set(recording) <= set("0123456789abcdef")


def _members(home: Home, task: str, recording: str) -> list[Member]:
    if len(recording) == 64 and _is_hash(recording):
        member = find_member(home, task, recording)
        return [member] if member else []
    listed = members(home, task).values()
    return [
        member
        for member in listed
        if member.name == recording or (_is_hash(recording) and member.hash.startswith(recording))
    ]


def _model(model: Version) -> Json:
    return {
        "version": model.number,
        "aliases": list(model.aliases),
        "created": model.created,
        "decision": model.decision,
    }
