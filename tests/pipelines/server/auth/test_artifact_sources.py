"""The source of a version lies in the artifacts of a run: the server reads it with its own key."""

from types import SimpleNamespace

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST

from kinemill.store.home import Home
from kinemill_dagster.pipelines.server.auth import mlflow_records
from kinemill_dagster.pipelines.server.auth.mlflow_records import MlflowRecords
from kinemill_dagster.pipelines.server.auth.users import Users
from tests.deploy.conftest import bucket, s3
from tests.pipelines.test_guarded_mlflow import serve_mlflow

__all__ = ["bucket", "s3"]  # fixtures
RUN, MODEL, FOREIGN = "a" * 32, "m-" + "b" * 32, "c" * 32
ROOT = "s3://mill/artifacts"
UPLOADED = f"mlflow-artifacts:/1/{RUN}/artifacts"
OF_MODEL = f"{ROOT}/tiny/models/{MODEL}/artifacts"
PASSWORD = "correct horse battery"


class Store:
    """A tracking store with a run, a logged model, and a run with artifacts elsewhere."""

    runs = {RUN: UPLOADED, FOREIGN: "s3://other/x"}

    def get_run(self, name):
        if name not in self.runs:
            raise MlflowException(name, RESOURCE_DOES_NOT_EXIST)
        return SimpleNamespace(info=SimpleNamespace(artifact_uri=self.runs[name]))

    def get_logged_model(self, name):
        if name != MODEL:
            raise MlflowException(name, RESOURCE_DOES_NOT_EXIST)
        return SimpleNamespace(artifact_location=OF_MODEL)


@pytest.fixture
def records(monkeypatch):
    """Records of a server whose artifacts are in an object store."""
    monkeypatch.setattr(mlflow_records, "_tracking", Store)
    return MlflowRecords(ROOT)


@pytest.mark.parametrize(
    ("source", "run", "model"),
    [
        (f"runs:/{RUN}", None, None),
        (f"runs:/{RUN}/a b/model-1.onnx", None, None),
        (f"models:/{MODEL}", None, MODEL),
        (f"{UPLOADED}/model", RUN, None),
        (UPLOADED, RUN, None),
        (f"{OF_MODEL}/model", RUN, MODEL),
    ],
)
def test_source_in_artifacts_of_a_run_is_accepted(records, source, run, model):
    assert records.holds(source, run, model)


@pytest.mark.parametrize(
    "source",
    [
        *(f"{scheme}://other/x" for scheme in ("s3", "S3", "gs", "wasbs", "hdfs", "ftp", "file")),
        *(f"{scheme}:/x" for scheme in ("dbfs", "uc", "databricks", "s3", "mlflow-artifacts")),
        *("http://127.0.0.1/x", "https://other/x", "/etc", "x", "", " ", "file:///etc"),
        f"runs:/{FOREIGN}/model",
        f"runs:/{'d' * 32}/model",
        f"RUNS:/{RUN}/model",
        f"runs://other@databricks/{RUN}/model",
        *("models:/tiny/1", "models:/tiny@champion", f"models:/{MODEL}/1", f"models://x/{MODEL}"),
        *(f"runs:/{RUN}/{path}" for path in ("..", "a/../b", "%2e%2e/x", ".", "a//..", "a\\..")),
        *(f"{UPLOADED}{rest}" for rest in ("2", "/../x", "/%2e%2e/x", "/a?x=1", "?x=1", "#x")),
        *(f" {UPLOADED}/model", f"{UPLOADED}\n/model", UPLOADED.replace("mlflow", "MLFLOW")),
        f"{OF_MODEL}/model",
        "s3://mill/artifacts2/x",
        "s3://mill/artifacts/../secret?credentials=x",
    ],
)
def test_source_elsewhere_is_refused(records, source):
    assert not records.holds(source, RUN, None)


def test_source_of_a_run_whose_artifacts_are_elsewhere_is_refused(records):
    assert not records.holds("s3://other/x/model", FOREIGN, None)


@pytest.fixture
def served(tmp_path, monkeypatch, bucket, quick_hashes):
    """MLflow's server on loopback with artifacts in a bucket; its address, and tokens."""
    monkeypatch.setenv("KINEMILL_HOME", str(tmp_path / "home"))
    users = Users(Home.resolve())
    tokens = {}
    for name, role in (("otto", "operator"), ("vic", "viewer")):
        users.put(name, role, PASSWORD)
        tokens[name] = {"Authorization": f"Bearer {users.renew_token(name)}"}
    with serve_mlflow(tmp_path / "log") as url:
        yield url, tokens


@pytest.mark.e2e
@pytest.mark.slow
def test_operator_and_viewer_read_no_object_of_another_bucket(served, s3, tmp_path, monkeypatch):
    boto3 = pytest.importorskip("boto3")
    monkeypatch.setattr(
        pytest.importorskip("moto.moto_api").recorder, "_location", str(tmp_path / "requests")
    )
    url, tokens = served
    secret = boto3.client("s3", endpoint_url=f"http://{s3}", region_name="us-east-1")
    secret.create_bucket(Bucket="payroll")
    secret.put_object(Bucket="payroll", Key="x/salaries.csv", Body=b"SECRET")
    requests.post(f"http://{s3}/moto-api/recorder/start-recording", timeout=30)

    def post(path, **body):
        api = f"{url}/api/2.0/mlflow/{path}"
        return requests.post(api, json=body, headers=tokens["otto"], timeout=60)

    def read(name, path):
        query = {"name": name, "version": "1", "path": path}
        address = f"{url}/model-versions/get-artifact"
        return requests.get(address, params=query, headers=tokens["vic"], timeout=60)

    experiment = post("experiments/create", name="notes").json()["experiment_id"]
    run = post("runs/create", experiment_id=experiment).json()["run"]["info"]
    uploaded = f"{experiment}/{run['run_id']}/artifacts/model/step.txt"
    address = f"{url}/api/2.0/mlflow-artifacts/artifacts/{uploaded}"
    requests.put(address, data=b"weights", headers=tokens["otto"], timeout=60).raise_for_status()

    for name in ("good", "evil"):
        post("registered-models/create", name=name).raise_for_status()
    refused = post(
        "model-versions/create", name="evil", source="s3://payroll/x", run_id=run["run_id"]
    )
    assert refused.status_code == 403
    assert "is not in the artifacts of a run" in refused.json()["message"]
    assert read("evil", "salaries.csv").status_code == 404

    source = f"{run['artifact_uri']}/model"
    made = post("model-versions/create", name="good", source=source, run_id=run["run_id"])
    assert made.status_code == 200, made.text
    assert read("good", "step.txt").text == "weights"
    # Other fields with an address: the server stores it, and reads nothing there.
    foreign = {
        "name": "d",
        "digest": "1",
        "source_type": "s3",
        "source": '{"uri": "s3://payroll/x"}',
    }
    post("runs/log-inputs", run_id=run["run_id"], datasets=[{"dataset": foreign}])
    other = post("experiments/create", name="other", artifact_location="s3://payroll/x")
    assert other.status_code == 403
    model = post(
        "logged-models", experiment_id=experiment, artifact_location="s3://payroll/x"
    ).json()["model"]["info"]
    assert model["artifact_uri"].startswith("mlflow-artifacts:/")

    recording = requests.get(f"http://{s3}/moto-api/recorder/download-recording", timeout=30).text
    requests.post(f"http://{s3}/moto-api/recorder/stop-recording", timeout=30)
    assert "mill/artifacts" in recording
    assert "payroll" not in recording
