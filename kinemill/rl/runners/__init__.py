"""Runners: where the copies of an environment act, one file each."""
