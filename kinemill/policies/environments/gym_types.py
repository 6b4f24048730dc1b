"""Names for the types of Gymnasium, whose observations are arrays or mappings of arrays."""

from typing import Any, SupportsFloat

import gymnasium

Info = dict[str, Any]  # the `info` of a step or reset
Options = Info  # of a reset
Env = gymnasium.Env[Any, Any]
Space = gymnasium.Space[Any]
Reset = tuple[Any, Info]  # observation, info
Transition = tuple[Any, SupportsFloat, bool, bool, Info]  # + reward, terminated, truncated
