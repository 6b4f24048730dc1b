"""Versions as plain MLflow clients see them, without kinemill."""

from pathlib import Path

import numpy as np
import pytest

from kinemill.tracking import open_tracking

FEED = {"states": (2, 3, 2), "past_actions": (2, 2, 1), "actions": (2, 4, 1)}


def feed():
    return {name: np.ones(shape, dtype=np.float32) for name, shape in FEED.items()}


@pytest.fixture
def client(with_champion):
    chain = with_champion()
    chain.register(0.31, gain=0.6)
    return open_tracking(chain.home).client


def test_models_versions_aliases_and_tags_are_normal_ones(client):
    model = client.get_registered_model("cart")
    assert dict(model.aliases) == {"champion": 1, "challenger": 2}
    champion = client.get_model_version_by_alias("cart", "champion")
    assert (champion.version, champion.status) in {(1, "READY"), ("1", "READY")}
    assert champion.tags["kinemill.decision"] == "champion"
    refused = client.get_model_version("cart", "2")
    assert "**cart:2 is refused: it is not better than" in refused.description
    assert not [value for value in refused.tags.values() if value.startswith(("{", "["))]
    assert refused.tags["mlflow.source.name"] == "kinemill run cart"
    result = client.search_model_versions("name = 'cart' and tags.`kinemill.decision` = 'refused'")
    assert [int(version.version) for version in result] == [2]


def test_the_run_lists_its_dataset_its_model_and_how_good_that_is(client):
    version = client.get_model_version_by_alias("cart", "champion")
    run = client.get_run(version.run_id)
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.source_type) == ("cart", "kinemill")
    (made,) = run.outputs.model_outputs
    assert made.model_id in version.source
    assert run.data.metrics["test/nrmse/linear"] == 0.3
    model = client.get_logged_model(made.model_id)
    assert {"mlflow.user", "mlflow.source.name"} <= run.data.tags.keys() & model.tags.keys()
    assert {metric.dataset_digest for metric in model.metrics} == {used.dataset.digest}
    (report,) = client.list_artifacts(version.run_id, "version-1")
    assert report.path == "version-1/report.html"


def test_pyfunc_loads_the_champion_and_answers_without_a_pickle(client, chain):
    import mlflow.onnx
    import mlflow.pyfunc

    with open_tracking(chain.home).as_default():
        model = mlflow.pyfunc.load_model("models:/cart@champion")
        later = mlflow.pyfunc.load_model("models:/cart/2")  # a second log keeps its weights
        assert mlflow.onnx.load_model("models:/cart@champion").graph.node
    assert later.predict(feed())["next_states"] == pytest.approx(np.full((2, 4, 2), 1.6))
    assert model.predict(model.input_example)["next_states"].shape[0] == 1
    result = model.predict(feed())
    # last state 1 + 0.5 * action 1
    np.testing.assert_array_equal(result["next_states"], np.full((2, 4, 2), 1.5, dtype=np.float32))
    assert model.metadata.flavors["python_function"]["loader_module"] == "mlflow.onnx"
    signature = model.metadata.signature
    assert [(item.name, item.shape) for item in (*signature.inputs, *signature.outputs)] == [
        ("states", (-1, 3, 2)), ("past_actions", (-1, 2, 1)), ("actions", (-1, -1, 1)),
        ("next_states", (-1, -1, 2)),
    ]  # fmt: skip
    assert model.metadata.saved_input_example_info["artifact_path"] == "input_example.json"
    with pytest.raises(Exception, match="past_actions"):
        model.predict({"states": feed()["states"], "actions": feed()["actions"]})
    folder = Path(client.get_logged_model(model.metadata.model_id).artifact_location[7:])
    names = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert names.isdisjoint({".pkl", ".pickle", ".pt", ".py"})
