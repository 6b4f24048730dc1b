"""Wrappers around environments, one file each."""
