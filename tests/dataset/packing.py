"""Datasets that tests make in memory, as folders."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kinemill.dataset import PackedDataset, PackedEpisode
from kinemill.dataset.description import SPLITS, Description, Statistics, write_description
from kinemill.dataset.listing import write_listing
from kinemill.dataset.packed import NUMBERS, episode_table
from kinemill.dataset.segments import VALUES, Segment, write_segment

PENDULUM = {
    "angle": {"role": "state", "kind": "angle", "unit": "rad"},
    "velocity": {"role": "state", "unit": "rad/s", "derivative_of": "angle"},
    "torque": {"role": "action", "unit": "N*m"},
}


def swing(rows: int, seed: int, *, linear: bool = False) -> np.ndarray:
    """Simulate θ̈ = -9 sin θ - 0.2 θ̇ + u, or with θ for sin θ: (rows, 3) rad, rad/s, N·m."""
    random, dt = np.random.default_rng(seed), 0.02
    angle, velocity, out = random.uniform(-1, 1), 0.0, []
    for torque in np.repeat(random.uniform(-3, 3, rows // 10 + 1), 10)[:rows]:
        out.append((angle, velocity, torque))
        pull = angle if linear else np.sin(angle)
        velocity += dt * (-9 * pull - 0.2 * velocity + torque)
        angle += dt * velocity
    return np.array(out)


def packed_of(
    task: str,
    dt: float,
    channels: Mapping[str, Mapping[str, object]],
    runs: Mapping[str, Sequence[np.ndarray]],
) -> PackedDataset:
    """Pack episodes (rows, C) by split; `channels`, states first, are those of a task file."""
    episodes, start = list[PackedEpisode](), 0
    for split, values in runs.items():
        for index, value in enumerate(values):
            name, stop = f"{split}{index}", start + len(value)
            episodes.append(PackedEpisode(name, name, f"{name}.csv", split, start, stop))
            start = stop
    states = [name for name, one in channels.items() if one["role"] == "state"]
    train = np.concatenate(runs["train"])
    deltas = [np.diff(run[:, : len(states)], axis=0) for run in runs["train"]]
    return PackedDataset(
        task=task,
        dt=dt,
        states=states,
        actions=[name for name in channels if name not in states],
        units={name: one["unit"] for name, one in channels.items()},
        angles=[name for name in states if channels[name].get("kind") == "angle"],
        episodes=episodes,
        segments=[np.concatenate([run for own in runs.values() for run in own]).astype(np.float32)],
        mean=train.mean(0),
        std=train.std(0),
        delta_std=np.concatenate(deltas).std(0),
    )


def write_packed(folder: Path, dataset: PackedDataset) -> None:
    """Write a dataset that is in memory, its outputs included, one segment for each split."""
    segments = list[Segment]()
    for split in SPLITS:
        if not (own := dataset.of(split)):
            continue
        values = np.concatenate([dataset.rows(one) for one in own])
        key = hashlib.sha256(values.tobytes()).hexdigest()[:32]
        listing = write_listing(folder, episode_table(own))
        write_segment(folder, VALUES, key, values)
        if dataset.output_values is not None:
            outputs = [dataset.output_values[one.start : one.stop] for one in own]
            write_segment(folder, NUMBERS, key, np.concatenate(outputs))
        segments.append(Segment(key, len(values), split=split, listing=listing, episodes=len(own)))
    statistics = Statistics(dataset.mean.tolist(), dataset.std.tolist(), dataset.delta_std.tolist())
    about = Description(
        dataset.task,
        dataset.dt,
        dataset.states,
        dataset.actions,
        dataset.units,
        dataset.angles,
        segments,
        statistics,
        dataset.outputs,
    )
    write_description(folder, about)
