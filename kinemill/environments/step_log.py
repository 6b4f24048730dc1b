"""Step log of episodes: one row per step with reward, actions, numbers observed and events."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from kinemill.environments.evaluation import Recorded
from kinemill.runtime.policy_layout import OBSERVATION
from kinemill.store import publish_file

FILE = "rollouts.parquet"


def step_table(episodes: Sequence[Recorded]) -> pl.DataFrame:
    """Return the steps of episodes that were kept in full.

    Columns: `seed`, `step`, `time_s`, `reward`, `terminated` (of the last step), `action/NAME` and
    `observation/NAME` in the units of the layout, and `event/NAME`, which is null in steps without
    one. A row holds the observation before the action. Images and texts are left out.
    """
    tables = [_steps(one) for one in episodes]
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
    count, layout = len(episode.rewards), episode.layout
    steps = range(count)
    ends = [episode.terminated and step == count - 1 for step in steps]
    columns: dict[str, pl.Series] = {
        "seed": pl.Series([episode.seed] * count, dtype=pl.Int64),
        "step": pl.Series(steps, dtype=pl.Int64),
        "time_s": pl.Series([step * layout.dt for step in steps], dtype=pl.Float64),
        "reward": pl.Series(episode.rewards, dtype=pl.Float64),
        "terminated": pl.Series(ends, dtype=pl.Boolean),
    }
    actions = episode.actions.reshape(count, -1)
    columns |= {f"action/{n}": pl.Series(actions[:, k]) for k, n in enumerate(layout.actions)}
    if layout.observation:
        observed = episode.observations[OBSERVATION][:count]
        columns |= {
            f"observation/{n}": pl.Series(observed[:, k]) for k, n in enumerate(layout.observation)
        }
    columns |= {
        f"event/{name}": pl.Series(values, dtype=pl.Float64).fill_nan(None)
        for name, values in episode.step_events.items()
    }
    return pl.DataFrame(columns)
