"""The component `KinemillTask` in a scratch project, with the commands of `dg`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from tests.conftest import ROOT
from tests.pipelines.conftest import BROKEN, TINY

TYPE = "kinemill_dagster.KinemillTask"
PROJECT = """\
[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "defs"
defs_module = "defs"
code_location_target_module = "kinemill_dagster.pipelines.definitions"
"""
FUNCTION = """\
import dagster as dg


@dg.asset
def plan():
    return None
"""
DG = Path(sys.executable).parent / "dg"
pytestmark = pytest.mark.skipif(not DG.exists(), reason="dg is not installed")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with a task file; `dg` adds the components."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("tasks", "defs"):
        (folder / name).mkdir()
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "workspace.yaml").write_bytes((ROOT / "workspace.yaml").read_bytes())
    (folder / "tasks" / "tiny.yaml").write_text(TINY)
    return folder


@pytest.fixture(scope="module")
def dg(project):
    """Run a command of `dg` in the project; return its output."""
    retained = {name: value for name, value in os.environ.items() if name != "DAGSTER_HOME"}
    bin_folder = str(DG.parent)
    environment = {
        **retained,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(DG.parents[1]),
        "KINEMILL_HOME": str(project / "var"),
        "KINEMILL_PROJECT": str(project),
        "COLUMNS": "200",
    }
    environment.pop("KINEMILL_TASKS", None)

    def run(*arguments, code=0):
        done = subprocess.run(
            [str(DG), *arguments],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="module")
def scaffolded(dg, project):
    """The project after `dg scaffold defs`: a component with a task, and one with a file."""
    dg("scaffold", "defs", TYPE, "arm")
    dg("scaffold", "defs", TYPE, "small", "--file", "tasks/tiny.yaml")
    (project / "defs" / "plan.py").write_text(FUNCTION)
    return project


@pytest.fixture(scope="module")
def editor_schema():
    """The schema that `dg utils configure-editor` gives to editors."""
    from dagster.components.list import list_all_components_schema

    schema = list_all_components_schema(entry_points=True, extra_modules=())
    return Draft202012Validator(schema)


@pytest.mark.slow
def test_scaffolded_component_loads(dg, scaffolded):
    assert (scaffolded / "defs" / "small" / "defs.yaml").read_text() == (
        f"type: {TYPE}\nattributes:\n  file: tasks/tiny.yaml\n"
    )
    assert "All definitions loaded successfully" in dg("check", "defs")
    listed = json.loads(dg("list", "defs", "--json"))
    key = "asset_key" if "asset_key" in listed["assets"][0] else "key"  # up to Dagster 1.11
    prefixes = {asset[key].partition("/")[0] for asset in listed["assets"]}
    # The task file and the component that names it are one task.
    assert prefixes == {"arm", "tiny", "plan"}


@pytest.mark.ci
def test_mistyped_key_fails_the_check_with_its_line(dg, scaffolded):
    file = scaffolded / "defs" / "arm" / "defs.yaml"
    text = file.read_text()
    file.write_text(text.replace("dt: 0.01", "dt: 0.01\n  chanels: {}"))
    try:
        assert "chanels" in dg("check", "yaml", code=1)
    finally:
        file.write_text(text)


def test_component_yaml_has_a_schema(editor_schema):
    task = yaml.safe_load(TINY)
    definitions = editor_schema.schema["$defs"].values()
    kinds = [
        definition.get("properties", {}).get("type", {}).get("const") for definition in definitions
    ]
    assert {"mlp", "gru", "dynamics"} <= set(kinds)
    assert editor_schema.is_valid({"type": TYPE, "attributes": task})
    assert editor_schema.is_valid({"type": TYPE, "attributes": {"file": "tasks/tiny.yaml"}})
    for wrong in (
        {**task, "dt": "fast"},
        {**task, "chanels": {}},
        {**task, "learn": {**task["learn"], "model": {"type": "mpl"}}},
        {**task, "file": "tasks/tiny.yaml"},
        {},
    ):
        assert not editor_schema.is_valid({"type": TYPE, "attributes": wrong})


def test_component_with_an_invalid_task_is_an_asset_with_errors(tmp_path):
    import dagster as dg

    from kinemill_dagster import KinemillTask

    file = tmp_path / "broken.yaml"
    file.write_text(BROKEN)
    (asset,) = dg.build_defs_for_component(KinemillTask(file)).assets
    assert asset.key == dg.AssetKey(["broken", "task_file"])
    assert "dt" in asset.descriptions_by_key[asset.key]


def test_component_in_another_project_has_its_resources(tmp_path):
    import dagster as dg

    from kinemill_dagster import KinemillTask

    file = tmp_path / "tiny.yaml"
    file.write_text(TINY)
    defs = dg.build_defs_for_component(KinemillTask(file))
    dg.Definitions.validate_loadable(defs)
    assert {key.path[0] for key in defs.resolve_all_asset_keys()} == {"tiny"}
