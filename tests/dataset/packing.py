"""Datasets that tests make in memory, as folders."""

import hashlib
from pathlib import Path

import numpy as np

from kinemill.dataset import PackedDataset
from kinemill.dataset.description import SPLITS, Description, Statistics, write_description
from kinemill.dataset.listing import write_listing
from kinemill.dataset.packed import NUMBERS, episode_table
from kinemill.dataset.segments import VALUES, Segment, write_segment


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
