"""Promises of the layout that no linter holds."""

import ast
import re
import subprocess

import pytest

from kinemill.spec import AUGMENTATIONS, CHECKS, ENCODINGS, MODELS, OBJECTIVES, READERS
from kinemill.spec.track import TRACKERS
from tests.conftest import ROOT

FAMILIES = {
    "kinemill/augment": AUGMENTATIONS,
    "kinemill/ingest/readers": READERS,
    "kinemill/models": MODELS,
    "kinemill/tracking/trackers": TRACKERS,
    "kinemill/train/encodings": ENCODINGS,
    "kinemill/train/objectives": OBJECTIVES,
    "kinemill/validate/physics": CHECKS,
}


def tracked(*patterns: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


@pytest.mark.parametrize("folder", list(FAMILIES))
def test_the_files_of_a_family_are_its_members(folder):
    files = {path.stem for path in (ROOT / folder).glob("*.py") if path.stem[0] != "_"}
    assert set(FAMILIES[folder]) == files
    assert all(FAMILIES[folder][name] is not None for name in files)


def test_nothing_in_the_project_loads_pickles_or_runs_a_shell():
    pattern = re.compile(
        r"pickle\.load|weights_only\s*=\s*False|yaml\.load\(|allow_pickle\s*=\s*True|shell\s*=\s*True"
    )
    files = tracked("kinemill/*.py", "assets/*.py", "resources/*.py", "pipelines/*.py")
    assert len(files) > 100
    assert [name for name in files if pattern.search((ROOT / name).read_text())] == []


def test_importing_looks_at_no_environment_file_client_or_clock():
    effects = {"open", "getenv", "now", "time", "connect", "run", "Popen", "mkdir", "read_text"}
    effects |= {"read_bytes", "glob", "cwd", "MlflowClient", "default_rng", "get_context"}
    found = []
    for name in tracked("kinemill/*.py"):
        for node in ast.parse((ROOT / name).read_text()).body:
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.Expr | ast.With | ast.For):
                calls = [call for call in ast.walk(node) if isinstance(call, ast.Call)]
                names = {ast.unparse(call.func).rpartition(".")[2] for call in calls}
                found += [f"{name}:{node.lineno} {call}" for call in names & effects]
                found += [f"{name}:{node.lineno}"] if "os.environ" in ast.unparse(node) else []
    assert found == []
