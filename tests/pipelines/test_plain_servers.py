"""A project under plain `dagster dev` and `mlflow server`, as their users start them."""

import json
import re
import shutil
import subprocess
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient

from benchmarks._browser import CHROMIUM, browser
from kinemill_dagster.pipelines.project_files import make_project
from kinemill_dagster.pipelines.server.serve import Server, free_ports, is_reachable, stop
from tests.conftest import COMMAND
from tests.pipelines.conftest import TASK, TINY
from tests.pipelines.serving import graphql
from tests.pipelines.test_first_commands import COMMANDS, environment
from tests.waiting import until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed"),
]

RUNS = "{ runsOrError { ... on Runs { results { runId jobName status parentRunId } } } }"
CAPTURED = """query($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
  ... on LogsCapturedEvent { fileKey } } } } }"""
ASSETS = """{ assetNodes { assetKey { path } description
  metadataEntries { ...entry } assetMaterializations(limit: 1) { metadataEntries { ...entry } } } }
fragment entry on MetadataEntry { label ... on UrlMetadataEntry { url }
  ... on PathMetadataEntry { path } ... on MarkdownMetadataEntry { mdStr } }"""
LINK = re.compile(r"\]\(([^)]+)\)|(https?://[^\s)]+)")  # of markdown, and bare ones
BUTTON = "[...document.querySelectorAll('button')].find(item => item.innerText.includes({}))"


@dataclass
class Servers:
    """Addresses of the servers, and the project that they serve."""

    root: Path
    dagster: str
    mlflow: str

    def ask(self, query, **variables):
        return graphql(self.dagster, query, variables)["data"]


@contextmanager
def started(command, root, variables, url):
    """Run a server in a project until the context ends."""
    log = root.parent / f"{Path(command[0]).name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=root, env=variables, stdout=output, stderr=output, start_new_session=True
        )
    try:
        until(lambda: is_reachable(url), f"{command}: {log}")
        yield
    finally:
        stop([Server(log.stem, command, process=process)])


@pytest.fixture(scope="module")
def servers(tmp_path_factory, logs):
    """A project of `kinemill init` after one `kinemill run`, with both servers."""
    root = tmp_path_factory.mktemp("plain") / "mill"
    dagster, mlflow = free_ports({"Dagster": 3500, "MLflow": 5500})
    urls = Servers(root, f"http://127.0.0.1:{dagster}", f"http://127.0.0.1:{mlflow}")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("KINEMILL_HOME", raising=False)
        make_project(root)
    task = TINY.replace("cron: null", 'cron: "0 3 * * *"')
    (root / "tasks" / f"{TASK}.yaml").write_text(task)
    shutil.copytree(logs, root / "var" / "logs" / TASK)
    variables = environment(KINEMILL_MLFLOW_URL=urls.mlflow, MLFLOW_DISABLE_TELEMETRY="true")
    subprocess.run([*COMMAND, "run", TASK], cwd=root, env=variables, check=True)
    pages = [f"{COMMANDS}/dagster", "dev", "--port", str(dagster)]
    store = ["--backend-store-uri", f"sqlite:///{root}/var/mlflow.db", "--workers", "1"]
    registry = [f"{COMMANDS}/mlflow", "server", *store, "--port", str(mlflow)]
    with (
        started(pages, root, variables, urls.dagster),
        started(registry, root, variables, urls.mlflow),
    ):
        yield urls


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("chromium") / "profile") as page:
        yield page


def test_run_of_the_terminal_is_reexecuted_from_its_page_with_logs(servers, tab):
    (first,) = servers.ask(RUNS)["runsOrError"]["results"]
    assert (first["jobName"], first["status"]) == (TASK, "SUCCESS")
    tab.open(f"{servers.dagster}/runs/{first['runId']}", 1400, 1000)
    for text in ("Re-execute all", "View job", "RUN_SUCCESS"):
        tab.wait_for(text, 120.0)
    tab.evaluate(f"{BUTTON.format(json.dumps('Re-execute all'))}.click()")

    def repeated():
        runs = servers.ask(RUNS)["runsOrError"]["results"]
        return next((run for run in runs if run["parentRunId"] == first["runId"]), None)

    run = until(repeated, "a second run")["runId"]
    ended = {"SUCCESS", "FAILURE", "CANCELED"}
    until(lambda: repeated()["status"] in ended, f"the end of run {run}")
    assert repeated()["status"] == "SUCCESS"
    events = servers.ask(CAPTURED, run=run)["logsForRun"]["events"]
    (key,) = [event["fileKey"] for event in events if event]
    tab.open(f"{servers.dagster}/runs/{run}?logType=stderr&logFileKey={key}", 1400, 1000)
    tab.wait_for(f"{TASK}__registered_model - STEP_SUCCESS")


def test_links_and_paths_of_the_assets_open(servers):
    entries = []
    for node in servers.ask(ASSETS)["assetNodes"]:
        entries += [{"mdStr": node["description"] or ""}, *node["metadataEntries"]]
        for event in node["assetMaterializations"]:
            entries += event["metadataEntries"]
    files = [entry["path"] for entry in entries if "path" in entry]
    assert [file for file in files if not Path(file).exists()] == []
    assert any(file.endswith("index.html") for file in files)  # Data Docs
    texts = [entry.get("mdStr", "") for entry in entries]
    links = {entry["url"] for entry in entries if "url" in entry}
    links |= {link for text in texts for found in LINK.findall(text) for link in found if link}
    links = {link for link in links if not link.startswith("data:")}
    assert any(link.startswith(servers.mlflow) for link in links)
    check_links(servers.dagster, links)


def test_data_docs_open_with_their_results(servers, tab):
    site = servers.root / "var" / "gx" / "uncommitted" / "data_docs" / "local_site"
    tab.open((site / "index.html").as_uri())
    assert "Validation Results" in tab.evaluate("document.body.innerText")
    pages = [page for page in site.rglob("*.html") if page.name != "index.html"]
    index = (site / "index.html").read_text()
    assert any(page.relative_to(site).as_posix() in index for page in pages)
    tab.open(next(page for page in pages if "validations" in page.parts).as_uri())
    assert TASK in tab.evaluate("document.body.innerText")


def test_links_of_a_model_version_and_its_report_open(servers):
    (version,) = MlflowClient(servers.mlflow).search_model_versions(f"name = '{TASK}'")
    texts = [version.description or "", *version.tags.values()]
    links = {link for text in texts for found in LINK.findall(text) for link in found if link}
    check_links(servers.mlflow, links)
    report = f"path=version-{version.version}/report.html&run_uuid={version.run_id}"
    check_links(servers.mlflow, {f"/get-artifact?{report}"})


def check_links(server, links):
    """Check that every link, relative ones to `server`, answers 200."""
    answers = {}
    for link in links:
        url = f"{server}{link}" if link.startswith("/") else link
        with urllib.request.urlopen(url, timeout=120) as response:
            answers[link] = response.status
    assert set(answers.values()) <= {200}, answers
