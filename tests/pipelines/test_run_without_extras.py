"""The dynamics product without the extras `policies` and `server`: commands around the chain.

The chain itself runs without them in the fixture `first_run`.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.pipelines.conftest import OPTIONAL, TINY

POLICY = """\
task: balance
dt: 0.02
environment: {type: gymnasium, id: CartPole-v1}
learn: {type: reinforcement}
"""
NEW_POLICY = ["new", "walk", "--learn", "reinforcement", "--env", "CartPole-v1"]
COMMANDS = [  # exit code, arguments
    (0, ["new", "drafted", "--from", "logs"]),
    (0, ["task", "list"]),
    (2, ["run", "balance"]),
    (2, NEW_POLICY),
    (2, ["demo", "--keep", "kept"]),
    (2, ["ui"]),
]
# One process for all, because Dagster and polars take seconds to import.
PROGRAM = f"""
import sys
sys.modules.update(dict.fromkeys({OPTIONAL}))  # each import of them fails
from kinemill.cli.app import main
from kinemill_dagster.pipelines.definitions import defs

assert list(defs.resolve_all_asset_specs())
for expected, arguments in {COMMANDS}:
    sys.argv = ["kinemill", *arguments]
    sys.stderr.write(f"$ {{' '.join(arguments[:2])}}\\n")
    code = 0
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    assert code == expected, (arguments, code)
"""
LACK = "which is not installed; expected the extra 'policies'; pip install 'kinemill[policies]'\n"


@pytest.mark.ci
def test_commands_without_extras_work_for_dynamics_and_else_name_the_extra(logs, tmp_path):
    project = tmp_path / "mill"
    (project / "tasks").mkdir(parents=True)
    (project / "tasks" / "tiny.yaml").write_text(TINY)
    (project / "tasks" / "balance.yaml").write_text(POLICY)
    (project / "workspace.yaml").write_text("load_from: []\n")
    shutil.copytree(logs, project / "logs")
    variables = {name: value for name, value in os.environ.items() if name != "KINEMILL_TASKS"}
    variables |= {"KINEMILL_HOME": str(tmp_path / "home"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=project, env=variables,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    printed = dict(re.findall(r"^\$ (.+)\n((?:(?!\$ ).*\n)*)", done.stderr, re.MULTILINE))
    assert printed["run balance"] == f"learn type 'reinforcement': needs 'gymnasium', {LACK}"
    assert printed["new walk"] == f"module 'gymnasium': {LACK.removeprefix('which ')}"
    assert printed["demo --keep"].endswith(f"module 'mujoco': {LACK.removeprefix('which ')}")
    assert printed["ui"].count("\n") == 1
    assert "kinemill ui: needs 'dagster_webserver'" in printed["ui"]
    assert "pip install 'kinemill[server]'" in printed["ui"]
