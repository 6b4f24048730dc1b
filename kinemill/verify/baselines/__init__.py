"""Baselines that a task adds to the references: user-defined code, or plug-ins of packages.

A member is a `kinemill.task.plugins.Baseline`. The references of every task are in
`kinemill.selection.references`.
"""
