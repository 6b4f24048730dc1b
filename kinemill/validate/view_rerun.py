"""Export of a recording for the Rerun viewer: channels over time, findings as a text log.

Writing the file (`.rrd`) needs the extra `kinemill[rerun]`, which installs half a gigabyte.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import numpy as np

from kinemill.errors import BadInput
from kinemill.ingest import Recording
from kinemill.task import Task
from kinemill.validate.recording_page import Stretch, stretches_of

TIMELINE = "time"  # s since the recording's first stamp
FINDINGS = "findings"


def write_rrd(task: Task, recording: Recording, target: Path, episode: int | None = None) -> None:
    """Write a recording, or one of its episodes, as a file for Rerun.

    Without `episode`, all tracks are written. The file is written atomically.

    Raises:
        BadInput: Rerun is not installed, or the episode does not exist.
    """
    rerun = _rerun()
    stretches, window = stretches_of(task, recording, episode)
    aside = target.with_name(f".{target.name}-{uuid4().hex}")
    stream = rerun.RecordingStream(f"kinemill/{task.name}", recording_id=recording.hash[:16])
    try:
        stream.save(str(aside))
        for stretch in stretches:
            _log_track(rerun, stream, task, stretch, window)
        stream.flush()
        stream.disconnect()
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def _rerun() -> ModuleType:
    try:
        return import_module("rerun")
    except ImportError as error:
        raise BadInput(
            "--rerun",
            "the Rerun SDK is not installed",
            fix="pip install 'kinemill[rerun]', or leave --rerun out for a page",
        ) from error


def _log_track(
    rerun: ModuleType, stream: Any, task: Task, stretch: Stretch, window: tuple[int, int] | None
) -> None:
    """Log the channels of a track as `<part>/<role>/<channel>`, each finding at its first row."""
    first, last = window or (0, stretch.frame.height)
    seconds = stretch.seconds[first:last]
    for name in task.columns:
        settings = task.channels[name]
        entity = f"{stretch.part}/{settings.role}/{name}".lstrip("/")
        label = f"{name}, {settings.unit}"
        stream.log(entity, rerun.SeriesLines(names=[label]), static=True)
        values = stretch.frame[name].to_numpy()[first:last].astype(np.float64)
        stream.send_columns(
            entity,
            indexes=[rerun.TimeColumn(TIMELINE, duration=seconds)],
            columns=rerun.Scalars.columns(scalars=values),
        )
    for finding in stretch.verdict.findings:
        fault = finding.fault
        if first <= fault.start < last:
            stream.set_time(TIMELINE, duration=float(stretch.seconds[fault.start]))
            channel = f"{fault.channel}: " if fault.channel else ""
            text = f"{finding.check}, {channel}{fault.actual}; expected {fault.expected}"
            stream.log(FINDINGS, rerun.TextLog(text, level=rerun.TextLogLevel.WARN))
