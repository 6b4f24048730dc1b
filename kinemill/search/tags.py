"""Tags and notes on recordings and on spans of time in them: who, when and why.

A tag holds until it is removed from its recordings. Tags are no part of any artifact.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import polars as pl

from kinemill.errors import BadInput
from kinemill.store import Format, Home
from kinemill.store.act_log import ActLog
from kinemill.store.locks import current_user, now

LONGEST = 100  # characters of a tag


@dataclass(frozen=True)
class TagDetails:
    """What a tag is about.

    Attributes:
        start_s: first time, s since the first stamp; None: the beginning.
        stop_s: last time, s; None: the end.
        note: further text.
    """

    start_s: float | None = None
    stop_s: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Tag:
    """One act: a tag was set on recordings, or removed from them.

    Attributes:
        number: of the act, from 1.
        recordings: content hashes.
        tag: its text.
        who: the user.
        when: ISO 8601, UTC.
        removed: whether the act removes the tag.
        start_s: first time that it is about, s since the first stamp; None: the beginning.
        stop_s: last time that it is about, s; None: the end.
        note: further text.
    """

    number: int
    recordings: list[str]
    tag: str
    who: str
    when: str
    removed: bool = False
    start_s: float | None = None
    stop_s: float | None = None
    note: str = ""


TAGS = ActLog("tags", Format("tag", 1), Tag)


def current_tags(home: Home, task: str) -> list[Tag]:
    """Return the tags that hold, oldest first, each with the recordings that still have it."""
    removed = dict[str, set[str]]()
    current = list[Tag]()
    for act in reversed(TAGS.read(home, task)):
        later = removed.setdefault(act.tag, set())
        if act.removed:
            later |= {*act.recordings}
        elif remaining := [hash_ for hash_ in act.recordings if hash_ not in later]:
            current.append(replace(act, recordings=remaining))
    return current[::-1]


def tags_by_recording(home: Home, task: str) -> pl.DataFrame:
    """Return `recording` and `tag`, the list of its tags, for each recording that has one."""
    tags = dict[str, set[str]]()
    for tag in current_tags(home, task):
        for hash_ in tag.recordings:
            tags.setdefault(hash_, set()).add(tag.tag)
    return pl.DataFrame(
        {"recording": [*tags], "tag": [sorted(tag) for tag in tags.values()]},
        schema={"recording": pl.String, "tag": pl.List(pl.String)},
    )


def add_tag(
    home: Home, task: str, recordings: Sequence[str], tag: str, details: TagDetails | None = None
) -> Tag:
    """Set a tag on recordings until it is removed.

    Raises:
        BadInput: The tag is empty or too long, or the span has no length.
    """
    settings = details or TagDetails()
    ends = [end for end in (settings.start_s, settings.stop_s) if end is not None]
    rising = all(earlier < later for earlier, later in pairwise(ends))
    if not rising or not all(math.isfinite(end) and end >= 0.0 for end in ends):
        raise BadInput(
            f"tag {tag!r}",
            f"the span from {settings.start_s} to {settings.stop_s} s is invalid",
            expected="times from 0 s, the first one before the last one",
        )
    act = Tag(0, [*recordings], _checked(tag), current_user(), now())
    act = replace(act, start_s=settings.start_s, stop_s=settings.stop_s, note=settings.note)
    return TAGS.append(home, task, lambda: act)


def remove_tag(home: Home, task: str, recordings: Sequence[str], tag: str) -> Tag:
    """Remove a tag, with all its spans and notes, from recordings.

    Raises:
        BadInput: One of the recordings does not have the tag.
    """
    TAGS.fetch(home, task)
    tagged = {
        hash_
        for tagging in current_tags(home, task)
        if tagging.tag == tag
        for hash_ in tagging.recordings
    }
    if missing := [hash_ for hash_ in recordings if hash_ not in tagged]:
        problem = f"is no tag of {len(missing)} recordings, such as {missing[0][:16]}"
        raise BadInput(f"tag {tag!r}", problem, fix=f"kinemill data tags {task} lists them")
    about = Tag(0, [*recordings], tag, current_user(), now(), removed=True)
    return TAGS.append(home, task, lambda: about)


def _checked(tag: str) -> str:
    if not tag.strip() or len(tag) > LONGEST or not tag.isprintable():
        problem = "is empty" if not tag.strip() else "has too many or unprintable characters"
        raise BadInput(f"tag {tag!r}"[:200], problem, expected=f"1 to {LONGEST} characters")
    return tag
