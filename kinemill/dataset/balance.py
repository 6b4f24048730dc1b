"""Class balance: sample episodes of rare classes more often in training.

A class with n rows is sampled in proportion to n^(1 - power): by its rows at power 0, equally
often at power 1 (Mahajan et al. 2018, section 2.2, use 0.5).
"""

import polars as pl

from kinemill.dataset.multi_task import EpisodeSet, metadata_of
from kinemill.errors import BadInput
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.stages import Balance


def classes_of(task: Task, home: Home, collected: EpisodeSet) -> dict[str, str]:
    """Return the class of each episode by id; empty without `dataset.balance`.

    Raises:
        BadInput: The metadata of a recording lacks the key.
    """
    balance = task.dataset.balance
    if balance is None:
        return {}
    attributes = {
        "episode": lambda episode: episode.id,
        "recording": lambda episode: episode.recording,
        "task": lambda episode: collected.tasks.get(episode.id, task.name),
    }
    if balance.group_by in attributes:
        return {episode.id: attributes[balance.group_by](episode) for episode in collected.episodes}
    classes = dict[str, str]()
    unknown = list[str]()
    for episode in collected.episodes:
        values = metadata_of(task, home, episode, collected.tasks.get(episode.id, task.name))
        if balance.group_by in values:
            classes[episode.id] = values[balance.group_by]
        else:
            unknown.append(episode.name)
    if unknown:
        raise BadInput(
            f"{task.path or task.name}: dataset.balance.group_by: {balance.group_by}",
            f"is not known of {len(set(unknown))} recordings, such as {unknown[0]}",
            expected=f"{', '.join(attributes)}, or a key that every recording's metadata has",
            fix="a group in `ingest.meta.name`, or a side-car beside each log",
        )
    return classes


def weights_of(pieces: pl.DataFrame, balance: Balance) -> pl.Expr:
    """Return the sampling weight of each piece's rows; the mean over training rows is 1.

    Pieces of validation and test have weight 1.
    """
    power = balance.power
    trained = pl.col("split") == "train"
    classes = pieces.filter(trained).group_by("class", maintain_order=True)
    rows = dict(classes.agg(pl.col("rows").sum()).iter_rows())
    # n rows of a class weigh scale n^-power each, and all weights together must sum to Σ n.
    scale = sum(rows.values()) / (sum(count ** (1.0 - power) for count in rows.values()) or 1.0)
    weights = {name: scale * count**-power for name, count in rows.items()}
    of = pl.col("class").replace_strict(weights, default=1.0, return_dtype=pl.Float64)
    return pl.when(trained).then(of).otherwise(1.0)
