"""`kinemill model export` writes a registered model to a folder that runs anywhere."""

import hashlib
import json

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.errors import BadInput
from kinemill.runtime import load
from tests.register.test_mlflow_changes import client_of


@pytest.fixture
def kinemill(chain, monkeypatch):
    chain.register(0.1)
    chain.register(0.9, gain=0.9)  # worse, so the first stays champion

    def run(*args):
        done = CliRunner().invoke(app, ["model", "export", *map(str, args)])
        if done.exception and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done

    return run


def test_the_champion_is_copied_whole_with_its_sums(kinemill, tmp_path):
    document = json.loads(kinemill("cart", "--to", tmp_path / "to", "--json").stdout)
    assert (document["task"], document["version"], document["c99"]) == ("cart", 1, None)
    folder = tmp_path / "to"
    assert {path.name for path in folder.iterdir()} == {*document["files"], "sha256sums"}
    assert {"step.onnx", "rollout.onnx", "verification.json", "report.html"} <= set(
        document["files"]
    )
    for name, sha in document["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha
    assert load(folder).rollout([[[0, 0]] * 3], [[[0]] * 2], [[[1]]])[0, 0, 0] == 0.5  # its gain


def test_any_version_can_be_had_with_c_and_nothing_is_overwritten(kinemill, tmp_path):
    folder = tmp_path / "to"
    folder.mkdir()  # an empty one may be there
    document = json.loads(kinemill("cart:2", "--to", folder, "--c99", "--json").stdout)
    assert document["version"] == 2
    assert {"step.c", "step.h"} <= set(document["files"])
    assert document["c99"]["difference"] == 0.0  # of a sum and a product
    done = kinemill("cart", "--c99", "--to", tmp_path / "other")  # as a person asks
    assert "cart version 1:" in done.output
    assert "of stack" in done.output
    assert f"python -m kinemill.runtime verify {tmp_path / 'other'}" in done.output
    with pytest.raises(BadInput, match="exists and is not empty; expected a new folder"):
        kinemill("cart", "--to", folder)


def test_export_without_a_champion_is_refused(kinemill, chain, tmp_path):
    client_of(chain).delete_registered_model_alias("cart", "champion")
    with pytest.raises(BadInput, match="cart@champion"):
        kinemill("cart", "--to", tmp_path / "to")
    assert not (tmp_path / "to").exists()
