"""Take the pictures of the web pages in docs/images again: `make screenshots`.

Runs the demo in a temporary project, serves it, and opens the pages in headless Chromium.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from benchmarks._browser import Tab, browser
from benchmarks._servers import free_port

IMAGES = Path(__file__).parent / "images"
TASK = "cart_pole"  # of the demo
COLORS = 128  # of a picture: a third of the size of true colors
WIDTH, HEIGHT = 1280, 800  # px
_WAIT = 30.0  # s for a page to be loaded
_EXPECTED = {  # text of each page that shows that it is drawn
    "start": "Recent decisions",
    "assets": "registered_model",
    "automation": "retraining",
    "mlflow": "champion",
    "report": "Decision of the gate",
    "console-new": "Or use logs of the server",
    "console-draft": "position by name",
    "console-start": "Upload more logs",
    "console-run": "the decision of the gate",
}
_KINEMILL = (sys.executable, "-c", "from kinemill.cli import main; main()")
_ADDRESS = re.compile(r"(Dagster|MLflow) +(http://127\.0\.0\.1:\d+)")


def addresses(dagster: str, mlflow: str, report: str, draft: str) -> dict[str, str]:
    """Return the address of each page by the name of its picture."""
    with urllib.request.urlopen(f"{dagster}/api/v1/runs?task={TASK}") as response:
        run = json.load(response)["runs"][-1]["id"]  # the first trained the model
    return {
        "start": f"{dagster}/",
        "assets": f"{dagster}/locations/__repository__@kinemill/asset-groups/{TASK}/lineage",
        "automation": f"{dagster}/automation",
        "mlflow": f"{mlflow}/#/models/{TASK}",
        "report": f"{dagster}/kinemill/files/{report}",
        "console-new": f"{dagster}/kinemill/console/new",
        "console-draft": f"{dagster}/kinemill/console/drafts/{draft}",
        "console-start": f"{dagster}/kinemill/console/start/{TASK}",
        "console-run": f"{dagster}/kinemill/console/runs/{run}",
    }


def make_draft(dagster: str, token: str) -> str:
    """Draft a task from two logs of the demo; return its id."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}

    def post(path: str, body: dict[str, object]) -> str:
        content = json.dumps(body).encode()
        request = urllib.request.Request(f"{dagster}/api/v1/{path}", content, headers)
        with urllib.request.urlopen(request) as response:
            return json.load(response)["id"]

    logs = {"folder": TASK, "names": ["run-0000.csv", "run-0001.csv"]}
    draft = post("drafts", {"name": "my_robot", "logs": [logs]})
    return post(f"drafts/{draft}/build", {})


def take(tab: Tab, pages: dict[str, str], folder: Path) -> None:
    """Write one picture of each page."""
    for name, url in pages.items():
        tab.open(url, WIDTH, HEIGHT, _WAIT)  # Dagster's pages never stop asking for news
        tab.wait_for(_EXPECTED[name])
        tab.settle(_WAIT)  # rows of a table are drawn after it
        shrink(tab.screenshot(folder / f"{name}.png"))


def shrink(file: Path) -> None:
    """Reduce the colors of a picture."""
    from PIL import Image

    with Image.open(file) as image:
        reduced = image.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    reduced.save(file, optimize=True)


@contextmanager
def servers(project: Path) -> Generator[dict[str, str]]:
    """Serve a project on free ports; yield the addresses of `Dagster` and `MLflow`."""
    ports = ["--port", str(free_port()), "--mlflow-port", str(free_port())]
    process = subprocess.Popen(
        [*_KINEMILL, "ui", *ports],
        cwd=project,
        env=_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    urls, lines = dict[str, str](), list[str]()
    try:
        for line in process.stderr or ():
            lines.append(line)
            if match := _ADDRESS.match(line):
                urls[match[1]] = match[2]
            if "Ctrl-C" in line:
                break
        else:
            raise RuntimeError(f"kinemill ui ended: {''.join(lines)}")
        yield urls
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=90)


def main() -> None:
    """Parse the command line and take the pictures."""
    parser = argparse.ArgumentParser(prog="python -m docs.screenshots", description=__doc__)
    parser.add_argument("--project", type=Path, help="a project in which the demo ran")
    parser.add_argument("--out", type=Path, default=IMAGES, help="folder of the pictures")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kinemill-screenshots-") as scratch:
        project = (options.project or Path(scratch) / "project").resolve()
        if options.project is None:
            command = [*_KINEMILL, "demo", "--keep", str(project)]
            subprocess.run(command, check=True, cwd=scratch, env=_environment())
        home = project / "var"
        report = max(home.glob(f"store/decision/{TASK}/*/report.html"), key=_modified)
        with servers(project) as urls, browser(Path(scratch) / "profile") as tab:
            inside = report.relative_to(home).as_posix()
            token = (home / "dagster" / "servers" / "token").read_text()
            draft = make_draft(urls["Dagster"], token)
            take(tab, addresses(urls["Dagster"], urls["MLflow"], inside, draft), options.out)


def _environment() -> dict[str, str]:
    """Return the environment without the examples' folder, which `benchmarks` names."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KINEMILL_")}


def _modified(file: Path) -> float:
    return file.stat().st_mtime


if __name__ == "__main__":
    main()
