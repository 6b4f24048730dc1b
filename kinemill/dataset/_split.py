"""The side of the split that each recording is on: a rule that looks at that recording alone.

Because no rule looks at other recordings, nothing changes side as data grows, and the pieces of one
recording stay together; where the task says so, those of one session. A side that a share leaves
empty is filled by `kinemill.dataset._assignment`, which stores what it assigns. Named patterns come
before shares: unused, test, validation, then the share of test, then the share of validation; the
rest is for training. Rows that a benchmark prescribes are cut out of whatever side they are on.
"""

import hashlib
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Protocol

import numpy as np

from kinemill.task import Dataset
from kinemill.task.stages import Rows, Tail

_NAMED = ("unused", "test", "validation")  # in the order in which they are asked


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
    def part(self) -> str:
        """Part of the recording that it is from; empty where that is one."""
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

    @property
    def rows(self) -> int:
        """Number of time steps."""
        return self.last - self.first


@dataclass(frozen=True)
class Known:
    """What the split may know of recordings besides their hashes and names.

    Attributes:
        groups: session, or what else stays together, by recording; empty: each by itself.
        starts: row of its recording, or of its part, that an episode begins with, by episode;
            default 0.
        roots: the recording, or `recording/part`, that one is a near-duplicate of, by itself.
        twins: the same, whatever the task's rule about near-duplicates.
        training: episodes, by id, that are for training alone and whole, whatever the rules say.
        assigned: side by unit (recording, part or session) that had to fill an empty side.
    """

    groups: Mapping[str, str] = field(default_factory=dict[str, str])
    starts: Mapping[str, int] = field(default_factory=dict[str, int])
    roots: Mapping[str, str] = field(default_factory=dict[str, str])
    twins: Mapping[str, str] = field(default_factory=dict[str, str])
    training: Set[str] = frozenset()
    assigned: Mapping[str, str] = field(default_factory=dict[str, str])

    def key(self, rules: Dataset, episode: SplitEpisode) -> str:
        """Return what decides the side of an episode under shares: session, recording or part."""
        unit = unit_of(rules, episode)
        return self.groups.get(episode.recording, self.roots.get(unit, unit))

    def side(self, rules: Dataset, episode: SplitEpisode) -> str:
        """Return the side that an episode is on at large."""
        if episode.id in self.training:
            return "train"
        group = self.groups.get(episode.recording)
        named = named_side(rules, episode.name, group, episode.part)
        key = self.key(rules, episode)
        return named or self.assigned.get(key) or share_side(rules, key)


def position(recording: str) -> float:
    """Return the fixed place of a recording in [0, 1), from its content hash alone."""
    spot = hashlib.sha256(b"split" + recording.encode()).digest()[:8]
    return int.from_bytes(spot, "big") / 2.0**64


def names_of(name: str, part: str) -> list[str]:
    """Return what patterns may match: a recording's name, and with its part `bag.h5/demo_3`."""
    return [name, f"{name}/{part}"] if part else [name]


def unit_of(rules: Dataset, episode: SplitEpisode) -> str:
    """Return what an episode shares its side with by itself: its recording, or the part of it."""
    by_part = rules.group_by == "part" and episode.part
    return f"{episode.recording}/{episode.part}" if by_part else episode.recording


def named_side(rules: Dataset, name: str, group: str | None = None, part: str = "") -> str | None:
    """Return the side that a pattern gives a recording, or None if no pattern matches it.

    Args:
        rules: the task's `dataset` part.
        name: name at first sight, which patterns are matched against.
        group: its session, or what else stays together; patterns of test and validation are then
            matched against that, so that no session is torn.
        part: of the recording, where that has several.
    """
    own = names_of(name, part)
    for side in _NAMED:
        if not (wanted := patterns(rules, side)):
            continue
        names = own if group is None else [group, *own] if side == "unused" else [group]
        if any(fnmatchcase(one, pattern) for one in names for pattern in wanted):
            return side
    return None


def share_side(rules: Dataset, unit: str) -> str:
    """Return the side that the shares give a unit: train, validation or test.

    Args:
        rules: the task's `dataset` part.
        unit: session, or content hash with the part where the split is by part; of a
            near-duplicate, that of the recording it repeats.
    """
    test = rules.test if isinstance(rules.test, float) else 0.0
    validation = rules.validation if isinstance(rules.validation, float) else 0.0
    spot = position(unit)
    if spot < test:
        return "test"
    return "validation" if spot < test + validation else "train"


def patterns(rules: Dataset, side: str) -> list[str]:
    """Return the patterns on names that put recordings on `side`."""
    wanted = getattr(rules, side)
    return [one for one in wanted if isinstance(one, str)] if isinstance(wanted, list) else []


def ranges(rules: Dataset, side: str) -> list[Rows]:
    """Return the rows of recordings that the task puts on `side`."""
    wanted = getattr(rules, side)
    return [one for one in wanted if isinstance(one, Rows)] if isinstance(wanted, list) else []


def cut_pieces(
    rules: Dataset,
    episodes: Iterable[SplitEpisode],
    shortest: int = 2,
    known: Known | None = None,
) -> list[Piece]:
    """Return the pieces of all episodes: prescribed rows cut out, tails of training cut off.

    Args:
        rules: the task's `dataset` part.
        episodes: all accepted episodes.
        shortest: rows below which a piece holds no window worth having; an episode that cannot
            give both sides as much stays whole, in training. What prescribed rows leave over and
            is shorter is not used.
        known: sessions, near-duplicates, and where in their recordings episodes begin.
    """
    known = known or Known()
    pieces: list[Piece] = []
    prescribed = [
        (index, one)
        for index, side in reversed(list(enumerate(_NAMED)))
        for one in ranges(rules, side)
    ]
    for episode in episodes:
        side = known.side(rules, episode)
        about = (episode.id, episode.recording, episode.name)
        if episode.id in known.training:
            pieces.append(Piece(episode.id, *about, side, 0, episode.rows))
            continue
        spans = _spans(prescribed, episode, side, known.starts.get(episode.id, 0), shortest)
        for side_, first, last in spans:
            own = episode.id if len(spans) == 1 else f"{episode.id}-rows{first}"
            cut = _tail_start(rules, last - first, shortest) if side_ == "train" else last - first
            pieces.append(Piece(own, *about, side_, first, first + cut))
            if first + cut < last:
                pieces.append(Piece(f"{own}-tail", *about, "validation", first + cut, last))
    return pieces


def _spans(
    prescribed: list[tuple[int, Rows]],
    episode: SplitEpisode,
    side: str,
    start: int,
    shortest: int,
) -> list[tuple[str, int, int]]:
    """Return (side, first row, one after the last) of an episode that is on `side` at large.

    `prescribed` are rows with the number of their side, those that come first outdone by the later.
    """
    chosen = [
        (index, one)
        for index, one in prescribed
        if any(fnmatchcase(name, one.of) for name in names_of(episode.name, episode.part))
    ]
    if not chosen or side == "unused":
        return [(side, 0, episode.rows)]
    marks = np.full(episode.rows, -1, np.int8)
    for index, one in chosen:
        last = episode.rows if one.rows[1] is None else max(one.rows[1] - start, 0)
        marks[max(one.rows[0] - start, 0) : last] = index
    edges = [0, *(np.flatnonzero(np.diff(marks)) + 1).tolist(), episode.rows]
    spans: list[tuple[str, int, int]] = []
    for first, last in pairwise(edges):
        mark = int(marks[first])
        left_over = side if last - first >= shortest else "unused"
        spans.append((left_over if mark < 0 else _NAMED[mark], first, last))
    return spans


def _tail_start(rules: Dataset, rows: int, shortest: int) -> int:
    if not isinstance(rules.validation, Tail):
        return rows
    tail = round(rules.validation.tail * rows)
    return rows - tail if min(tail, rows - tail) >= shortest else rows


def unmatched_patterns(
    rules: Dataset, names: Iterable[str], groups: Mapping[str, str] | None = None
) -> list[str]:
    """Return the patterns that match nothing, each as `test: '*x*'`."""
    recordings, sessions = list(names), set((groups or {}).values())
    unmatched: list[str] = []
    for side in _NAMED:
        known = recordings if not groups or side == "unused" else []
        unmatched += [
            f"{side}: {pattern!r}"
            for pattern in patterns(rules, side)
            if not any(fnmatchcase(name, pattern) for name in (*known, *sessions))
        ]
        unmatched += [
            f"{side}: {one.spell()}"
            for one in ranges(rules, side)
            if not any(fnmatchcase(name, one.of) for name in recordings)
        ]
    return unmatched
