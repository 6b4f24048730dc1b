"""Weights & Biases, optional: `pip install 'kinemill[wandb]'`.

Offline by default: no data leaves this machine before `wandb sync FOLDER`. Online, the time to wait
for the server is limited; data that is not sent in time stays in the folder.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from kinemill.errors import KinemillError
from kinemill.task.trackers import TRACKERS, Track, Training
from kinemill.task.web_overrides import LOCAL

INIT_SECONDS = 10.0  # s to wait for the server before the run continues offline
FINISH_SECONDS = 60.0  # s to wait for the last uploads


@TRACKERS.register("wandb")
class WeightsAndBiases(Track):
    """Send metrics to Weights & Biases, in addition to MLflow."""

    type: Literal["wandb"] = "wandb"
    project: Annotated[str | None, LOCAL] = None
    """default: the name of the task"""
    name: str | None = None
    """name of the run; default: the task's name and the prefix of its key"""
    entity: Annotated[str | None, LOCAL] = None
    """team or user of the project"""
    mode: Annotated[Literal["offline", "online"], LOCAL] = "offline"
    """online: send to the server WANDB_BASE_URL"""

    def open(self, training: Training) -> "WandbRun":
        """Start a run, or resume the run of the same training.

        Raises:
            KinemillError: Wandb is not installed.
            OSError: The folder cannot be written.
        """
        return WandbRun(self, training)


class WandbRun:
    """A tracker that writes to one run of Weights & Biases."""

    def __init__(self, settings: WeightsAndBiases, training: Training) -> None:
        folder = _writable(training.folder / "wandb")
        if settings.mode == "offline":
            self._run = _begin(settings, training, "offline")
            return
        try:
            self._run = _begin(settings, training, "online")
        except Exception as error:  # noqa: BLE001 - no key, no network, no such project, ...
            training.log_message(f"wandb is offline ({error}); run `wandb sync` in {folder} later")
            _give_up()
            self._run = _begin(settings, training, "offline")

    def log_params(self, params: Mapping[str, object]) -> None:
        """Log parameters as the run's config."""
        self._run.config.update(dict(params), allow_val_change=True)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Log metrics; wandb skips steps of an earlier attempt."""
        self._run.log(dict(metrics), step=step)

    def log_text(self, name: str, text: str) -> None:
        """Log a text in the run's config."""
        self._run.config.update({name: text}, allow_val_change=True)

    def flush(self) -> None:
        """Do nothing: a process of wandb writes continuously."""

    def close(self, ended_well: bool) -> None:
        """End the run; wait no longer than `FINISH_SECONDS` for the server."""
        self._run.finish(exit_code=0 if ended_well else 1)


def _begin(
    settings: WeightsAndBiases, training: Training, mode: Literal["offline", "online"]
) -> Any:
    os.environ.setdefault(
        "WANDB_ERROR_REPORTING", "false"
    )  # otherwise errors are sent to the vendor
    try:
        import wandb
    except ImportError as error:
        raise KinemillError(
            "wandb", "is not installed", fix="pip install 'kinemill[wandb]'"
        ) from error
    return wandb.init(
        project=settings.project or training.task,
        entity=settings.entity,
        name=settings.name or f"{training.task}-{training.key[:8]}",
        id=training.key[:32],
        resume="allow" if mode == "online" else None,
        dir=str(training.folder),
        settings=wandb.Settings(
            mode=mode,
            console="off",
            silent=True,
            disable_git=True,
            disable_code=True,
            init_timeout=INIT_SECONDS,
            finish_timeout=FINISH_SECONDS,
        ),
    )


def _give_up() -> None:
    """Stop wandb's process: it would reject a second run with this id."""
    if wandb := sys.modules.get("wandb"):
        wandb.teardown()


def _writable(folder: Path) -> Path:
    """Raise OSError if wandb would silently use the system's temporary folder."""
    folder.mkdir(exist_ok=True)
    probe = folder / ".probe"
    probe.touch()
    probe.unlink()
    return folder
