"""A task of some dimensions, for prototyping a chain before there is a robot."""

from typing import Any

from kinemill.sim._dummy_settings import Dummy


def dummy_task(name: str, dummy: Dummy) -> str:
    """Return a task file: positions with velocities, actions, and optionally a camera or texts.

    Args:
        name: of the task.
        dummy: `states` positions (default 2) and `actions`; `image` adds a camera, custom
            instructions add a channel of texts.
    """
    import yaml

    channels: dict[str, Any] = {}
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
    return yaml.safe_dump(document, sort_keys=False)
