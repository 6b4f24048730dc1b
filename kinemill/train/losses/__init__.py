"""Losses of dynamics models: own code, and members that packages add.

A member is a `kinemill.task.plugins.Loss`. `squared` and `gaussian` are part of the objective: the
latter changes the module that is trained.
"""
