"""Coordinates in which a network predicts: own code, and members that packages add.

A member is a `kinemill.task.plugins.Coordinates`: an invertible transform of all states.
"""
