"""Base classes of the parts of a task file."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A frozen part of a task file; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def problems(self, channels: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], str]]:
        """Return conflicts with the task's channels: (key below this part, message)."""
        del channels
        return []


class Plugin(Settings):
    """Settings of one member of a family, selected by `type`."""

    type: str
