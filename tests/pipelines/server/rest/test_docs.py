"""The commands of docs/rest.md, run as they stand against a server."""

import re
import shutil
import subprocess

import dagster as dg
import pytest

from kinemill_dagster.pipelines.instance import open_instance
from tests.conftest import ROOT
from tests.rest_server import ScriptedDagster, serve

# The only version is champion, and no other was: the commands that change that are refused.
CHANGES = re.compile(r"^curl .*/(?:promote|rollback)\"$", re.MULTILINE)


def commands(url, token):
    """The commands of the page, for the task `tiny` and a server."""
    page = (ROOT / "docs" / "rest.md").read_text()
    script = "\n".join(re.findall(r"```sh\n(.*?)```", page, re.DOTALL))
    for name in ("/arm", '"arm"', "=arm"):
        script = script.replace(name, name.replace("arm", "tiny"))
    return script.replace("http://127.0.0.1:3000", url).replace("=... ", f"={token} ")


@pytest.mark.ci
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_commands_of_the_rest_page_succeed(copy, logs, tmp_path, monkeypatch):
    shutil.copytree(copy.tasks, tmp_path / "tasks")
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path / "tasks"))
    log = next(path for path in sorted(logs.iterdir()) if not path.name.startswith("broken"))
    shutil.copy(log, tmp_path / "run.csv")

    def run(script):
        return subprocess.run(
            ["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, check=False
        )

    with open_instance(copy.home) as instance:
        dagster = ScriptedDagster(instance, ("tiny", "leg"))
        with serve(copy.home, instance, dagster.query, pat="promoter") as (url, tokens):
            script = commands(url, tokens["pat"])
            changes = CHANGES.findall(script)
            done = run(CHANGES.sub("", script).replace("curl ", "curl -fsS "))
            settings = script.partition("\ncurl")[0]
            refused = [run(f"{settings}\n{change}").stdout for change in changes]
        statuses = [one.status for one in instance.get_runs()]
    assert done.returncode == 0, done.stderr
    assert '"outcome":"known"' in done.stdout  # the home has read this log
    assert "event: end" in done.stdout
    assert (copy.home.logs("tiny") / "run.csv").is_file()
    assert (tmp_path / "tasks" / "leg.yaml").is_file()
    assert (copy.home.logs("leg") / "run.csv").is_file()
    assert (tmp_path / "step.onnx").stat().st_size > 1000
    assert dg.DagsterRunStatus.CANCELED in statuses
    assert "is champion already" in refused[0]
    assert "is the first champion" in refused[1]
