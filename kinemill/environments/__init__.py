"""Environments that policies act in: made from a task, wrapped, tried, and logged."""
