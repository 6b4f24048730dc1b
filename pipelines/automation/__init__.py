"""Automatic runs: which conditions start the pipeline of a task.

Every trigger is an `AutomationCondition`, so Dagster's pages show for each asset why it did or did
not run. `NewLogs`, `EnoughRecordings`, `ChampionDrifts` and `ChampionTooOld` are evaluated in the
code server because they read files of the home; the cron schedule and new champions of other tasks
are Dagster's own conditions. One sensor evaluates the conditions of up to 200 tasks.
"""

from kinemill_dagster.pipelines.automation.conditions import Condition, conditions_of
from kinemill_dagster.pipelines.automation.sensor import automation_sensors

__all__ = ["Condition", "automation_sensors", "conditions_of"]
