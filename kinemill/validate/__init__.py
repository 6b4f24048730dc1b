"""Validated episodes: continuous stretches of recordings that passed every check.

From recordings (a fixed time step, the task's units) to episodes in the same columns and units.
Three layers look at them. Physics: NaN, limits, jumps, frozen sensors, and velocities that are not
the derivative of their position; what is faulty is cut out, or the episode goes to quarantine, as
the task's `validate.on_fault` says, with the reason, the rows and the time in s. Schema: Great
Expectations on a table of one row an episode. Amount: the share of recordings in quarantine.
Refreshed when recordings or the task's `channels`, `dt` or `validate` change; adding one recording
costs the validation of one.
"""

from kinemill.validate import stage
from kinemill.validate.check_results import CheckResult, PlannedCheck, planned_checks
from kinemill.validate.episodes import Episode
from kinemill.validate.faults import CHECKS, Check, Fault
from kinemill.validate.stage import load_checks, load_episodes

__all__ = [
    "CHECKS",
    "Check",
    "CheckResult",
    "Episode",
    "Fault",
    "PlannedCheck",
    "load_checks",
    "load_episodes",
    "planned_checks",
    "stage",
]
