"""Drafts: a first task file, inferred from logs, motion clips or an environment."""
