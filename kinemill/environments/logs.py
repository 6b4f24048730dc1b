"""Episodes of a policy as logs that ingest reads: what a logger on the robot would have written.

Where there are numbers alone it is CSV: `time`, a column for each number observed and each action,
and `reward`. With images or texts it is HDF5: `episode_0/observations/<name>`, `actions`,
`rewards`, a text as the attribute `@<name>`. Channels of the task stand where it looks for them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kinemill.environments.evaluation import Recorded
from kinemill.runtime.policy_layout import MASK, OBSERVATION, PolicyLayout
from kinemill.sim import Table, table_csv
from kinemill.store import digest, publish_file
from kinemill.task.document import Task

Array = NDArray[Any]
# Not lzf: what it makes of the same numbers differs from time to time by a few bytes.
COMMANDED = "_commanded"  # ends the column of an action before it was clipped to its limits
_PACKED: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "track_times": False}


def write_episode(task: Task, episode: Recorded, folder: Path) -> Path:
    """Write one episode as a log; its name ends in a digest, so none replaces another.

    Row k holds an observation and the action that is held from then on; the last observation,
    after which nothing was done, is left out. An action is what the environment got; where limits
    changed it, the log also holds what was chosen, as `<action>_commanded`.

    Args:
        task: whose channels and time step it has.
        episode: in full.
        folder: where it goes, whole or not at all.
    """
    layout, numbers = episode.layout, _numbers(episode)
    media = {
        name: values[:-1]
        for name, values in episode.observations.items()
        if name not in (OBSERVATION, MASK)
    }
    wanted = task.ingest.format if task.ingest.format in ("csv", "hdf5") else None
    if media or wanted == "hdf5":
        return _hdf5(task, numbers, media, layout, (folder, f"rollout-{episode.seed:06d}"))
    table: Table = {"time": np.arange(len(episode.rewards), dtype=float) * task.dt}
    table |= {_source(task, name): values.astype(float) for name, values in numbers.items()}
    content = table_csv(table)
    path = folder / f"rollout-{episode.seed:06d}-{digest(content)[:8]}.csv"
    if not path.is_file():
        publish_file(path, content.encode())
    return path


def _numbers(episode: Recorded) -> dict[str, Array]:
    """Return observed numbers, actions and reward by name, (N,) each."""
    layout, rows = episode.layout, len(episode.rewards)
    found: dict[str, Array] = {}
    if layout.observation:
        seen = episode.observations[OBSERVATION][:-1]
        found |= {name: seen[:, index] for index, name in enumerate(layout.observation)}
    done = episode.actions.reshape(rows, -1)
    found |= {name: done[:, index] for index, name in enumerate(layout.actions)}
    if episode.commands is not None:
        chosen = episode.commands.reshape(rows, -1)
        commands = {f"{name}{COMMANDED}": chosen[:, k] for k, name in enumerate(layout.actions)}
        found = commands | found  # a channel of that name goes first
    return found | {"reward": episode.rewards}


def _source(task: Task, name: str) -> str:
    """Return the name that the task looks for a channel under."""
    channel = task.channels.get(name)
    if channel is None and name == "reward":
        rewards = [key for key, one in task.channels.items() if one.role == "reward"]
        channel = task.channels[rewards[0]] if rewards else None
        name = rewards[0] if rewards else name
    return channel.source[0].name if channel is not None and channel.source else name


def _hdf5(
    task: Task,
    numbers: Mapping[str, Array],
    media: Mapping[str, Array],
    layout: PolicyLayout,
    named: tuple[Path, str],
) -> Path:
    from io import BytesIO

    import h5py

    folder, stem = named
    arrays = _placed(task, numbers, layout)
    words = dict[str, str]()
    for name, values in media.items():
        channel = task.channels.get(name)
        place = channel.source[0].name if channel and channel.source else f"observations/{name}"
        if name in layout.texts:
            said = bytes(values[0]).rstrip(b"\0").decode("utf-8", "replace")
            words[place.removeprefix("@") if place.startswith("@") else name] = said
        else:
            arrays[place] = values
    held = BytesIO()
    with h5py.File(held, "w") as file:
        group = file.create_group("episode_0")
        for place, values in arrays.items():
            group.create_dataset(place, data=values, **_PACKED)
        for name, said in words.items():
            group.attrs[name] = said
        rows = len(numbers["reward"])
        if "time" not in arrays:
            group.create_dataset("time", data=np.arange(rows) * task.dt, track_times=False)
    content = held.getvalue()
    path = folder / f"{stem}-{digest(content.hex())[:8]}.h5"
    if not path.is_file():
        publish_file(path, content)
    return path


def _placed(task: Task, numbers: Mapping[str, Array], layout: PolicyLayout) -> dict[str, Array]:
    """Return arrays by data set; `observations/q[3]` is the fourth column of one."""
    columns: dict[str, dict[int, Array]] = {}
    for name, values in numbers.items():
        usual = f"actions[{layout.actions.index(name)}]" if name in layout.actions else None
        if name.endswith(COMMANDED) and (of := name.removesuffix(COMMANDED)) in layout.actions:
            usual = f"commands[{layout.actions.index(of)}]"
        usual = usual or ("rewards" if name == "reward" else f"observations/{name}")
        place = _source(task, name)
        place = usual if place == name else place
        base, _, index = place.removesuffix("]").partition("[")
        columns.setdefault(base, {})[int(index) if index else -1] = values
    return {
        base: found[-1] if -1 in found else np.stack([found[k] for k in sorted(found)], axis=1)
        for base, found in columns.items()
    }
