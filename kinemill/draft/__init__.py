"""Drafts: a first task file, inferred from the columns of logs."""
