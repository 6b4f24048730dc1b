"""Ticks of the sensors and schedules of tasks, as Dagster's daemon evaluates them."""

from datetime import UTC, datetime

import dagster as dg

from kinemill_dagster.pipelines.chain import definitions_of


class Ticks:
    """Ticks of the sensors of some tasks, each with the cursor of its last one."""

    def __init__(self, tasks):
        self.repository = definitions_of(tasks).get_repository_def()
        self.instance, self.cursors = dg.DagsterInstance.ephemeral(), {}

    def tick(self, name="retraining"):
        sensor = self.repository.get_sensor_def(name)
        with dg.build_sensor_context(
            instance=self.instance, cursor=self.cursors.get(name), repository_def=self.repository
        ) as context:
            data = sensor.evaluate_tick(context)
        self.cursors[name] = data.cursor
        for event in data.asset_events:
            self.instance.report_runless_asset_event(event)
        return data

    def schedule(self, name):
        schedule, moment = self.repository.get_schedule_def(name), datetime(2026, 3, 1, tzinfo=UTC)
        with dg.build_schedule_context(self.instance, moment) as context:
            return schedule.evaluate_tick(context)
