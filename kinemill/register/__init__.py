"""The registry: every verified model a version, the gate decides which one robots load.

From: a verification and the model it judged. To: a version in MLflow with signature, files, lineage
and decision; alias `challenger` on it, then `champion` if every rule of the gate holds. Refreshed
when the verification or the task's `promote` part changes; the champion is left out of the key.
"""

from kinemill.register.auditing import audit
from kinemill.register.bundle import check_bundle
from kinemill.register.comparing import compare, comparison_document
from kinemill.register.document import RunFacts, run_document
from kinemill.register.explaining import why
from kinemill.register.lineage import made_from, uses_of
from kinemill.register.lookup import fetch_bundle, list_versions, show
from kinemill.register.promoting import approve, promote, rollback
from kinemill.register.pulling import OfHome, OfServer, pull
from kinemill.register.registering import (
    VERSION,
    Produced,
    Registration,
    register,
    registration_key,
)
from kinemill.register.rules import RULES
from kinemill.register.shadowing import shadow
from kinemill.register.starting import start_of
from kinemill.register.versions import Version, find_version

__all__ = [
    "RULES",
    "VERSION",
    "OfHome",
    "OfServer",
    "Produced",
    "Registration",
    "RunFacts",
    "Version",
    "approve",
    "audit",
    "check_bundle",
    "compare",
    "comparison_document",
    "fetch_bundle",
    "find_version",
    "list_versions",
    "made_from",
    "promote",
    "pull",
    "register",
    "registration_key",
    "rollback",
    "run_document",
    "shadow",
    "show",
    "start_of",
    "uses_of",
    "why",
]
