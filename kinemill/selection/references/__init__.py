"""References: simple models of each family, selected on rows that are left out of their fits.

A model must beat the best member of each family. The families are `linear` and `linear_sincos` with
several lengths of history and ridges, `physics` if velocities declare their positions
(`derivative_of`), `constant_velocity` and `persistence`. The test split is not used for selection.
"""

from kinemill.selection.references.baselines import Persistence
from kinemill.selection.references.family import Reference, References
from kinemill.selection.references.fit import fit_references
from kinemill.selection.references.stage import find_references, load_references
from kinemill.selection.references.step_predictor import StepPredictor

__all__ = [
    "Persistence",
    "Reference",
    "References",
    "StepPredictor",
    "find_references",
    "fit_references",
    "load_references",
]
