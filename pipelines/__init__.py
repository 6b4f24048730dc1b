"""The Dagster project: definitions, jobs, sensors, schedules, and running them from a terminal."""
