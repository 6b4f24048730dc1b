"""Features of all channels of a row: own code, and members that packages add.

A member is a `kinemill.task.plugins.Transform`; features of one channel are `train.features`.
"""
