"""Accepted episodes that a test wrote, and a task for them."""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

from kinemill.store import digest, get_or_build, to_json_value, write_document
from kinemill.store.shards import set_digest
from kinemill.task import Task
from kinemill.validate.episodes import EpisodeFile
from kinemill.validate.shard_results import EVALUATED, EvaluatedRecording
from kinemill.validate.summary import EpisodesSummary


def make_task(parts: dict | None = None, **dataset) -> Task:
    return Task.model_validate(
        {
            "task": "arm",
            "dt": 0.01,
            "channels": {
                "torque": {"role": "action", "unit": "N*m"},
                "angle": {"role": "state", "unit": "rad", "kind": "angle"},
                "speed": {"role": "state", "unit": "rad/s", "derivative_of": "angle"},
            },
            "dataset": {"validation": ["val*"], "test": ["test*"], **dataset},
            **(parts or {}),
            "learn": {
                "type": "dynamics",
                "model": {"type": "mlp"},
                **dict.fromkeys(("history", "horizon"), 1),
            },
            "verify": {"horizon": 1},
        }
    )


@dataclass(frozen=True)
class Content:
    """An accepted episode that a test wrote."""

    name: str
    values: np.ndarray  # (rows, 3): angle, speed, torque
    piece: int = 0
    start: int = 0  # row of the recording that the episode begins with
    part: str = ""

    @property
    def recording(self) -> str:
        return hashlib.sha256(self.name.encode()).hexdigest()

    @property
    def id(self) -> str:
        return f"{self.recording[:16]}-{self.piece:04d}"

    @property
    def artifact(self) -> str:
        return hashlib.sha256(self.values.tobytes()).hexdigest()

    @property
    def rows(self) -> int:
        return len(self.values)

    def read(self) -> pl.DataFrame:
        columns = dict(zip(["angle", "speed", "torque"], self.values.T, strict=True))
        return pl.DataFrame({"time_s": (self.start + np.arange(self.rows)) * 0.01, **columns})


def spin(name: str, start: float = 0.0, speed: float = 3.0, rows: int = 50) -> Content:
    """A joint turning at `speed` rad/s from `start` rad, 0.01 s a row; torque counts rows."""
    k = np.arange(rows)
    return Content(name, np.stack([start + speed * 0.01 * k, np.full(rows, speed), k], axis=1))


@pytest.fixture
def contents() -> list[Content]:
    return [spin("val.csv", speed=1.0), spin("a.csv"), spin("test.csv", 9.0, 20.0), spin("b.csv")]


def _recording(content, ref, episode):
    return EvaluatedRecording(
        recording=content.recording,
        name=content.name,
        read="",
        ref=ref,
        episodes=[episode],
        reasons=[],
        dropped={},
        findings={},
        measured=[],
        strip=[],
        products=None,
        sketches=0,
        held_back=False,
        released=False,
    )


def publish(home, contents, quarantine=(), task="arm"):
    """Publish episodes in the store format of `validate`; return the reference."""
    items = []
    for content in contents:

        def build(folder, content=content):
            content.read().write_parquet(folder / "episode-0000.parquet")
            return {"hash": content.recording}

        one = get_or_build(
            home, "validated", task, {"of": content.recording, "rows": content.rows}, build
        )
        episode = EpisodeFile(content.id, content.rows, 0.0, "episode-0000.parquet")
        items.append(_recording(content, one.ref, episode))
    items.sort(key=lambda item: item.recording)

    def build_shard(folder):
        write_document(folder / EVALUATED, items)
        return {}

    key = {"of": [[item.recording, to_json_value(item.episodes)] for item in items]}
    shard = get_or_build(home, "episodes_shard", task, key, build_shard).ref

    def build_all(folder):
        shards = {"": {"ref": shard.to_json()}}
        (folder / "episodes.json").write_text(json.dumps({"cuts": 0, "shards": shards}))
        (folder / "quarantine.json").write_text(json.dumps(quarantine))
        (folder / "checks.json").write_text("[]")
        entries = [to_json_value(entry) for item in items for entry in item.entries()]
        of = set_digest(bytes.fromhex(digest(entry)) for entry in entries)
        count = len(items)
        return to_json_value(EpisodesSummary(count, count, 0, 0, 0, 0, {}, [], of, 0, []))

    return get_or_build(
        home, "episodes", task, {**key, "quarantine": list(quarantine)}, build_all
    ).ref
