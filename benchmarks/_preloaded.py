"""Sets up what every forked command of `prove_attack` would set up again, in the forking server."""

from sqlalchemy.orm import configure_mappers

from kinemill.task.units import is_derivative

configure_mappers()  # of MLflow's tables
is_derivative("m/s", "m")  # reads the units
