"""Features of all channels of a row: custom code, and members from other packages.

A member is a `kinemill.task.plugins.Transform`; features of one channel are `train.features`.
"""
