"""Settings of synthetic logs, and a task of their dimensions, for prototyping without a robot."""

from typing import Annotated

from pydantic import Field

from kinemill.task import Settings
from kinemill.task.bounds import Count, Pixels, Seed
from kinemill.task.yaml import dump_yaml

INSTRUCTIONS = ["reach the target", "follow the line", "come to rest"]


class Dummy(Settings):
    """Settings of `kinemill run TASK --dummy`."""

    episodes: Annotated[int, Field(ge=3, le=100_000)] = 8
    """logs; the first two are for test and validation"""
    samples: Annotated[int, Field(ge=20, le=10_000_000)] | None = None
    """rows of each; default: enough to train and evaluate"""
    image: tuple[Pixels, Pixels] | None = None
    """height and width; default: the channel's `shape`, or 64 x 64"""
    instructions: Annotated[list[str], Field(min_length=1)] = INSTRUCTIONS
    """one for each episode, in turn"""
    states: Count | None = None
    """positions, each with its velocity, of a task without a file"""
    actions: Count = 1
    """of a task without a file"""
    seed: Seed = 0


def dummy_task(name: str, dummy: Dummy) -> str:
    """Return a task file: positions with velocities, actions, and optionally a camera or texts.

    Args:
        name: of the task.
        dummy: `states` positions (default 2) and `actions`; `image` adds a camera, custom
            instructions add a channel of texts.
    """
    channels: dict[str, object] = {}
    for number in range(dummy.states or 2):
        channels[f"position{number}"] = {"role": "state", "unit": "m"}
        channels[f"velocity{number}"] = {
            "role": "state",
            "unit": "m/s",
            "derivative_of": f"position{number}",
        }
    for number in range(dummy.actions):
        channels[f"action{number}"] = {"role": "action", "unit": "1", "limits": [-1.0, 1.0]}
    if dummy.image:
        channels["camera"] = {"role": "image", "shape": [*dummy.image, 3]}
    if "instructions" in dummy.model_fields_set:
        channels["instruction"] = {"role": "text"}
    document = {
        "task": name,
        "description": "Synthetic: a robot of the given dimensions.",
        "dt": 0.02,
        "channels": channels,
        "learn": {"type": "dynamics", "model": {"type": "mlp"}},
    }
    return dump_yaml(document)
