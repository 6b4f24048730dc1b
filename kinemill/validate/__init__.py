"""Validated episodes: continuous stretches of recordings that passed every check.

From recordings (a fixed time step, the task's units) to episodes in the same columns and units.
Three layers look at them. Physics: NaN, limits, jumps, frozen sensors, and velocities that are not
the derivative of their position; faulty rows are removed or the episode is quarantined, depending
on `validate.on_fault`, with the reason, the rows and the time in s. Schema: Great Expectations on a
table of one row an episode. Amount: the share of recordings in quarantine. Refreshed when
recordings or the task's `channels`, `dt` or `validate` change; adding one recording costs the
validation of one.
"""
