"""References: simple models of each family, fitted on training rows and chosen on validation rows.

What a model has to beat is the best of a family, not one setting of it: `linear` and
`linear_sincos` over several lengths of history and penalties, `physics` where velocities say what
they are the derivative of, `constant_velocity`, `persistence`. Test rows choose nothing.
"""

from kinemill.verify.references.baselines import ConstantVelocity, Persistence
from kinemill.verify.references.family import Member, Reference, References
from kinemill.verify.references.fit import fit_references
from kinemill.verify.references.ridge import histories_of
from kinemill.verify.references.stage import (
    VERSION,
    build_references,
    find_references,
    load_references,
)
from kinemill.verify.references.step_predictor import StepPredictor

__all__ = [
    "VERSION",
    "ConstantVelocity",
    "Member",
    "Persistence",
    "Reference",
    "References",
    "StepPredictor",
    "build_references",
    "find_references",
    "fit_references",
    "histories_of",
    "load_references",
]
