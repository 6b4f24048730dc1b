"""Validated episodes: continuous stretches of recordings that passed every check.

From recordings (a fixed time step, the task's units) to episodes in the same columns and units.
Three layers look at them. Physics: NaN, limits, jumps, frozen sensors, and velocities that are not
the derivative of their position; faulty rows are removed or the episode is quarantined, depending
on `validate.on_fault`, with the reason, the rows and the time in s. Schema: Great Expectations on a
table of one row an episode. Amount: the share of recordings in quarantine. Refreshed when
recordings or the task's `channels`, `dt` or `validate` change; adding one recording costs the
validation of one.

Names are imported on first use: a server loads its tasks without polars.
"""

import importlib
from typing import Any

_MODULES = {
    "CHECKS": "kinemill.validate.faults",
    "Check": "kinemill.validate.faults",
    "CheckResult": "kinemill.validate.check_results",
    "Episode": "kinemill.validate.episodes",
    "Fault": "kinemill.validate.faults",
    "PlannedCheck": "kinemill.validate.check_results",
    "load_checks": "kinemill.validate.stage",
    "load_episodes": "kinemill.validate.stage",
    "planned_checks": "kinemill.validate.check_results",
}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
