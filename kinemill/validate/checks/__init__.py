"""Physical checks, one file each: what a sensor of a real robot cannot show.

A member of the family is a `Settings` class, constructed without arguments when a task says
nothing about it, that fulfills `kinemill.validate.faults.Check`. Its file's name is its key in the
task's `validate` part.
"""
