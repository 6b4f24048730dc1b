"""Episodes of a policy as logs that ingest reads, like those of a logger on the robot.

Where there are numbers alone it is CSV: `time`, a column for each number observed and each action,
and `reward`. With images or texts it is HDF5: `episode_0/observations/<name>`, `actions`,
`rewards`, a text as the attribute `@<name>`. Columns have the names of the task's channels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from kinemill.control.sim import Table, write_csv
from kinemill.policies.environments.evaluation import Recorded
from kinemill.runtime.policy_layout import MASK, OBSERVATION, PolicyLayout
from kinemill.store import digest, publish_file
from kinemill.task.document import Task

Array = NDArray[np.generic]
COMMANDED = "_commanded"  # ends the column of an action before it was clipped to its limits
# Not lzf: its output for the same numbers may differ by a few bytes.
_PACKED: dict[str, object] = {"compression": "gzip", "compression_opts": 1, "track_times": False}
FILE = "rollouts.parquet"


def write_episode(task: Task, episode: Recorded, folder: Path) -> Path:
    """Write one episode as a log; its name ends in a digest, so none replaces another.

    Row k holds an observation and the action that is held from then on; the last observation,
    after which nothing was done, is left out. An action is the value passed to the environment; if
    limits changed it, the log also has the commanded value, as `<action>_commanded`.
    """
    layout = episode.layout
    numbers = _numbers(episode)
    media = {
        name: values[:-1]
        for name, values in episode.observations.items()
        if name not in (OBSERVATION, MASK)
    }
    file_format = task.ingest.format if task.ingest.format in ("csv", "hdf5") else None
    if media or file_format == "hdf5":
        return _hdf5(task, numbers, media, layout, (folder, f"rollout-{episode.seed:06d}"))
    table: Table = {"time": np.arange(len(episode.rewards), dtype=float) * task.dt}
    table |= {_source(task, name): values.astype(float) for name, values in numbers.items()}
    return write_csv(table, folder, f"rollout-{episode.seed:06d}")


def _numbers(episode: Recorded) -> dict[str, Array]:
    """Return observed numbers, actions and reward by name, (N,) each."""
    layout = episode.layout
    rows = len(episode.rewards)
    columns: dict[str, Array] = {}
    if layout.observation:
        observations = episode.observations[OBSERVATION][:-1]
        columns |= {name: observations[:, index] for index, name in enumerate(layout.observation)}
    done = episode.actions.reshape(rows, -1)
    columns |= {name: done[:, index] for index, name in enumerate(layout.actions)}
    if episode.commands is not None:
        commanded = episode.commands.reshape(rows, -1)
        commands = {f"{name}{COMMANDED}": commanded[:, k] for k, name in enumerate(layout.actions)}
        columns = commands | columns  # a channel of that name goes first
    return columns | {"reward": episode.rewards}


def _source(task: Task, name: str) -> str:
    """Return the name that the task looks for a channel under."""
    channel = task.channels.get(name)
    if channel is None and name == "reward":
        rewards = [key for key, definition in task.channels.items() if definition.role == "reward"]
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
    texts = dict[str, str]()
    for name, values in media.items():
        channel = task.channels.get(name)
        path_in_log = (
            channel.source[0].name if channel and channel.source else f"observations/{name}"
        )
        if name in layout.texts:
            text = bytes(values[0]).rstrip(b"\0").decode("utf-8", "replace")
            texts[path_in_log.removeprefix("@") if path_in_log.startswith("@") else name] = text
        else:
            arrays[path_in_log] = values
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        group = file.create_group("episode_0")
        for path_in_log, values in arrays.items():
            group.create_dataset(path_in_log, data=values, **_PACKED)
        for name, text in texts.items():
            group.attrs[name] = text
        rows = len(numbers["reward"])
        if "time" not in arrays:
            group.create_dataset("time", data=np.arange(rows) * task.dt, track_times=False)
    content = buffer.getvalue()
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
        path_in_log = _source(task, name)
        path_in_log = usual if path_in_log == name else path_in_log
        base, _, index = path_in_log.removesuffix("]").partition("[")
        # -1 marks a whole data set, others a column of one.
        columns.setdefault(base, {})[int(index) if index else -1] = values
    return {
        base: parts[-1] if -1 in parts else np.stack([parts[k] for k in sorted(parts)], axis=1)
        for base, parts in columns.items()
    }


def step_table(episodes: Sequence[Recorded]) -> pl.DataFrame:
    """Return the steps of episodes that were kept in full.

    Columns: `seed`, `step`, `time_s`, `reward`, `terminated` (of the last step), `action/NAME` and
    `observation/NAME` in the units of the layout, and `event/NAME`, which is null in steps without
    one. A row holds the observation before the action. Images and texts are left out.
    """
    tables = [_steps(episode) for episode in episodes]
    return pl.concat(tables, how="diagonal") if tables else pl.DataFrame()


def write_steps(episodes: Sequence[Recorded], folder: Path) -> Path:
    """Write the steps of episodes as Parquet, and return the file."""
    from io import BytesIO

    buffer = BytesIO()
    step_table(episodes).write_parquet(buffer, compression="zstd")
    path = folder / FILE
    publish_file(path, buffer.getvalue())
    return path


def _steps(episode: Recorded) -> pl.DataFrame:
    count = len(episode.rewards)
    layout = episode.layout
    steps = np.arange(count)
    columns: dict[str, Array] = {
        "seed": np.full(count, episode.seed),
        "step": steps,
        "time_s": steps * layout.dt,
        "reward": episode.rewards,
        "terminated": (steps == count - 1) & episode.terminated,
    }
    actions = episode.actions.reshape(count, -1)
    columns |= {f"action/{name}": actions[:, k] for k, name in enumerate(layout.actions)}
    if layout.observation:
        observed = episode.observations[OBSERVATION][:count]
        columns |= {f"observation/{n}": observed[:, k] for k, n in enumerate(layout.observation)}
    columns |= {f"event/{name}": values for name, values in episode.step_events.items()}
    return pl.DataFrame(columns).with_columns(pl.col("^event/.*$").fill_nan(None))
