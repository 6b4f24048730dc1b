"""Sets up what every forked command of `prove_attack` would set up again, in the forking server."""

from mlflow.utils.requirements_utils import warn_dependency_requirement_mismatches
from sqlalchemy.orm import configure_mappers

from kinemill.export.step_files import warm_up
from kinemill.task.units import check_unit
from kinemill.tracking.database import empty_database

configure_mappers()  # of MLflow's tables
check_unit("N*s/rad")  # reads the definitions of pint
empty_database()  # takes MLflow a second
warm_up()
warn_dependency_requirement_mismatches(["mlflow"])  # lists the modules of all packages
