"""The files in deploy/: what each format's own models say of them, and that names fit together."""

import re

import pytest
import yaml

from kinemill.store.home import Home
from kinemill_dagster.pipelines.server.auth.users import Users
from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
MANIFESTS = ["mill.yaml", "secret.example.yaml"]
# What compose-spec has for a service, of which this file uses some; a misspelt key is none of them.
SERVICE = {
    "image", "build", "restart", "environment", "volumes", "depends_on", "command", "ports",
    "healthcheck", "stop_grace_period", "network_mode", "pid",
}  # fmt: skip


@pytest.mark.parametrize("name", MANIFESTS)
def test_kubernetes_own_models_read_every_manifest_and_lose_nothing(name):
    client = pytest.importorskip("kubernetes.client", reason="kubernetes is not installed")
    api = client.ApiClient()
    for manifest in yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()):
        version = manifest["apiVersion"].rpartition("/")[2].capitalize()
        cls = getattr(client, f"{version}{manifest['kind']}")
        read = api._ApiClient__deserialize(manifest, cls)
        # A key that the models do not know is dropped when it is read.
        assert api.sanitize_for_serialization(read) == manifest


def test_the_pods_use_what_the_other_manifests_define():
    every = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "mill.yaml").read_text()))
    secret = yaml.safe_load((DEPLOY / "kubernetes" / "secret.example.yaml").read_text())
    named = {(one["kind"], one["metadata"]["name"]) for one in every}
    pods = [one["spec"]["template"] for one in every if one["kind"] == "Deployment"]
    labels = [pod["metadata"]["labels"] for pod in pods]
    services = {one["metadata"]["name"] for one in every if one["kind"] == "Service"}
    for service in (one for one in every if one["kind"] == "Service"):
        assert service["spec"]["selector"] in labels
    for pod in (pod["spec"] for pod in pods):
        assert ("ServiceAccount", pod.get("serviceAccountName", "kinemill")) in named
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for volume in volumes.values():
            if volume["name"] == "users":
                assert volume["secret"]["secretName"] == "kinemill-users"
            else:
                claim = volume["persistentVolumeClaim"]["claimName"]
                assert ("PersistentVolumeClaim", claim) in named
        for container in pod["containers"]:
            assert container["envFrom"] == [{"secretRef": {"name": secret["metadata"]["name"]}}]
            mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert set(mounted) <= set(volumes)
            if container["name"] in ("webserver", "mlflow"):
                arguments = {one["name"]: one["value"] for one in container["env"]}
                assert arguments["KINEMILL_USERS"] == f"{mounted['users']}/users.json"
                assert set(arguments["KINEMILL_NAMES"].split(",")) == services


class UniqueKeys(yaml.SafeLoader):
    """Refuses a key that is there twice, as compose does; PyYAML takes the last one."""

    def flatten_mapping(self, node):
        """Look at a mapping's own keys before what it merges is put beside them."""
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"{sorted(keys)} at {node.start_mark}"
        super().flatten_mapping(node)


def compose():
    return UniqueKeys((DEPLOY / "compose.yaml").read_text()).get_single_data()


def test_the_compose_file_has_known_keys_and_names_what_it_defines():
    result = compose()
    services = result["services"]
    assert {"postgres", "store", "code", "daemon", "webserver", "mlflow"} <= set(services)
    for name, service in services.items():
        assert set(service) <= SERVICE, name
        for other in service.get("depends_on", []):
            assert other in services
        for shared in (service.get("network_mode"), service.get("pid")):
            assert shared is None or shared.removeprefix("service:") in services
        for volume in service.get("volumes", []):
            source = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", volume).partition(":")[0]
            assert source.startswith(("./", "/")) or source in result["volumes"], volume
        assert not {"ports", "network_mode"} <= set(service)  # compose refuses both
    expected = set(re.findall(r"\$\{(\w+):\?\}", (DEPLOY / "compose.yaml").read_text()))
    arguments = set(re.findall(r"^(\w+)=", (DEPLOY / "env.example").read_text(), re.MULTILINE))
    assert expected <= arguments


def test_every_service_of_ours_is_one_that_can_be_started(monkeypatch, tmp_path):
    from kinemill.store.database import database
    from kinemill.store.object_store import endpoint
    from kinemill_dagster.pipelines.server.service import command

    home = Home(tmp_path / "home")
    Users(home).put("ada", "admin", "correct horse battery")
    for name, service in compose()["services"].items():
        if service["image"] == "kinemill":
            module, which = service["command"]
            assert (module, which) == ("kinemill_dagster.pipelines.server.service", name)
            assert name == "bucket" or len(command(name, home)) > 2
            for key in ("KINEMILL_DATABASE", "KINEMILL_REMOTE"):
                value = re.sub(r"\$\{\w+:\?\}", "secret", service["environment"][key])
                monkeypatch.setenv(key, value)
            assert database().startswith("postgresql://kinemill:")
            assert endpoint() == "http://store:9000"


def test_the_image_holds_what_the_services_start_from():
    text = (DEPLOY / "Dockerfile").read_text()
    stages = {"wheel"}
    assert set(re.findall(r"^FROM \S+ AS (\w+)$", text, re.MULTILINE)) == stages
    for path in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        stage, *names = path.split() if path.startswith("--from=") else ["", *path.split()]
        assert not stage or stage.removeprefix("--from=") in stages
        assert stage or all((ROOT / name).exists() for name in names)
    user = re.search(r"^USER (\d+)$", text, re.MULTILINE)
    assert user is not None, "Kubernetes checks `runAsNonRoot` by number"
    assert f"useradd --create-home --uid {user[1]} kinemill" in text


def test_the_image_is_built_from_the_wheel():
    text = (DEPLOY / "Dockerfile").read_text()
    _, build, image = text.split("FROM python:3.11-slim")
    assert "RUN pip wheel --no-cache-dir --no-deps -w /dist ." in build
    assert "COPY . ." not in image  # the checkout is not in it
    assert "PYTHONPATH" not in image
    variables = dict(re.findall(r"(KINEMILL_\w+)=(\S+)", image))
    assert f"RUN kinemill init {variables['KINEMILL_PROJECT']}" in image
    code = compose()["services"]["code"]
    targets = [volume.rpartition(":")[2] for volume in code["volumes"]]
    assert f"{variables['KINEMILL_PROJECT']}/tasks" in targets
    assert variables["KINEMILL_HOME"] in targets
