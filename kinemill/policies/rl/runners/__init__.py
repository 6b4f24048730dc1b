"""Runners of the copies of an environment, one file each."""
