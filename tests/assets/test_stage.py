"""Attributes of assets: code version, owners, tags, and links to code and task file."""

import importlib
from pathlib import Path

import dagster as dg
import pytest

from kinemill.errors import TaskError
from kinemill.task import load_task
from kinemill_dagster.assets import CHAIN, code
from kinemill_dagster.pipelines.chain import chain
from kinemill_dagster.resources import links
from tests.pipelines.conftest import TASK, TINY


@pytest.fixture
def specs(workspace):
    return {spec.key.path[1]: spec for asset in chain(load_task(TASK)) for spec in asset.specs}


@pytest.mark.parametrize("stage", CHAIN)
def test_asset_code_version_is_that_of_its_stage(specs, stage):
    module = {"references": "selection.references.stage"}.get(stage, f"{stage}.stage")
    version = importlib.import_module(f"kinemill.{module}").VERSION
    assert specs[CHAIN[stage]].code_version == str(version)


def test_task_without_logs_has_the_code_version_of_its_card(workspace):
    from kinemill.policies.environments.card import VERSION
    from tests.conftest import ROOT

    path = next(ROOT.rglob("tasks/cartpole_rl.yaml"), None) or next(ROOT.rglob("cartpole_rl.yaml"))
    assert code.code_version(load_task(path), "dataset") == str(VERSION)


def test_asset_owners_come_from_the_task_file(workspace, tmp_path):
    path = tmp_path / f"{TASK}.yaml"
    path.write_text(f"owners: [team:arm, ada@example.com]\n{TINY}")
    for asset in chain(load_task(path)):
        for spec in asset.specs:
            assert spec.owners == ["team:arm", "ada@example.com"]
    path.write_text(f"owners: [somebody]\n{TINY}")
    with pytest.raises(TaskError, match=r"1: owners\.0: .*'somebody' is neither a team"):
        load_task(path)


def test_asset_tags_are_task_learn_type_and_model(specs):
    for spec in specs.values():
        tags = {"kinemill/task": TASK, "kinemill/learn": "dynamics", "kinemill/model": "mlp"}
        assert tags.items() <= spec.tags.items()


def test_asset_links_to_its_code_and_task_file(specs, workspace):
    value = specs["model"].metadata["dagster/code_references"]
    locations = [
        reference
        for reference in value.code_references
        if isinstance(reference, dg.LocalFileCodeReference)
    ]
    source, file = locations
    assert source.file_path.endswith("assets/train.py")
    lines = Path(source.file_path).read_text().splitlines()
    assert "def model(" in lines[source.line_number]
    assert file.file_path == str(workspace.tasks / f"{TASK}.yaml")


def test_task_file_is_linked_to_the_repository_of_the_project(workspace, monkeypatch, tmp_path):
    file = tmp_path / "tasks" / f"{TASK}.yaml"
    file.parent.mkdir()
    file.write_text(TINY)
    (tmp_path / "workspace.yaml").touch()
    monkeypatch.setenv("KINEMILL_PROJECT", str(tmp_path))
    monkeypatch.setenv("KINEMILL_GIT_URL", "https://github.com/robots/arm")
    (spec, *_), *_ = (asset.specs for asset in chain(load_task(file)))
    (reference,) = spec.metadata["dagster/code_references"].code_references
    assert reference.url == f"https://github.com/robots/arm/tree/main/tasks/{TASK}.yaml#L1"


@pytest.mark.parametrize("served", [True, False])
def test_asset_links_need_a_server(workspace, monkeypatch, served):
    from kinemill_dagster.assets.lineage import external_assets

    if served:
        monkeypatch.setenv("KINEMILL_DAGSTER_URL", "http://127.0.0.1:3000")
        monkeypatch.setenv("KINEMILL_MLFLOW_URL", "http://127.0.0.1:5000")
    task = load_task(TASK)
    specs = [*(spec for asset in chain(task) for spec in asset.specs), *external_assets(task).specs]
    assert len(specs) >= 9
    for spec in specs:
        link = f"[Versions of {TASK}](/kinemill/tasks/{TASK}) · [start page](/)"
        assert (link in spec.description) == served
    report = workspace.home.store / "decision" / "report.html"
    values = [
        links.report_link(workspace.home, report),
        links.mlflow_link(workspace.home, f"models/{TASK}/versions/1", "models:/tiny/1"),
    ]
    assert {isinstance(value, dg.UrlMetadataValue) for value in values} == {served}
    assert (links.version_link(workspace.home, TASK, 1) is None) != served
