"""The tutorials, run block by block as a reader would run them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

BLOCK = re.compile(
    r"^```(?P<language>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<code>.*?)^```$", re.M | re.S
)


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Return (language, title, code) of the blocks of a tutorial, in order."""
    text = (ROOT / "docs/tutorials" / page).read_text()
    return [(m["language"], m["title"] or "", m["code"]) for m in BLOCK.finditer(text)]


def follow(page: str, folder: Path) -> None:
    """Run the shell and Python blocks of a page in `folder`, and write the files that it shows."""
    commands = Path(sys.executable).parent
    environment = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}
    for name in ("KINEMILL_HOME", "KINEMILL_TASKS"):
        environment.pop(name, None)  # a reader has none
    for language, title, code in blocks(page):
        if title:
            (folder / title).write_text(code)
        elif language in {"sh", "python"}:
            run_block(language, code, folder, environment)


def run_block(language: str, code: str, folder: Path, environment: dict[str, str]) -> None:
    """Run one block, and fail with its output."""
    program = ["bash", "-euo", "pipefail", "-c"] if language == "sh" else [sys.executable, "-c"]
    done = subprocess.run(
        [*program, code], check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", ["first-champion", "own-robot", "policy", "to-robot"])
def test_tutorial(tmp_path, page):
    follow(f"{page}.md", tmp_path)
    if page == "own-robot":
        assert "role: state" in (tmp_path / "tasks/my_robot.yaml").read_text()


NOTEBOOK = ROOT / "examples/notebooks/rod.ipynb"


def cells() -> list[str]:
    """Return the code cells of the notebook."""
    document = json.loads(NOTEBOOK.read_text())
    codes = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] for cell in codes)
    return ["".join(cell["source"]) for cell in codes]


def test_the_page_of_the_notebook_has_its_cells():
    page_code = [code for language, _, code in blocks("notebook.md") if language == "python"]
    assert [code.rstrip("\n") for code in page_code] == cells()


@pytest.mark.slow
def test_notebook(tmp_path):
    run_block(
        "python", "\n".join(cells()), tmp_path, {**os.environ, "KINEMILL_HOME": str(tmp_path)}
    )


PAGES = sorted(path.name for path in (ROOT / "docs/tutorials").glob("*.md"))


@pytest.mark.parametrize("page", PAGES)
def test_every_shell_and_python_block_is_recognized(page):
    text = (ROOT / "docs/tutorials" / page).read_text()
    assert len(blocks(page)) == text.count("\n```") / 2
    for language, _, code in blocks(page):
        if language == "python":
            compile(code, page, "exec")


def test_the_task_of_the_tutorial_is_valid(tmp_path):
    from kinemill.task import load_task

    code = next(code for _, title, code in blocks("own-robot.md") if title)
    (tmp_path / "my_robot.yaml").write_text(code)
    task = load_task(tmp_path / "my_robot.yaml")
    assert (list(task.states), list(task.actions)) == (["angle", "velocity"], ["torque"])
