"""Taking a dataset version out: its episodes in a format that others read, and a task for them.

The folder holds the episodes and a task file with the names, units, time step and split of the
version, which reads them back. It appears whole, or not at all.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from kinemill.dataset._packed import PackedDataset, load_dataset
from kinemill.dataset._versions import LATEST, Version, find_version
from kinemill.dataset.exported_media import export_beside
from kinemill.dataset.writers import WRITERS, Export
from kinemill.errors import BadInput
from kinemill.store import Json
from kinemill.store.home import Home
from kinemill.task import Task


def export_data(
    task: Task, home: Home, form: str, out: Path | None = None, which: str = LATEST
) -> Json:
    """Write the episodes of a dataset version to a folder.

    Args:
        task: whose dataset it is; its `learn` part goes into the export's task file.
        home: where the version lies.
        form: name of a writer, such as `hdf5`.
        out: a folder that does not exist; default `exports/<task>/v<number>-<form>` of the home.
        which: number, start of a digest, or `latest`.

    Returns:
        `{"task", "version", "format", "folder", "episodes": {split: n}, "rows", "files"}`, and
        `"left_out"`: the channels that the format cannot hold, if there are any.

    Raises:
        BadInput: no such format or version, or the folder is there already.
        CorruptArtifact: the version's bytes have changed.
    """
    write = WRITERS[form]
    version = find_version(home, task.name, which)
    dataset = load_dataset(home, version.ref)
    folder = out or home.root / "exports" / task.name / f"v{version.number}-{form}"
    if folder.exists():
        raise BadInput(folder, "is there already", fix="name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.parent / f".{folder.name}-{uuid4().hex}"
    aside.mkdir()
    try:
        export = write(dataset, aside)
        beside, left_out = export_beside(home, version.ref, dataset, aside, form)
        export = replace(export, sources=export.sources | beside)
        text = _task_file(task, version.rules(home), dataset, export)
        (aside / f"{dataset.task}.yaml").write_text(text)
        files = sum(path.is_file() for path in aside.rglob("*"))
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    document = _document(version, dataset, form, folder, files)
    return document | ({"left_out": left_out} if left_out else {})


def _document(
    version: Version, dataset: PackedDataset, form: str, folder: Path, files: int
) -> Json:
    splits = {episode.split: len(dataset.of(episode.split)) for episode in dataset.episodes}
    return {
        "task": dataset.task,
        "version": version.number,
        "format": form,
        "folder": str(folder),
        "episodes": splits,
        "rows": sum(episode.rows for episode in dataset.episodes),
        "files": files,
    }


def _task_file(task: Task, rules: Json, dataset: PackedDataset, export: Export) -> str:
    """Spell the task that reads the export: the version's channels, the writer's columns."""
    import yaml

    channels: dict[str, Any] = {}
    beside = [name for name in export.sources if name not in dataset.columns]
    for name in [*dataset.columns, *beside]:
        own = {key: value for key, value in rules["channels"][name].items() if value is not None}
        own.pop("resample", None)
        source = export.sources.get(name)
        channels[name] = own | {"source": [{"name": source}] if source else []}
    sides = {split: paths for split, paths in export.files.items() if split != "train"}
    document = {
        "task": dataset.task,
        "dt": dataset.dt,
        "channels": channels,
        "ingest": {"settle": 0.0, **export.ingest},
        "dataset": sides,
        "learn": task.part("learn")["learn"],
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
