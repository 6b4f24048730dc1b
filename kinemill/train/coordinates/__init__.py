"""Coordinates in which a network predicts: custom code, and members from other packages.

A member is a `kinemill.task.plugins.Coordinates`: an invertible transform of all states.
"""
