"""The registry: every verified model a version, the gate decides which one robots load.

From: a verification and the model it judged. To: a version in MLflow with signature, files, lineage
and decision; alias `challenger` on it, then `champion` if every rule of the gate holds. Refreshed
when the verification or the task's `promote` part changes; the champion is left out of the key.
"""

from kinemill.register.bundle import check_bundle
from kinemill.register.document import RunFacts, run_document
from kinemill.register.registering import (
    VERSION,
    Produced,
    Registration,
    register,
    registration_key,
)
from kinemill.register.rules import RULES
from kinemill.register.starting import start_of
from kinemill.register.versions import (
    Version,
    fetch_bundle,
    find_version,
    list_versions,
    show,
)

__all__ = [
    "RULES",
    "VERSION",
    "Produced",
    "Registration",
    "RunFacts",
    "Version",
    "check_bundle",
    "fetch_bundle",
    "find_version",
    "list_versions",
    "register",
    "registration_key",
    "run_document",
    "show",
    "start_of",
]
