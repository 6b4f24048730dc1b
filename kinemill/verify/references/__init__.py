"""References: simple models of each family, fitted on training rows, selected on validation rows.

A model must beat the best member of each family. The families are `linear` and `linear_sincos` with
several lengths of history and ridges, `physics` if velocities declare their positions
(`derivative_of`), `constant_velocity` and `persistence`. The test split is not used for selection.
"""

from kinemill.verify.references.baselines import Persistence
from kinemill.verify.references.family import References
from kinemill.verify.references.fit import fit_references
from kinemill.verify.references.stage import find_references, load_references
from kinemill.verify.references.step_predictor import StepPredictor

__all__ = [
    "Persistence",
    "References",
    "StepPredictor",
    "find_references",
    "fit_references",
    "load_references",
]
