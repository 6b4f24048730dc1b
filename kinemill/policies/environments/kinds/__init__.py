"""Kinds of environments, one file each."""
