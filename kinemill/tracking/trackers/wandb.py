"""Weights & Biases, as an extra: `pip install 'kinemill[wandb]'`.

Offline by default: nothing leaves this machine until `wandb sync FOLDER` is called. Online, the
training never waits long for the server: what it does not take in time stays in the folder.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from kinemill.errors import KinemillError
from kinemill.task.trackers import TRACKERS, Track, Training
from kinemill.task.web_overrides import LOCAL

INIT_SECONDS = 10.0  # for a server to answer, before the run is kept here
FINISH_SECONDS = 60.0  # for it to take what is left in the end


@TRACKERS.register("wandb")
class WeightsAndBiases(Track):
    """Settings of Weights & Biases."""

    type: Literal["wandb"] = "wandb"
    project: Annotated[str | None, LOCAL] = Field(
        default=None, description="default: the name of the task"
    )
    name: str | None = Field(
        default=None, description="of the run; default: the task's, and the start of its key"
    )
    entity: Annotated[str | None, LOCAL] = Field(
        default=None, description="team or user that owns the project"
    )
    mode: Annotated[Literal["offline", "online"], LOCAL] = Field(
        default="offline", description="online: sent to the server that WANDB_BASE_URL names"
    )

    def open(self, training: Training) -> "WandbRun":
        """Begin a run, or go on with the one of the same training.

        Raises:
            KinemillError: wandb is not installed.
            OSError: the folder cannot be written.
        """
        return WandbRun(self, training)


class WandbRun:
    """A tracker that writes to one run of Weights & Biases.

    Args:
        settings: of the run.
        training: what it is the run of.
    """

    def __init__(self, settings: WeightsAndBiases, training: Training) -> None:
        folder = _writable(training.folder / "wandb")
        if settings.mode == "offline":
            self._run = _begin(settings, training, "offline")
            return
        try:
            self._run = _begin(settings, training, "online")
        except Exception as error:  # noqa: BLE001 - no key, no network, no such project, ...
            training.say(f"wandb cannot send ({error}); it is kept for `wandb sync` in {folder}")
            _give_up()
            self._run = _begin(settings, training, "offline")

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record settings as the run's config."""
        self._run.config.update(dict(params), allow_val_change=True)

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record metrics; steps that an earlier attempt has sent are the same, and left out."""
        self._run.log(dict(metrics), step=step)

    def log_text(self, name: str, text: str) -> None:
        """Record a text in the run's config."""
        self._run.config.update({name: text}, allow_val_change=True)

    def flush(self) -> None:
        """Have nothing to do: a process of wandb's own writes as numbers come."""

    def close(self, ended_well: bool) -> None:
        """End the run; wait no longer than `FINISH_SECONDS` for the server."""
        self._run.finish(exit_code=0 if ended_well else 1)


def _begin(
    settings: WeightsAndBiases, training: Training, mode: Literal["offline", "online"]
) -> Any:
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # else errors are sent to its makers
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
    """End wandb's own process, which would take the run for one that is there already."""
    if wandb := sys.modules.get("wandb"):
        wandb.teardown()


def _writable(folder: Path) -> Path:
    """Fail where wandb would quietly write to the system's temporary folder instead."""
    folder.mkdir(exist_ok=True)
    probe = folder / ".probe"
    probe.touch()
    probe.unlink()
    return folder
