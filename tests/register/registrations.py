"""Views of a registration for assertions, and a registration in another process."""

import json
import subprocess
import sys

from tests.conftest import ROOT

PROGRAM = """
import json, sys
from pathlib import Path
from kinemill.store.home import Home
from kinemill.register import Produced, stage
from kinemill.task import load_task
from kinemill.store import ArtifactRef
from tests.register.conftest import Claims

task, home, refs, errors = sys.argv[1:]
produced = Produced(**{name: ArtifactRef(**ref) for name, ref in json.loads(refs).items()})
claims = Claims(*json.loads(errors))
found = stage.run(load_task(task), Home(Path(home)), produced, evidence=claims)
print(json.dumps([found.version, found.status]))
"""


def start_registration(chain, produced, challenger, champion):
    """Register a model in another process, with these errors of both models."""
    refs = {name: ref.to_json() for name, ref in vars(produced).items() if ref}
    where = [str(chain.task.path), str(chain.home.root), json.dumps(refs)]
    command = [sys.executable, "-c", PROGRAM, *where, json.dumps([challenger, champion])]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)


def facts(registration):
    return registration.version, registration.alias, registration.status


def found_by(registration, rule):
    (line,) = [item for item in registration.gate if item.rule == rule]
    return line.value


def gate_of(registration):
    return {item.rule: item.passed for item in registration.gate}
