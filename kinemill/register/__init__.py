"""The registry: every verified model is a version; the gate decides which one robots load.

Input: a verification and its model. Output: a version in MLflow with signature, files, lineage and
decision, with the alias `challenger`, and `champion` if every rule of the gate passes. Rebuilt when
the verification or the task's `promote` part changes. The champion is not part of the cache key.

Names are imported on first use, so that reading the registry needs neither polars nor MLflow.
"""

import importlib
from typing import Any

_NAMES = {
    "audit_log": ("audit",),
    "bundle": ("check_bundle",),
    "version_comparison": (
        "compare",
        "comparison_document",
    ),
    "run_summary": (
        "RunFacts",
        "run_document",
    ),
    "gate_report": ("why",),
    "lineage": (
        "made_from",
        "uses_of",
    ),
    "lookup": (
        "fetch_bundle",
        "list_versions",
        "show",
    ),
    "promotion": (
        "approve",
        "promote",
        "rollback",
    ),
    "pull_source": (
        "OfHome",
        "OfServer",
        "pull",
    ),
    "reference_candidate": (
        "Candidates",
        "register_candidates",
    ),
    "registration": (
        "VERSION",
        "Produced",
        "Registration",
        "register",
        "registration_key",
    ),
    "rules": ("RULES",),
    "shadow_evaluation": ("shadow",),
    "warm_start": ("start_of",),
    "versions": (
        "Version",
        "find_version",
    ),
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
