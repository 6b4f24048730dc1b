"""Accepted episodes that a test wrote, and a task for them."""

import hashlib
import json
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest

from kinemill import catalog
from kinemill.catalog import evaluations
from kinemill.catalog.evaluations import EpisodeRow, Evaluation, EvaluationSet, NewEvaluation
from kinemill.catalog.history import Head, head_of, set_digest, set_head
from kinemill.catalog.tables import evaluated
from kinemill.dataset import PackedDataset, load_dataset
from kinemill.dataset import stage as dataset_stage
from kinemill.ingest.rows import write_rows
from kinemill.store import get_or_build, to_json_value, write_document
from kinemill.task import Task
from kinemill.validate.evaluation import Details
from kinemill.validate.published import EPISODES, EpisodesDocument
from kinemill.validate.summary import EpisodesSummary
from tests.conftest import learning_task


def make_task(parts: dict | None = None, **dataset) -> Task:
    channels = {
        "torque": {"role": "action", "unit": "N*m"},
        "angle": {"role": "state", "unit": "rad", "kind": "angle"},
        "speed": {"role": "state", "unit": "rad/s", "derivative_of": "angle"},
    }
    whole = {"dataset": {"validation": ["val*"], "test": ["test*"], **dataset}, **(parts or {})}
    dt, learn = whole.pop("dt", 0.01), {"history": 1, "horizon": 1}
    return learning_task("arm", dt, channels, learn, **whole, verify={"horizon": 1})


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


def log(number: int, rows: int = 100, piece: int = 0) -> Content:
    """A piece of the recording with a number, for rules that look at names and hashes."""
    return replace(spin(f"run-{number:03d}.csv", rows=rows), piece=piece)


@pytest.fixture
def contents() -> list[Content]:
    return [spin("val.csv", speed=1.0), spin("a.csv"), spin("test.csv", 9.0, 20.0), spin("b.csv")]


def _entry(content, ref):
    row = Evaluation(
        hash=content.recording,
        name=content.name,
        read=content.artifact,
        ref=ref,
        released=False,
        episodes=1,
        rows=content.rows,
        dropped_rows=0,
        sketches=0,
        faulty=False,
        held_back=False,
    )
    episode = EpisodeRow(content.id, content.rows, 0.0, "episode-0000.arrow", "")
    details = Details([], {}, {}, [], None, {}, set_digest([]))
    return NewEvaluation(row, json.dumps(to_json_value(details)), [episode], {})


def _enter(home, task, entries):
    """Let a task have these results and no others; return the digest of the set."""
    with catalog.transaction(home, write=True) as connection:
        head = head_of(connection, task, evaluated) or Head()
        present = {one.digest: one for one in EvaluationSet(home, task, head.change, connection)}
        digests = {entry.row.digest for entry in entries}
        old = [one for digest, one in present.items() if digest not in digests]
        new = [entry for entry in entries if entry.row.digest not in present]
        change, set_ = evaluations.replace(connection, task, head, old, new)
        set_head(connection, task, evaluated, Head(change, set_, "rules"), named=True)
    return set_


def publish(home, contents, quarantine=(), task="arm"):
    """Publish episodes in the store format of `validate`; return the reference."""
    entries = []
    for content in contents:

        def build(folder, content=content):
            write_rows(content.read(), folder / "episode-0000.arrow")
            return {"hash": content.recording}

        one = get_or_build(
            home, "validated", task, {"of": content.recording, "rows": content.rows}, build
        )
        entries.append(_entry(content, one.ref))
    set_ = _enter(home, task, entries)
    count = len(entries)

    def build_all(folder):
        write_document(folder / EPISODES, EpisodesDocument("", set_))
        (folder / "quarantine.json").write_text(json.dumps(quarantine))
        (folder / "checks.json").write_text("[]")
        summary = EpisodesSummary(count, count, 0, 0, 0, 0, {}, [], set_, 0, [])
        return to_json_value(summary)

    key = {"set": set_, "ids": sorted(one.id for one in contents)}
    return get_or_build(
        home, "episodes", task, {**key, "quarantine": list(quarantine)}, build_all
    ).ref


def run_stage(home, contents, task=None):
    """Publish episodes and run the stage of a task on them; return the artifact."""
    return dataset_stage.run(task or make_task(), home, publish(home, contents))


def version_of(home, contents, task=None) -> PackedDataset:
    """Return the version that the stage makes of episodes."""
    return load_dataset(home, run_stage(home, contents, task).ref)
