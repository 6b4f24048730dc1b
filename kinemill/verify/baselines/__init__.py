"""Baselines of a task, which the verifier compares a model with: own code, or of packages.

A member is a `kinemill.task.plugins.Baseline`; those of every task are `verify.references`.
"""
