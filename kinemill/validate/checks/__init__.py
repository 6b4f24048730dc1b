"""Physical checks, one file each: signals that the sensor of a real robot cannot produce.

A member of the family is a `Settings` class, constructed without arguments if the task does not
configure it, that implements `kinemill.validate.faults.Check`. The file name is the key in the
task's `validate` part.
"""
