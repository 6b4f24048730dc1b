"""Class balance: how often training draws from each episode, so that rare classes count.

A class with n rows is drawn in proportion to n^(1 - power): by its rows at power 0, equally often
at power 1 (Mahajan et al. 2018, section 2.2, use 0.5).
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from kinemill.dataset._multi_task import Together
from kinemill.dataset._packed import PackedEpisode
from kinemill.dataset._sessions import metadata_of
from kinemill.errors import BadInput
from kinemill.store.home import Home
from kinemill.task import Task


def classes_of(task: Task, home: Home, together: Together) -> dict[str, str]:
    """Return the class of every episode by its id, as `dataset.balance.group_by` says; {} without.

    Raises:
        BadInput: the metadata of a recording lacks the key.
    """
    balance = task.dataset.balance
    if balance is None:
        return {}
    plain = {
        "episode": lambda one: one.id,
        "recording": lambda one: one.recording,
        "task": lambda one: together.tasks.get(one.id, task.name),
    }
    if balance.group_by in plain:
        return {one.id: plain[balance.group_by](one) for one in together.episodes}
    found, unknown = dict[str, str](), list[str]()
    for one in together.episodes:
        known = metadata_of(task, home, one, together.tasks.get(one.id, task.name))
        if balance.group_by in known:
            found[one.id] = known[balance.group_by]
        else:
            unknown.append(one.name)
    if unknown:
        raise BadInput(
            f"{task.path or task.name}: dataset.balance.group_by: {balance.group_by}",
            f"is not known of {len(set(unknown))} recordings, such as {unknown[0]}",
            expected=f"{', '.join(plain)}, or a key that every recording's metadata has",
            fix="a group in `ingest.meta.name`, or a side-car beside each log",
        )
    return found


def weights_of(
    episodes: Sequence[PackedEpisode], classes: Mapping[str, str], power: float
) -> list[float]:
    """Return the weight of each episode's rows; the mean over the training rows is 1.

    Args:
        episodes: of the dataset; those that are not for training weigh 1.
        classes: by the ids of episodes; a piece of one is of the class of the whole.
        power: 0 to 1.
    """
    rows: Counter[str] = Counter()
    for one in episodes:
        if one.split == "train":
            rows[classes[one.id]] += one.rows
    total = sum(count ** (1.0 - power) for count in rows.values())
    scale = rows.total() / total if total else 1.0
    return [
        scale * rows[classes[one.id]] ** -power if one.split == "train" else 1.0 for one in episodes
    ]
