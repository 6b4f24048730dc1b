"""MCAP: one file per episode, JSON messages on the topics `/states` and `/actions`, for Foxglove.

Message k is logged at k x dt, from 0; the schemas describe each channel with its unit.
"""

import json
from pathlib import Path
from typing import Any

import polars as pl

from kinemill.dataset.packed import PackedDataset
from kinemill.dataset.writers import TIME, WRITERS, Export, write_episodes

STATES = "/states"
ACTIONS = "/actions"
NS = 1_000_000_000


@WRITERS.register("mcap")
def write(dataset: PackedDataset, folder: Path) -> Export:
    """Write `<split>/<episode>.mcap` for each episode."""
    topics = {STATES: dataset.states, ACTIONS: dataset.actions}
    topics = {topic: names for topic, names in topics.items() if names}
    sources = {name: f"{topic}.{name}" for topic, names in topics.items() for name in names}

    def save(frame: pl.DataFrame, path: Path) -> None:
        _save(frame, path, topics, dataset)

    files = write_episodes(dataset, folder, ".mcap", save)
    return Export({"format": "mcap", "time": ["log_time"]}, files, sources)


def _save(
    frame: pl.DataFrame, path: Path, topics: dict[str, list[str]], dataset: PackedDataset
) -> None:
    from mcap.writer import Writer

    with path.open("wb") as file:
        writer = Writer(file)
        writer.start(profile="", library="kinemill")
        about = {"task": dataset.task, "dt": str(dataset.dt), "id": path.stem}
        writer.add_metadata("kinemill", about)
        channels = {topic: _open(writer, topic, names, dataset) for topic, names in topics.items()}
        rows = {topic: frame.select(names).rows(named=True) for topic, names in topics.items()}
        for number, seconds in enumerate(frame[TIME]):
            stamp = round(seconds * NS)
            for topic, channel in channels.items():
                data = json.dumps(rows[topic][number], allow_nan=False).encode()
                writer.add_message(channel, stamp, data, stamp, number)
        writer.finish()


def _open(writer: Any, topic: str, names: list[str], dataset: PackedDataset) -> int:
    """Register a topic; return its channel id."""
    properties = {
        name: {"type": "number", "description": f"unit: {dataset.units[name]}"} for name in names
    }
    schema = {"type": "object", "title": topic.strip("/"), "properties": properties}
    number = writer.register_schema(topic.strip("/"), "jsonschema", json.dumps(schema).encode())
    units = {name: dataset.units[name] for name in names}
    return writer.register_channel(topic, "json", number, units)
