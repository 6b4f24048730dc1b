"""Shadow evaluation: measure champion and challenger on new logs.

Models are measured by their predictions, policies by their actions; see `kinemill.verify.policies`.

Each new log is measured once for the pair, on the same windows, as `kinemill model evaluate` does.
The result is one line of `shadow/<task>/<champion>-<challenger>.jsonl`. Logs that either model was
trained or evaluated on are recorded as `seen` and not counted.
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.ingest.files import scan
from kinemill.ingest.log_digest import log_digest
from kinemill.register.champion import LoadedChampion
from kinemill.register.consistency import open_registry
from kinemill.register.gate.evaluation import differences
from kinemill.register.saved_task import reading_task, task_of
from kinemill.register.versions import CHALLENGER, CHAMPION, Version, bundle_folder, find_version
from kinemill.runtime import Policy, load
from kinemill.store import Home, Json
from kinemill.store.locks import lock, now
from kinemill.task import Task
from kinemill.tracking import open_tracking
from kinemill.verify.accuracy import evaluate
from kinemill.verify.analysis import plain
from kinemill.verify.errors import Errors
from kinemill.verify.logs import SPLIT, Logs, read_logs

RIGHT = (CHAMPION, CHALLENGER, "neither")


@dataclass(frozen=True)
class Shadow:
    """A champion and a challenger, measured on the same logs."""

    task: Task
    home: Home
    champion: Version
    challenger: Version

    @property
    def record(self) -> Path:
        """The file with one line for each log."""
        name = f"{self.champion.number}-{self.challenger.number}.jsonl"
        return self.home.root / "shadow" / self.task.name / name

    def look(self, folder: Path) -> Iterator[Json]:
        """Measure both on every log in `folder` that is not yet recorded; yield its line.

        A log without an accepted episode of sufficient length is recorded with the reason `why`.
        """
        with lock(self.home, f"shadow-{self.task.name}"):
            recorded = {line["recording"] for line in self.lines()}
            for log in scan(self.task, folder).logs:
                if time.time() - log.path.stat().st_mtime < self.task.ingest.min_file_age:
                    continue  # still being written; the next scan reads it
                hash_ = log_digest(self.task, log.path)
                if hash_ not in recorded:
                    recorded.add(hash_)
                    line: Json = plain(self._line(log.name, log.path, hash_))
                    self._append(line)
                    yield line

    def lines(self) -> list[Json]:
        """Return the recorded lines; a line that a kill truncated is skipped."""
        if not self.record.is_file():
            return []
        lines = list[Json]()
        for line in self.record.read_text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
        return lines

    def summary(self) -> Json:
        """Count the logs on which each has the smaller error, over logs that neither had used."""
        counted = [line for line in self.lines() if line.get("right")]
        ratios = [line["ratio"] for line in counted if line["ratio"] is not None]
        return {
            "task": self.task.name,
            CHAMPION: self.champion.number,
            CHALLENGER: self.challenger.number,
            "logs": len(counted),
            "right": {who: sum(line["right"] == who for line in counted) for who in RIGHT},
            "ratio": float(np.median(ratios)) if ratios else None,
            "rmse": self._median_rmse(counted),
            "left_out": len(self.lines()) - len(counted),
            "record": str(self.record),
        }

    def _median_rmse(self, lines: Sequence[Json]) -> Json:
        """Return the unit of each channel, and the median over logs of the RMSE of each."""
        if not lines:
            return {}
        units = self.models[CHAMPION].units
        return {
            name: {
                "unit": units[name],
                **{
                    who: float(np.median([line["rmse"][who][name] for line in lines]))
                    for who in (CHAMPION, CHALLENGER)
                },
            }
            for name in lines[0]["rmse"][CHAMPION]
        }

    def _line(self, name: str, path: Path, hash_: str) -> Json:
        about: Json = {"recording": hash_, "name": name, "at": now(), "right": None}
        if hash_ in self._used_recordings:
            return about | {"why": "seen: one of them was trained or evaluated on it"}
        try:
            read = read_logs(self.task, self.home, path)
            errors = {who: self._errors(model, read) for who, model in self.models.items()}
        except BadInput as error:
            return about | {"why": str(error)}
        ratio = errors[CHALLENGER].nrmse / errors[CHAMPION].nrmse
        return about | {
            "right": _right(errors[CHAMPION].nrmse, errors[CHALLENGER].nrmse),
            "ratio": ratio,
            "windows": len(errors[CHAMPION].starts),
            "nrmse": {who: error.nrmse for who, error in errors.items()},
            "rmse": {
                who: dict(zip(error.channels, error.rmse.tolist(), strict=True))
                for who, error in errors.items()
            },
        }

    def _errors(self, model: Any, logs: Logs) -> Errors:
        """Return the prediction errors, or for policies the errors of actions."""
        if isinstance(model, Policy):
            from kinemill.verify.policies.action_errors import measure_logs

            return measure_logs(model, logs).errors["model"]
        settings, history = self.task.verify, self._history
        return evaluate(model, logs.rows, SPLIT, settings.horizon, settings.stride, history=history)

    def _append(self, line: Json) -> None:
        """Append one line; start on a new line if a kill truncated the last one."""
        self.record.parent.mkdir(parents=True, exist_ok=True)
        with self.record.open("a+b") as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                cut = b"" if file.read(1) == b"\n" else b"\n"
            else:
                cut = b""
            file.write(cut + json.dumps(line, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    @cached_property
    def models(self) -> dict[str, Any]:
        """Both loaded models by alias."""
        tracking = open_tracking(self.home)
        versions = {CHAMPION: self.champion, CHALLENGER: self.challenger}
        return {
            who: load(bundle_folder(tracking.home, version), non_finite="pass")
            for who, version in versions.items()
        }

    @property
    def _history(self) -> int:
        return max(model.history for model in self.models.values())

    @cached_property
    def _used_recordings(self) -> frozenset[str]:
        """Return the recordings that either model was trained or evaluated on."""
        recordings = frozenset[str]()
        for version in (self.champion, self.challenger):
            try:
                recordings |= LoadedChampion(self.home, version, Path()).used()
            except (BadInput, CorruptArtifact):
                continue  # its dataset was deleted, so its recordings are unknown
        return recordings


def _right(champion: float, challenger: float) -> str:
    """Return which error is smaller; a non-finite error never wins."""
    if champion < challenger or (np.isfinite(champion) and not np.isfinite(challenger)):
        return CHAMPION
    if challenger < champion or (np.isfinite(challenger) and not np.isfinite(champion)):
        return CHALLENGER
    return "neither"


def shadow(
    task: Task,
    home: Home,
    which: str = f"@{CHALLENGER}",
    overrides: Mapping[str, object] | None = None,
) -> Shadow:
    """Return the shadow evaluation of a version next to the champion.

    The recorded task of the champion sets the log format and the horizon; `overrides`, by dotted
    key, replace values of it.

    Raises:
        BadInput: The champion or the version does not exist, both are the same version, or their
            channels differ.
    """
    tracking = open_registry(home, task.name)
    champion = find_version(tracking.home, task.name, f"@{CHAMPION}")
    challenger = find_version(tracking.home, task.name, which)
    if champion.number == challenger.number:
        raise BadInput(challenger.name, "is the champion itself", expected="another version")
    made_with = reading_task(task_of(home, task, champion, overrides), task)
    pair = Shadow(made_with, home, champion, challenger)
    interfaces = [model.interface for model in pair.models.values()]
    differs = [line for line in differences(*interfaces) if not line.startswith("history ")]
    if differs:
        raise BadInput(
            challenger.name, f"cannot be compared with the champion: {'; '.join(differs)}"
        )
    return pair
