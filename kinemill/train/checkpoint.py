"""Checkpoints: the whole state of a training, written atomically, for a bit-exact resume.

A checkpoint is a folder `checkpoint-000000500/`, named by its step. It holds `tensors.safetensors`
and `checkpoint.json`: the state of the loop, the SHA-256 of the tensors and of the file itself. It
is written to a staging folder, synced, renamed, and read back from the disk. Older checkpoints are
deleted only when all bytes match. Every checkpoint also holds the best weights so far. See
`kinemill.train.training_state` for the rest of its content.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from kinemill.errors import CorruptArtifact, TrainingFailed
from kinemill.stop_request import check_stop, is_stop_requested
from kinemill.store import Format, Json, aside_of, digest, fault_point, read_json
from kinemill.store.atomic_write import Move, settle
from kinemill.store.remote_sync import send_checkpoints
from kinemill.task.learn import Keep, Learn

INDEX = "checkpoint.json"
TENSORS = "tensors.safetensors"
_FORMAT = Format("checkpoint", 2)
_PREFIX = "checkpoint-"
_ASIDE = ".aside-"
_DAMAGED = "damaged-"

# Tensors by group (a word without dots) and name. Typed Any: importing torch takes a second.
Groups = dict[str, dict[str, Any]]


def _permanent(paths: list[Path], keep: Keep) -> set[Path]:
    """Return which of the checkpoints, oldest first, are kept after the training.

    They are the first ones after each multiple of `keep.every` steps.
    """
    first = dict[int, Path]()
    for checkpoint in paths:
        first.setdefault(step_of(checkpoint) // keep.every if keep.every else 0, checkpoint)
    return {checkpoint for passed, checkpoint in first.items() if passed}


def is_due(step: int, saved: int, learn: Learn) -> bool:
    """Return whether a training at `step`, last saved at step `saved`, writes a checkpoint.

    It does at each step that `save_every` names, and at the step where it has to stop.
    """
    spans = (learn.save_every, learn.keep.every or learn.save_every)
    return is_stop_requested() or any(step // span > saved // span for span in spans)


def step_of(checkpoint: Path) -> int:
    """Return the training step of a checkpoint."""
    return int(checkpoint.name.removeprefix(_PREFIX))


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a training, intact or damaged, oldest first."""
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.is_dir())


def write_checkpoint(folder: Path, tensors: Groups, state: Json, keep: Keep | None = None) -> None:
    """Publish a checkpoint, verify it, then delete those that are not kept.

    Args:
        folder: folder of the training.
        tensors: tensors by group and name, on any device.
        state: state of the loop, as JSON; its `step` names the checkpoint.
        keep: which older checkpoints to keep; default: as in `Keep`.

    Raises:
        TrainingFailed: The disk is full or not writable; existing checkpoints stay.
        CorruptArtifact: The disk returns different bytes; older checkpoints stay.
        Interrupted: The training has to stop, see `stop_request`.
    """
    checkpoint = folder / f"{_PREFIX}{state['step']:09d}"
    with _report_os_errors(checkpoint):
        _publish(checkpoint, tensors, state)
        _verify(checkpoint)
        fault_point("checkpoint.verified")
        keep = keep or Keep()
        paths = checkpoints(folder)
        permanent = _permanent(paths, keep)
        for old in paths[: -keep.last]:
            if old not in permanent:
                _drop(old)
                fault_point("checkpoint.dropped")
    send_checkpoints(folder, INDEX)
    check_stop()


@contextmanager
def _report_os_errors(checkpoint: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingFailed(
            checkpoint,
            f"could not be written ({error.strerror or error})",
            fix="free disk space or make it writable; a rerun resumes from the last checkpoint",
        ) from error


def _publish(checkpoint: Path, tensors: Groups, state: Json) -> None:
    content = pack_tensors(tensors)
    if checkpoint.exists():  # left by a training whose model was deleted
        _drop(checkpoint)
    aside = aside_of(checkpoint)
    try:
        aside.mkdir()
        fault_point("checkpoint.begun")
        (aside / TENSORS).write_bytes(content)
        fault_point("checkpoint.tensors")
        (aside / INDEX).write_bytes(_index(hashlib.sha256(content).hexdigest(), state))
        fault_point("checkpoint.indexed")
        settle([Move(aside, checkpoint)])
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def pack_tensors(tensors: Groups) -> bytes:
    """Return tensors as the bytes of a safetensors file."""
    from safetensors.torch import save

    return save(
        {
            f"{group}.{name}": value.detach().cpu().contiguous()
            for group, values in tensors.items()
            for name, value in values.items()
        }
    )


def unpack_tensors(content: bytes) -> Groups:
    """Return the tensors of `pack_tensors`, on the CPU."""
    from safetensors.torch import load

    groups: Groups = {}
    for name, value in load(content).items():
        group, _, inner = name.partition(".")
        groups.setdefault(group, {})[inner] = value
    return groups


def _index(sha256: str, state: Json) -> bytes:
    """Return the canonical bytes of `checkpoint.json`."""
    content = _FORMAT.stamp({"tensors_sha256": sha256, "state": state})
    whole = {**content, "sha256": digest(content)}
    # Keys are not sorted: curves are drawn in order of their first point.
    return (json.dumps(whole, separators=(",", ":"), allow_nan=False) + "\n").encode()


def _verify(checkpoint: Path) -> None:
    """Read a checkpoint back, from the disk and not from the page cache where possible."""
    if hasattr(os, "posix_fadvise"):
        for path in (checkpoint / INDEX, checkpoint / TENSORS):
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        _read_intact(checkpoint)
    except CorruptArtifact:
        _set_aside(checkpoint)
        raise


def read_checkpoint(
    folder: Path, report: Callable[[str], None] | None = None
) -> tuple[Groups, Json] | None:
    """Return tensors (on the CPU) and state of the newest intact checkpoint; None without any.

    Args:
        folder: folder of the training.
        report: receives a message for each damaged newer checkpoint; these are renamed.

    Raises:
        CorruptArtifact: All checkpoints are damaged.
        TrainingFailed: The folder cannot be written.
    """
    for leftover in folder.glob(f"{_ASIDE}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    damaged = list[CorruptArtifact]()
    for checkpoint in reversed(checkpoints(folder)):
        try:
            content, state = _read_intact(checkpoint)
        except CorruptArtifact as error:
            damaged.append(error)
            continue
        for error in damaged:
            if report is not None:
                report(f"{error}; using the checkpoint before it")
            with _report_os_errors(folder):
                _set_aside(Path(error.where).parent)
        return unpack_tensors(content), state
    if damaged:
        newest = damaged[0]
        fix = f"move {folder} away to start from step 0"
        raise CorruptArtifact(
            newest.where, f"{newest.problem}, and no older one is intact", fix=fix
        )
    return None


def open_checkpoint(checkpoint: Path) -> tuple[Groups, Json]:
    """Return tensors (on the CPU) and state of one checkpoint.

    Raises:
        CorruptArtifact: It is damaged.
    """
    content, state = _read_intact(checkpoint)
    return unpack_tensors(content), state


def clear(folder: Path, keep: Keep | None = None) -> None:
    """Delete the checkpoints of a finished training except permanent ones; keep its logs.

    An empty folder is deleted as well.
    """
    permanent = _permanent(checkpoints(folder), keep or Keep())
    for path in set(folder.iterdir()) - permanent:
        if path.name.startswith((_PREFIX, _ASIDE, _DAMAGED)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    send_checkpoints(folder, INDEX)
    if not any(folder.iterdir()):
        folder.rmdir()


def _read_intact(checkpoint: Path) -> tuple[bytes, Json]:
    """Return the tensors' bytes and the state of an intact checkpoint.

    Raises:
        CorruptArtifact: The content differs from the written one.
    """
    index = checkpoint / INDEX
    tensors = checkpoint / TENSORS
    for path in (index, tensors):
        if not path.is_file():
            raise CorruptArtifact(path, "is missing")
    text = index.read_bytes()
    content = _FORMAT.open(index, read_json(index))
    state = content.get("state")
    sha256 = content.get("tensors_sha256")
    if not isinstance(state, dict) or text != _index(str(sha256), state):
        raise CorruptArtifact(index, "has bytes that changed since it was written")
    data = tensors.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CorruptArtifact(tensors, "has bytes that changed since it was written")
    return data, state


def _drop(checkpoint: Path) -> None:
    """Delete a checkpoint. It is renamed first, so that a crash leaves no partial checkpoint."""
    aside = checkpoint.parent / f"{_ASIDE}{uuid4().hex}"
    checkpoint.rename(aside)
    shutil.rmtree(aside)


def _set_aside(checkpoint: Path) -> None:
    """Rename a damaged checkpoint, so that it is not read again."""
    checkpoint.rename(checkpoint.parent / f"{_DAMAGED}{checkpoint.name}-{uuid4().hex[:8]}")
