"""Checkpoints: all that a training needs to go on bit for bit; each is there whole, or not at all.

A checkpoint is a folder `checkpoint-000000500/` within that of its training, named by its step:
`tensors.safetensors`, and `checkpoint.json` with the state of the loop, the sha256 of the tensors
and one of itself. It is written aside, brought to the disk, renamed, and read back from the disk;
only when all its bytes are those that were written do older ones go. The best weights so far are
in every checkpoint, so that they need none of their own. What else is in them is the business of
`kinemill.train.training_state`.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from kinemill.errors import CorruptArtifact, TrainingFailed
from kinemill.store import Json, aside_of, digest, read_json
from kinemill.store.atomic_write import Move, settle
from kinemill.store.fault_injection import fault_point
from kinemill.store.formats import Format
from kinemill.store.remote_sync import send_checkpoints
from kinemill.task.learn import Learn

INDEX = "checkpoint.json"
TENSORS = "tensors.safetensors"
_FORMAT = Format("checkpoint", 2)
_PREFIX, _ASIDE, _DAMAGED = "checkpoint-", ".aside-", "damaged-"

# Tensors by group (a word without dots) and name; Any, for torch takes a second to import.
Groups = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Kept:
    """Which checkpoints stay.

    Attributes:
        last: so many of the newest.
        every: steps; the first checkpoint after each so many of them stays for good. None: none.
    """

    last: int = 2
    every: int | None = None

    @classmethod
    def of(cls, learn: Learn) -> "Kept":
        """Return what `learn.keep` says."""
        return cls(learn.keep.last, learn.keep.every)

    def dropped(self, places: list[Path]) -> list[Path]:
        """Return which of the checkpoints, oldest first, are to go."""
        staying = self.staying(places)
        return [place for place in places[: -self.last] if place not in staying]

    def staying(self, places: list[Path]) -> set[Path]:
        """Return which of the checkpoints, oldest first, stay even when their training is over."""
        if self.every is None:
            return set()
        first = dict[int, Path]()
        for place in places:
            first.setdefault(step_of(place) // self.every, place)
        return {place for passed, place in first.items() if passed}


def is_due(step: int, saved: int, learn: Learn) -> bool:
    """Tell whether a training at `step`, last saved at step `saved`, is to write a checkpoint."""
    spans = (learn.save_every, learn.keep.every or learn.save_every)
    return any(step // span > saved // span for span in spans)


def step_of(place: Path) -> int:
    """Return the training step that a checkpoint was written after."""
    return int(place.name.removeprefix(_PREFIX))


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a training, whole or damaged, oldest first."""
    return sorted(path for path in folder.glob(f"{_PREFIX}*") if path.is_dir())


def write_checkpoint(folder: Path, tensors: Groups, state: Json, kept: Kept | None = None) -> None:
    """Publish a checkpoint, look whether it is whole, then drop those that are not kept.

    Args:
        folder: of the training.
        tensors: on any device.
        state: of the loop, as JSON; its `step` names the checkpoint.
        kept: which of the older ones stay.

    Raises:
        TrainingFailed: the disk is full, or the folder cannot be written; what was there, stays.
        CorruptArtifact: the disk gives back other bytes than were written; the older ones stay.
    """
    place = folder / f"{_PREFIX}{state['step']:09d}"
    with _written(place):
        _publish(place, tensors, state)
        _verify(place)
        fault_point("checkpoint.verified")
        for old in (kept or Kept()).dropped(checkpoints(folder)):
            _drop(old)
            fault_point("checkpoint.dropped")
    send_checkpoints(folder, INDEX)


@contextmanager
def _written(place: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise TrainingFailed(
            place,
            f"could not be written ({error.strerror or error})",
            fix="make room there, or let it be written; a rerun goes on from the last checkpoint",
        ) from error


def _publish(place: Path, tensors: Groups, state: Json) -> None:
    content = packed(tensors)
    if place.exists():  # of a model that was lost and is trained again
        _drop(place)
    aside = aside_of(place)
    try:
        aside.mkdir()
        fault_point("checkpoint.begun")
        (aside / TENSORS).write_bytes(content)
        fault_point("checkpoint.tensors")
        (aside / INDEX).write_bytes(_index(hashlib.sha256(content).hexdigest(), state))
        fault_point("checkpoint.indexed")
        settle([Move(aside, place)])
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def packed(tensors: Groups) -> bytes:
    """Return tensors as the bytes of a safetensors file."""
    from safetensors.torch import save

    return save(
        {
            f"{group}.{name}": value.detach().cpu().contiguous()
            for group, values in tensors.items()
            for name, value in values.items()
        }
    )


def unpacked(content: bytes) -> Groups:
    """Undo `packed`; all tensors are on the CPU."""
    from safetensors.torch import load

    groups: Groups = {}
    for name, value in load(content).items():
        group, _, inner = name.partition(".")
        groups.setdefault(group, {})[inner] = value
    return groups


def _index(sha256: str, state: Json) -> bytes:
    """Spell `checkpoint.json` in the one way that is taken for whole."""
    content = _FORMAT.stamp({"tensors_sha256": sha256, "state": state})
    whole = {**content, "sha256": digest(content)}
    # Keys stay as they come: curves are drawn in the order in which they began.
    return (json.dumps(whole, separators=(",", ":"), allow_nan=False) + "\n").encode()


def _verify(place: Path) -> None:
    """Read back what was written, from the disk and not from memory where the system lets us."""
    if hasattr(os, "posix_fadvise"):
        for path in (place / INDEX, place / TENSORS):
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    try:
        _whole(place)
    except CorruptArtifact:
        _set_aside(place)
        raise


def read_checkpoint(
    folder: Path, say: Callable[[str], None] | None = None
) -> tuple[Groups, Json] | None:
    """Return tensors, on the CPU, and state of the newest whole checkpoint; None if there is none.

    Args:
        folder: of the training.
        say: told of newer ones that are damaged; they are set aside.

    Raises:
        CorruptArtifact: there are checkpoints, and none is whole.
        TrainingFailed: the folder cannot be written.
    """
    for leftover in folder.glob(f"{_ASIDE}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    damaged = list[CorruptArtifact]()
    for place in reversed(checkpoints(folder)):
        try:
            content, state = _whole(place)
        except CorruptArtifact as error:
            damaged.append(error)
            continue
        for error in damaged:
            if say is not None:
                say(f"{error}; the checkpoint before is whole and is taken")
            with _written(folder):
                _set_aside(Path(error.where).parent)
        return unpacked(content), state
    if damaged:
        newest = damaged[0]
        fix = f"move {folder} away to start from step 0"
        raise CorruptArtifact(newest.where, f"{newest.problem}, and no older one is whole", fix=fix)
    return None


def clear(folder: Path, kept: Kept | None = None) -> None:
    """Remove what a training that is over wrote to go on, but for checkpoints that stay for good.

    Its logs and its config stay, too.
    """
    kept = kept or Kept()
    staying = kept.staying(checkpoints(folder))
    for path in set(folder.iterdir()) - staying:
        if path.name.startswith((_PREFIX, _ASIDE, _DAMAGED)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    send_checkpoints(folder, INDEX)
    if not any(folder.iterdir()):
        folder.rmdir()


def _whole(place: Path) -> tuple[bytes, Json]:
    """Return the tensors' bytes and the state of a checkpoint, every byte of which is as written.

    Raises:
        CorruptArtifact: one is not.
    """
    index, tensors = place / INDEX, place / TENSORS
    for path in (index, tensors):
        if not path.is_file():
            raise CorruptArtifact(path, "is missing")
    text = index.read_bytes()
    content = _FORMAT.open(index, read_json(index))
    state, sha256 = content.get("state"), content.get("tensors_sha256")
    if not isinstance(state, dict) or text != _index(str(sha256), state):
        raise CorruptArtifact(index, "has bytes that changed since it was written")
    found = tensors.read_bytes()
    if hashlib.sha256(found).hexdigest() != sha256:
        raise CorruptArtifact(tensors, "has bytes that changed since it was written")
    return found, state


def _drop(place: Path) -> None:
    """Remove a checkpoint, so that what a crash leaves of it is not taken for one."""
    aside = place.parent / f"{_ASIDE}{uuid4().hex}"
    place.rename(aside)
    shutil.rmtree(aside)


def _set_aside(place: Path) -> None:
    """Give a damaged checkpoint a name that nobody looks for."""
    place.rename(place.parent / f"{_DAMAGED}{place.name}-{uuid4().hex[:8]}")
