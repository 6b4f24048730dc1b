"""Policies that follow recorded motions.

The first stage learns a family of gaits from clips (`gaits`, `gait_policy`). The second stage
learns in physics what must be added to them (`motion_tracking`, `tracking_policy`, `tracking_fit`).
"""
