"""Losses of dynamics models: custom code, and members from other packages.

A member is a `kinemill.task.plugins.Loss`. `squared` and `gaussian` are part of the objective:
`gaussian` changes the trained module.
"""
