"""Imported by the server that mills are forked from: what each of them would load by itself.

Nothing here lets polars start its threads, which would not be there after a fork.
"""

import kinemill.task.units
import kinemill.validate
from kinemill.task import CHECKS, READERS

LOADED = (kinemill.validate, [*CHECKS.values()], [*READERS.values()])
kinemill.task.units.check_unit("rad/s")  # reads pint's definitions
