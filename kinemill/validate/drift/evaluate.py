"""New episodes against a champion: each recording is measured once, each shard published once.

One recording more costs its own measuring and the writing of its shard, however many there are.
"""

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.ingest.rows import read_rows
from kinemill.runtime import Simulator, wrapped
from kinemill.runtime.window_metrics import Floats
from kinemill.store import ArtifactRef, Json, get_or_build, open_ref, read_json, write_json
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import Progress
from kinemill.validate.drift.coverage import kolmogorov_smirnov, population_stability
from kinemill.validate.drift.reference import Reference, squares_of
from kinemill.validate.shard_results import EVALUATED

STAGE, SHARD, VERSION = "drift_judged", "drift_shard", 1
LINES = "lines.json"


@dataclass(frozen=True)
class DriftEvaluator:
    """What episodes are judged with.

    Attributes:
        task: its `verify` part says how errors are measured.
        home: where outcomes are kept.
        simulator: the champion's own exported model.
        reference: its error at training time.
        used: content hashes of the recordings on any side of its dataset: they are not new.
        progress: told after every recording that is judged.
    """

    task: Task
    home: Home
    simulator: Simulator
    reference: Reference
    used: frozenset[str]
    progress: Progress

    def shard(self, shard: ArtifactRef) -> list[Json]:
        """Judge the new recordings of a shard of episodes, or find that done already.

        Returns:
            one entry for each new recording: `recording`, `name`, and what `recording` found on
            each of its `episodes`.
        """
        inputs = {"reference": self.reference.ref.digest, "shard": shard.digest, "version": VERSION}

        def build(folder: Path) -> Json:
            evaluated = read_json(open_ref(self.home, shard) / EVALUATED)
            unseen = (item for item in evaluated if item["recording"] not in self.used)
            new = [item for item in unseen if item["episodes"]]
            lines: list[Json] = []
            for done, item in enumerate(new, 1):
                names = {key: item[key] for key in ("recording", "name")}
                lines.append(names | {"episodes": self.recording(item)})
                self.progress.advance("drift", done, len(new), item["name"])
            write_json(folder / LINES, lines)
            return {"new": len(new)}

        artifact = get_or_build(self.home, SHARD, self.task.name, inputs, build)
        if not artifact.summary["new"]:
            return []
        return read_json(open_ref(self.home, artifact.ref) / LINES)

    def recording(self, item: Json) -> list[Json]:
        """Measure the champion on the episodes of a judged recording, or find that done already.

        Returns:
            for each episode `episode`, `rows` and `windows`; `errors` by state: `rmse` and `usual`
            in its unit, and their `ratio`, null where the rollouts run away; `coverage` by channel:
            `psi` and `ks`.
        """
        ref = ArtifactRef.from_json(item["ref"])

        def build(_: Path) -> Json:
            folder = open_ref(self.home, ref)
            lines = [
                {"episode": one["id"], **self._measure(folder / one["file"])}
                for one in item["episodes"]
            ]
            return {"hash": item["recording"], "episodes": lines}

        inputs = {"reference": self.reference.ref.digest, "episodes": ref.digest}
        inputs |= {"version": VERSION}
        return get_or_build(self.home, STAGE, self.task.name, inputs, build).summary["episodes"]

    def _measure(self, file: Path) -> Json:
        values, verify = _rows(self.task, file), self.task.verify
        squares = squares_of(self.simulator, values, verify.horizon, verify.stride)
        return {
            "rows": len(values),
            "windows": len(squares),
            "errors": _errors(self.task, squares, self.reference) if len(squares) else {},
            "coverage": _coverage(self.task, values, self.reference.sample),
        }


def _errors(task: Task, squares: Floats, reference: Reference) -> Json:
    """Return the errors by channel; numbers that are not finite are null, as JSON has none."""
    rmse, usual = np.sqrt(squares.mean(axis=0)), reference.usual(len(squares))
    return {
        name: {
            "unit": task.channels[name].unit,
            "rmse": float(rmse[at]) if isfinite(rmse[at]) else None,
            "usual": float(usual[at]),
            "ratio": float(rmse[at] / usual[at]) if isfinite(rmse[at]) else None,
        }
        for at, name in enumerate(task.states)
    }


def _rows(task: Task, file: Path) -> Floats:
    """Return the (n, C) rows of an episode, its angles without whole turns, as packed ones are."""
    frame = read_rows(file, task.columns)
    values = frame.select(task.columns).to_numpy().astype(np.float64)
    angle = _angles(task)
    return values - np.where(angle, values[0] - wrapped(values[0], angle), 0.0)


def _angles(task: Task) -> Any:
    return np.array([task.channels[name].kind == "angle" for name in task.columns])


def _coverage(task: Task, values: Floats, sample: Floats) -> Json:
    angle = _angles(task)
    training, new = wrapped(sample, angle), wrapped(values, angle)
    return {
        name: {
            "psi": population_stability(training[:, at], new[:, at]),
            "ks": kolmogorov_smirnov(training[:, at], new[:, at]),
        }
        for at, name in enumerate(task.columns)
    }
