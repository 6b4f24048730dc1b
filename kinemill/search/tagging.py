"""Run the taggers of a task on the recordings that are new to them.

A tagger sees a recording once, and again if its result changed. A recording that already has an act
on a tag, such as a user who removed it, keeps what that act decided.
"""

from collections.abc import Iterator, Set
from itertools import groupby

from kinemill.catalog import change_of
from kinemill.catalog.evaluations import EvaluationSet
from kinemill.catalog.history import batches
from kinemill.catalog.tables import evaluated
from kinemill.search.tags import TAGS, TagDetails, add_tag
from kinemill.store import ArtifactRef, Home, digest, index_path, publish_document, read_document
from kinemill.store.locks import lock
from kinemill.task import Tagger, Task
from kinemill.validate import load_episodes
from kinemill.validate.published import open_results, read_episodes

STATE = "taggers.json"  # in the index of the task: set of results by digest of the tagger
_BATCH = 4096  # recordings whose tags are set together


def tag_recordings(task: Task, home: Home, episodes: ArtifactRef) -> int:
    """Let the taggers of a task tag new and changed recordings; return the number of tags set.

    Raises:
        BadInput: A tagger fails, or a tag is invalid. Tags of other recordings stay set.
    """
    if not task.tag:
        return 0
    with lock(home, f"taggers-{task.name}"):
        TAGS.fetch(home, task.name)
        path, results = index_path(home, task.name, STATE), open_results(home, episodes)
        state = read_document(path, dict[str, str]) if path.is_file() else {}
        own = {_digest(task, tagger): tagger for tagger in task.tag}
        set_, count = read_episodes(home, episodes).set, 0
        for key, tagger in own.items():
            for some in batches(_changed(task, home, results, state.get(key)), _BATCH):
                count += _tag(task, home, episodes, tagger, some)
        if state != (current := dict.fromkeys(own, set_)):
            publish_document(path, current)
    return count


def _digest(task: Task, tagger: Tagger) -> str:
    return digest([tagger.model_dump(mode="json"), task.part("dt", "channels")])


def _changed(task: Task, home: Home, results: EvaluationSet, last_set: str | None) -> Iterator[str]:
    """Yield the content hashes of the recordings that a tagger has not seen, sorted."""
    change = change_of(home, task.name, last_set, evaluated) if last_set else None
    if change is None:
        yield from (row.hash for row in results)
    else:
        yield from sorted(results.changed_since(change))


def _tag(task: Task, home: Home, episodes: ArtifactRef, tagger: Tagger, hashes: list[str]) -> int:
    """Tag some recordings; return the number of tags set."""
    recordings_by_tag = dict[str, list[str]]()
    loaded = load_episodes(home, episodes, hashes)
    for recording, own in groupby(loaded, key=lambda one: one.recording):
        frames = [episode.read().select(task.numbers) for episode in own]
        values = [{name: frame[name].to_numpy() for name in frame.columns} for frame in frames]
        for tag in tagger.find_tags(values, task.dt):
            recordings_by_tag.setdefault(tag, []).append(recording)
    decided = _decided(task, home, recordings_by_tag.keys())
    count = 0
    for tag, recordings in recordings_by_tag.items():
        if new := [hash_ for hash_ in dict.fromkeys(recordings) if (tag, hash_) not in decided]:
            add_tag(home, task.name, new, tag, TagDetails(who=tagger.type))
            count += len(new)
    return count


def _decided(task: Task, home: Home, tags: Set[str]) -> set[tuple[str, str]]:
    """Return each of some tags with each recording that has an act on it."""
    acts = (act for act in TAGS.read(home, task.name) if act.tag in tags)
    return {(act.tag, hash_) for act in acts for hash_ in act.recordings}
