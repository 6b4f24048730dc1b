"""Edges between tasks: what reads a champion or the episodes of another task becomes stale."""

import dagster as dg
import pytest

from kinemill.task import load_task
from kinemill_dagster.assets.lineage import external_assets, external_deps
from kinemill_dagster.pipelines.chain import definitions_of
from tests.conftest import EXAMPLES
from tests.dagster_internals import StaleStatus, stale_status
from tests.pipelines.conftest import TINY


@pytest.fixture
def load(workspace, tmp_path, monkeypatch):
    """Write a variant of the small task under another name, and load it."""
    folder = tmp_path / "robots"
    folder.mkdir()
    monkeypatch.setenv("KINEMILL_TASKS", str(folder))

    def make(name, old="", new=""):
        text = TINY.replace("task: tiny", f"task: {name}")
        (folder / f"{name}.yaml").write_text(text.replace(old, new, 1) if old else text)
        return load_task(name)

    return make


def parents(task, others, asset):
    graph = definitions_of([*others, task]).resolve_asset_graph()
    keys = graph.get(dg.AssetKey([task.name, asset])).parent_keys
    return {key.to_user_string() for key in keys if key.path[0] != task.name}


def test_warm_start_is_an_edge_from_the_champion_to_the_model(load):
    one = load("one")
    two = load("two", "  history: 3\n", "  history: 3\n  start_from: models:/one@champion\n")
    assert parents(two, [one], "model") == {"one/champion"}
    assert parents(two, [one], "dataset") == set()


def test_joined_episodes_are_an_edge_to_the_dataset(load):
    one = load("one")
    two = load("two", "dataset: {validation", "dataset: {join: [one], validation")
    assert parents(two, [one], "dataset") == {"one/episodes"}


def test_learned_simulator_is_an_edge_to_the_dataset_of_the_policy():
    policy = load_task(str(EXAMPLES / "pendulum_swing_up.yaml"))
    simulated = load_task(str(EXAMPLES / "pendulum.yaml"))
    assert parents(policy, [simulated], "dataset") == {"pendulum/champion"}


def test_new_champion_makes_its_readers_stale_and_a_refusal_does_not(load):
    one = load("one")
    two = load("two", "  history: 3\n", "  history: 3\n  start_from: models:/one@champion\n")

    @dg.asset(key=["two", "model"], deps=external_deps(two, "model"), code_version="1")
    def model() -> None:
        """Stand for the training: the status comes from Dagster, the edge from the task."""

    defs = dg.Definitions([external_assets(one), model])
    graph = defs.resolve_asset_graph()
    champion = dg.AssetKey(["one", "champion"])
    with dg.DagsterInstance.ephemeral() as instance:

        def report(version):
            tags = {"dagster/data_version": version}
            instance.report_runless_asset_event(dg.AssetMaterialization(champion, tags=tags))

        def status():
            return stale_status(instance, graph, dg.AssetKey(["two", "model"]))

        report("1")
        dg.materialize([model, external_assets(one)], instance=instance)
        assert status() == StaleStatus.FRESH
        report("1")  # a refusal is an event of the champion, which stays
        assert status() == StaleStatus.FRESH
        report("2")
        assert status() == StaleStatus.STALE
