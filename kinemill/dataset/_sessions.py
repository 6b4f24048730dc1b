"""What stays together in a split, where that is more than a recording."""

from collections.abc import Iterable

from kinemill.dataset._split import SplitEpisode
from kinemill.errors import BadInput
from kinemill.ingest.membership import find_member
from kinemill.ingest.metadata import PROBLEM, metadata
from kinemill.store.home import Home
from kinemill.task import Task


def groups_of(task: Task, home: Home, episodes: Iterable[SplitEpisode]) -> dict[str, str]:
    """Return the session, or what else `dataset.group_by` names, by recording.

    Empty for recordings and parts, which need no name.

    Raises:
        BadInput: it is not known of some recording, so nobody can tell what that belongs to.
    """
    by, found, unknown = task.dataset.group_by, dict[str, str](), dict[str, str]()
    if by in {"recording", "part"}:
        return found
    for recording, name in {episode.recording: episode.name for episode in episodes}.items():
        member = find_member(home, task.name, recording)
        known = metadata(task, name, member.meta if member else {})
        if by in known:
            found[recording] = known[by]
        else:
            unknown[name] = known.get(PROBLEM, "")
    if unknown:
        raise BadInput(
            f"{task.path or task.name}: dataset.group_by: {by}",
            f"is not known of {len(unknown)} recordings, such as {_few(unknown)}",
            fix=f"a group `(?P<{by}>...)` in `ingest.meta.name`, or a side-car such as "
            f"run7.meta.yaml with `{by}: ...` beside each log, and run again",
        )
    return found


def metadata_of(task: Task, home: Home, episode: SplitEpisode, of: str) -> dict[str, str]:
    """Return what is known of an episode's recording, which is one of the task called `of`."""
    member = find_member(home, of, episode.recording)
    return metadata(task, episode.name, member.meta if member else {})


def _few(unknown: dict[str, str]) -> str:
    return ", ".join(
        f"{name} ({problem})" if problem else name for name, problem in sorted(unknown.items())[:5]
    )
