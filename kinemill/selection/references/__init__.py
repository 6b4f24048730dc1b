"""References: simple models of each family, selected on rows that are left out of their fits.

A model must beat the best member of each family. The families are `linear` and `linear_sincos` with
several lengths of history and ridges, `physics` if velocities declare their positions
(`derivative_of`), `constant_velocity` and `persistence`. The test split is not used for selection.

Names are imported on first use: torch takes seconds, and a cached artifact does not need it.
"""

import importlib
from typing import Any

_MODULES = {
    "Persistence": "baselines",
    "Reference": "family",
    "References": "family",
    "StepPredictor": "step_predictor",
    "fit_references": "fit",
    "load_references": "published",
}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
