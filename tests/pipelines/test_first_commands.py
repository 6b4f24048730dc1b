"""The first commands of a Dagster engineer, in a bare clone and in a folder of `kinemill init`.

DAGSTER_HOME is not set. The commands use `dagster.yaml` of the project and write only to `var/`.
"""

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from kinemill_dagster.pipelines.project_files import make_project
from kinemill_dagster.pipelines.server.serve import free_port
from tests.conftest import COMMAND, ROOT
from tests.pipelines.serving import graphql
from tests.waiting import until

pytestmark = [pytest.mark.e2e, pytest.mark.ci]

COMMANDS = Path(sys.executable).parent


def environment(**more):
    names = ("DAGSTER_HOME", "KINEMILL_HOME", "KINEMILL_TASKS", "KINEMILL_PROJECT")
    retained = {name: value for name, value in os.environ.items() if name not in names}
    return {**retained, "PATH": f"{COMMANDS}:{os.environ['PATH']}", **more}


@pytest.fixture(scope="module", params=["init", "clone"])
def project(request, tmp_path_factory):
    """A project and the environment to work in it: scaffolded, or a copy of the tracked files."""
    root = tmp_path_factory.mktemp("first") / "mill"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KINEMILL_HOME", raising=False)
        if request.param == "init":
            make_project(root, "cart_pole")
            return root, environment()
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        for name in listed.stdout.splitlines():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, root / name, follow_symlinks=False)
        clone = environment(PYTHONPATH=str(root))
        setup = [*COMMAND, "init", "."]
        subprocess.run(setup, cwd=root, env=clone, check=True, stdout=subprocess.DEVNULL)
        return root, clone


def outside_var(root):
    """Every file of a project outside of var/, and compiled modules."""
    paths = (path.relative_to(root) for path in root.rglob("*"))
    return {path for path in paths if path.parts[0] != "var" and "__pycache__" not in path.parts}


@contextmanager
def nothing_written(root):
    previous = outside_var(root)
    yield
    assert outside_var(root) == previous


VALIDATE = ("dagster definitions validate", "All code locations passed validation")
CHECK = ("dg check defs", "All definitions loaded successfully")
LIST = ("dg list defs", "cart_pole/registered_model")


@pytest.mark.parametrize(
    ("project", "command", "expected"),
    [("init", *VALIDATE), ("init", *CHECK), ("init", *LIST)],  # `dg dev` loads the clone below
    indirect=["project"],
)
def test_definitions_of_a_project_load(project, command, expected):
    root, variables = project
    with nothing_written(root):
        done = subprocess.run(
            command.split(), cwd=root, env=variables, capture_output=True, text=True, check=False
        )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout + done.stderr
    assert "DAGSTER_HOME is not set" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("project", "command"), [("init", "dagster"), ("clone", "dg")], indirect=["project"]
)
def test_development_server_uses_the_settings_of_the_project(project, command):
    root, variables = project
    port = free_port(3100)
    with nothing_written(root):
        server = subprocess.Popen(
            [command, "dev", "--port", str(port)],
            cwd=root, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        try:
            reply = ask(server, port)
        finally:
            server.send_signal(signal.SIGINT)
            output = server.communicate(timeout=60)[0]
    keys = ["/".join(node["assetKey"]["path"]) for node in reply["assetNodes"]]
    assert "cart_pole/model" in keys
    assert {key.partition("/")[0] for key in keys} == {"cart_pole"}
    settings = reply["instance"]["info"]
    assert "retry_on_asset_or_op_failure: false" in settings  # of the project's dagster.yaml
    assert f"base_dir: {root}/var/dagster" in settings, output
    assert (root / "var" / "dagster" / "history" / "runs.db").is_file()


QUERY = "{ instance { info } assetNodes { assetKey { path } } }"


def ask(server, port):
    """Ask a server over GraphQL as soon as it answers."""

    def answered():
        with suppress(urllib.error.URLError, ConnectionError):
            data = graphql(f"http://127.0.0.1:{port}", QUERY, {})["data"]
            return data if data["assetNodes"] else None

    return until(answered, "the assets of the server", 120, server)
