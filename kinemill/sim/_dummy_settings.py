"""Settings of synthetic logs: number, length, dimensions, images and texts."""

from typing import Annotated

from pydantic import Field

from kinemill.task import Settings
from kinemill.task.bounds import Count, Pixels, Seed

INSTRUCTIONS = ["reach the target", "follow the line", "come to rest"]


class Dummy(Settings):
    """Settings of `kinemill run TASK --dummy`."""

    episodes: Annotated[int, Field(ge=3, le=100_000)] = Field(
        default=8, description="logs; the first two are for test and validation"
    )
    samples: Annotated[int, Field(ge=20, le=10_000_000)] | None = Field(
        default=None, description="rows of each; default: enough to train and evaluate"
    )
    image: tuple[Pixels, Pixels] | None = Field(
        default=None, description="height and width; default: the channel's `shape`, or 64 x 64"
    )
    instructions: Annotated[list[str], Field(min_length=1)] = Field(
        default=INSTRUCTIONS, description="one for each episode, in turn"
    )
    states: Count | None = Field(
        default=None, description="positions, each with its velocity, of a task without a file"
    )
    actions: Count = Field(default=1, description="of a task without a file")
    seed: Seed = 0
