"""Champions in an environment that has MLflow and the stated requirements of a version alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks._policies import Gains, published
from kinemill.task import load_task
from kinemill.tracking import open_tracking
from tests.policies import test_gate_measurements as policies

pytestmark = pytest.mark.slow

LOAD = """
import json
import mlflow.onnx, mlflow.pyfunc

model = mlflow.pyfunc.load_model("models:/cart@champion")
result = model.predict(model.input_example)
assert mlflow.onnx.load_model("models:/cart@champion").graph.node
print(json.dumps({name: values.tolist() for name, values in result.items()}))
"""


@pytest.fixture
def registered(request, tracked_home, tmp_path):
    """The home of a champion of the task `cart`: a dynamics model or a policy."""
    if request.param == "dynamics":
        return request.getfixturevalue("with_champion")().home
    path = tmp_path / "cart.yaml"
    path.write_text(json.dumps(policies.TASK))
    by_gain = {policies.HOLDS: published(Gains(policies.HOLDS), tmp_path / "policy")}
    chain = policies.Chain(tracked_home, load_task(path), by_gain)
    assert chain.register(30.0, evidence=policies.Claims(30.0)).alias == "champion"
    return tracked_home


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """Return the interpreter of an empty environment."""
    folder = tmp_path_factory.mktemp("plain")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    return folder / "bin" / "python"


@pytest.mark.parametrize("registered", ["dynamics", "policy"], indirect=True)
def test_champion_predicts_its_example_in_a_plain_environment(registered, python, tmp_path):
    import mlflow.artifacts

    tracking = open_tracking(registered)
    with tracking.as_default():
        files = Path(
            mlflow.artifacts.download_artifacts("models:/cart@champion", dst_path=tmp_path)
        )
    install = [python, "-m", "pip", "install", "-q", "-r", files / "requirements.txt"]
    installed = subprocess.run(install, capture_output=True, text=True, check=False)
    if "No matching distribution" in installed.stderr:
        pytest.skip("no package registry is reachable")
    assert installed.returncode == 0, installed.stderr

    variables = {"MLFLOW_TRACKING_URI": tracking.uri, "PATH": f"{python.parent}:{os.defpath}"}
    arguments = {
        "load": ["-c", LOAD],
        "predict": [
            *("-m", "mlflow", "models", "predict", "-m", "models:/cart@champion"),
            *("-i", files / "serving_input_example.json", "--env-manager", "local"),
        ],
    }
    printed = {
        name: subprocess.run(
            [python, *arguments[name]],
            env=variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        for name in arguments
    }
    assert [ended.returncode for ended in printed.values()] == [0, 0], printed
    loaded = json.loads(printed["load"].stdout)
    predicted = json.loads(printed["predict"].stdout)["predictions"]
    assert loaded.keys() == predicted.keys()
    for name, values in loaded.items():
        np.testing.assert_allclose(predicted[name], values, rtol=1e-6)
