"""One run of the chain that may speak to this machine alone, with secrets in its environment."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import COMMAND, ROOT
from tests.pipelines.conftest import TASK

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

# Loaded by every Python process of the run: notes each try to reach another machine, and stops it.
SITE = """
import os, socket, sys
LOCAL = ("127.", "::1", "localhost", "0.0.0.0")

def audit(event, arguments):
    if event == "socket.connect" or event == "socket.sendto":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if not host or host.startswith(LOCAL) or host == socket.gethostname():
        return
    with open(os.environ["CALLS"], "a") as file:
        file.write(f"{event} {host} {sys.argv}\\n")
    raise PermissionError(f"this run speaks to nobody, and wanted {host}")

sys.addaudithook(audit)
open(os.environ["CALLS"] + ".loaded", "a").write("x")
"""
SECRETS = {
    name: f"canary-{number}-do-not-keep"
    for number, name in enumerate(
        [
            *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "KINEMILL_TOKEN", "PGPASSWORD"),
            *("KINEMILL_PROXY_SECRET", "MLFLOW_TRACKING_PASSWORD", "WANDB_API_KEY", "HF_TOKEN"),
            "PIP_INDEX_URL",
        ]
    )
}


def run_alone(scratch, *arguments, **more):
    """Run a command of kinemill on a home in `scratch`, without a way to any other machine."""
    site = scratch / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)
    environment = {
        **os.environ,
        **SECRETS,
        "KINEMILL_HOME": str(scratch / "home"),
        "PYTHONPATH": os.pathsep.join([str(site), str(ROOT)]),
        "CALLS": str(scratch / "calls"),
        "HTTP_PROXY": "",
        "HTTPS_PROXY": "",
        **more,
    }
    for name in ("http_proxy", "https_proxy", "ALL_PROXY", "all_proxy"):
        environment.pop(name, None)
    command = [*COMMAND, *arguments]
    alone = ["unshare", "-rn"] if _may_unshare() else []
    return subprocess.run(
        [*alone, *command], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=1200,
        check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def ran(tmp_path_factory, tasks, logs):
    """The home, what the run printed, and what it tried to reach."""
    scratch = tmp_path_factory.mktemp("alone")
    requested = ["run", TASK, "--logs", str(logs), "--json"]
    return scratch, run_alone(scratch, *requested, KINEMILL_TASKS=str(tasks))


def _may_unshare():
    """Whether the system gives a process a network of its own, which has no way out at all."""
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "-rn", "true"], check=False, capture_output=True).returncode == 0
    )


def test_run_without_a_network_completes(ran):
    scratch, done = ran
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["version"] == 1
    assert len((scratch / "calls.loaded").read_text()) >= 2  # the run, and its training
    calls = scratch / "calls"
    assert not calls.exists() or calls.read_text() == ""


def test_secret_is_neither_stored_nor_printed(ran):
    scratch, done = ran
    values = [
        (str(path.relative_to(scratch)), secret)
        for path in Path(scratch / "home").rglob("*")
        if path.is_file()
        for secret in [*SECRETS.values(), "do-not-keep"]
        if secret.encode() in path.read_bytes()
    ]
    assert values == []
    assert "do-not-keep" not in done.stdout + done.stderr
    assert (scratch / "home" / "mlflow.db").stat().st_size > 100_000  # there was something to read
