"""Registry: every verified model is a version; the gate decides which one robots load.

Input: a verification and its model. Output: a version in MLflow with signature, files, lineage and
decision, with the alias `challenger`, and `champion` if every rule of the gate passes. Rebuilt when
the verification or the task's `promote` part changes. The champion is not part of the cache key.

    from kinemill.register import stage
    registration = stage.run(task, home, stage.Produced(verification, onnx_model, model, dataset))

Names below are imported on first use: the gate imports polars to read datasets, which would double
the start time of `kinemill model list` and `kinemill model pull` to 1 s.
"""

import importlib
from typing import Any

_MODULES = {
    "Produced": "stage",
    "Registration": "stage",
    "approve": "promotion",
    "audit": "alias_switch",
    "compare": "version_comparison",
    "fetch_bundle": "lookup",
    "find_version": "versions",
    "list_versions": "lookup",
    "recordings_of": "lineage",
    "promote": "promotion",
    "rollback": "promotion",
    "show": "lookup",
    "start_of": "warm_start",
    "why": "gate.report",
}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
