"""Which side of the split each recording is on: a rule that looks at that recording alone.

Because no rule looks at other recordings, nothing changes side as data grows, and the pieces of one
recording stay together. Named patterns come before shares: unused, test, validation, then the
share of test, then the share of validation; the rest is for training.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Protocol

from kinemill.errors import BadInput
from kinemill.spec import Dataset, Task
from kinemill.spec.parts import Tail


class SplitEpisode(Protocol):
    """What the split looks at."""

    @property
    def id(self) -> str:
        """Recording hash and index."""
        ...

    @property
    def recording(self) -> str:
        """Content hash of the recording."""
        ...

    @property
    def name(self) -> str:
        """Name of the recording at first sight."""
        ...

    @property
    def rows(self) -> int:
        """Number of time steps."""
        ...


@dataclass(frozen=True)
class Piece:
    """Rows `first` to `last` (not included) of one episode, on one side of the split."""

    id: str
    episode: str
    recording: str
    name: str
    split: str
    first: int
    last: int


def position(recording: str) -> float:
    """Return the fixed place of a recording in [0, 1), from its content hash alone."""
    spot = hashlib.sha256(b"split" + recording.encode()).digest()[:8]
    return int.from_bytes(spot, "big") / 2.0**64


def side_of(rules: Dataset, recording: str, name: str) -> str:
    """Return the side of one recording: train, validation, test or unused.

    Args:
        rules: the task's `dataset` part.
        recording: content hash.
        name: name at first sight, which patterns are matched against.
    """
    patterns = {"unused": rules.unused, "test": rules.test, "validation": rules.validation}
    for side, wanted in patterns.items():
        if isinstance(wanted, list) and any(fnmatchcase(name, pattern) for pattern in wanted):
            return side
    test = rules.test if isinstance(rules.test, float) else 0.0
    validation = rules.validation if isinstance(rules.validation, float) else 0.0
    spot = position(recording)
    if spot < test:
        return "test"
    return "validation" if spot < test + validation else "train"


def cut_pieces(rules: Dataset, episodes: Iterable[SplitEpisode], shortest: int = 2) -> list[Piece]:
    """Return the pieces of all episodes, with the tails of training episodes cut off if asked for.

    Args:
        rules: the task's `dataset` part.
        episodes: all accepted episodes.
        shortest: rows below which a piece holds no window worth having; an episode that cannot
            give both sides as much stays whole, in training.
    """
    pieces: list[Piece] = []
    for episode in episodes:
        side = side_of(rules, episode.recording, episode.name)
        cut = _tail_start(rules, episode.rows, shortest) if side == "train" else episode.rows
        about = (episode.id, episode.recording, episode.name)
        pieces.append(Piece(episode.id, *about, side, 0, cut))
        if cut < episode.rows:
            pieces.append(Piece(f"{episode.id}-tail", *about, "validation", cut, episode.rows))
    return pieces


def _tail_start(rules: Dataset, rows: int, shortest: int) -> int:
    if not isinstance(rules.validation, Tail):
        return rows
    tail = round(rules.validation.tail * rows)
    return rows - tail if min(tail, rows - tail) >= shortest else rows


def unmatched_patterns(rules: Dataset, names: Iterable[str]) -> list[str]:
    """Return the patterns that match none of `names`, each as `test: '*x*'`."""
    known = list(names)
    patterns = {"unused": rules.unused, "test": rules.test, "validation": rules.validation}
    return [
        f"{side}: {pattern!r}"
        for side, wanted in patterns.items()
        if isinstance(wanted, list)
        for pattern in wanted
        if not any(fnmatchcase(name, pattern) for name in known)
    ]


def check_sides(task: Task, pieces: list[Piece]) -> None:
    """Refuse a split with an empty side, saying why it is empty and what would fill it.

    Raises:
        BadInput: no episodes at all, or none for training, validation or test.
    """
    rules, where = task.dataset, f"{task.path or task.name}: dataset"
    if not pieces:
        raise BadInput(where, "no episode was accepted", fix="see the reasons in quarantine")
    names = sorted({piece.name for piece in pieces})
    for side in ("test", "validation", "train"):
        if any(piece.split == side for piece in pieces):
            continue
        shown = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        raise BadInput(
            where if side == "train" else f"{where}.{side}",
            f"{_why(rules, side, names)}; the recordings are {shown}",
            expected="at least one episode in each of training, validation and test",
            fix=_fix(rules, side, names),
        )


def _why(rules: Dataset, side: str, names: list[str]) -> str:
    wanted = rules.validation if side == "validation" else rules.test
    if side == "train":
        return "nothing is left for training"
    if isinstance(wanted, Tail):
        return f"no training episode is long enough to give the last {wanted.tail:g} of it away"
    if isinstance(wanted, float):
        return f"the share {wanted:g} of {len(names)} recordings is none, by their hashes"
    missed = [spelled for spelled in unmatched_patterns(rules, names) if spelled.startswith(side)]
    if missed:
        return f"no recording is on this side; nothing matches {', '.join(missed)}"
    return "all recordings that its patterns match are taken by an earlier rule"


def _fix(rules: Dataset, side: str, names: list[str]) -> str:
    by_name = f"`{side}: [{names[-1]!r}]` names recordings by pattern"
    if side == "test":
        return f"{by_name}; a share needs more recordings"
    if side == "validation" and isinstance(rules.validation, Tail):
        return f"a larger tail, a lower `validate.min_steps`, or: {by_name}"
    if side == "validation":
        return f"`validation: {{tail: 0.1}}` takes the end of every training episode; {by_name}"
    return "lower the shares, narrow the patterns, or add recordings"
