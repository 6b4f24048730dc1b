"""Registered versions with files that could run code or read other files are refused.

An attacker with write access to MLflow and the store can set any tags and matching hashes.
"""

import pickle
import shutil
from functools import partial

import onnx
import pytest
from onnx import external_data_helper

from kinemill import runtime
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import fetch_bundle, tags
from kinemill.register.lookup import show
from kinemill.register.pulls import OfHome
from kinemill.register.version_page import version_page
from kinemill.register.versions import find_version
from kinemill.runtime import download
from kinemill.runtime.download import run_stored_cases
from kinemill.runtime.integrity import SUMS
from kinemill.store import MANIFEST, SUMMARY, file_digest
from kinemill.tracking import open_tracking
from tests.runtime.test_model_safety import Canary

ADDRESS = "models:/cart@champion"


@pytest.fixture
def canary(tmp_path):
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.fixture
def sound(with_champion, monkeypatch):
    """The registry of a home with one champion, version 1."""
    return with_champion()


def by_pickle(folder, canary):
    (folder / "weights.pkl").write_bytes(pickle.dumps(Canary(canary)))


def by_external_data(folder, canary):
    model = onnx.load(folder / "rollout.onnx")
    tensor = next(one for one in model.graph.initializer if one.name == "gains")
    external_data_helper.set_external_data(tensor, f"../{canary.name}")
    tensor.ClearField("raw_data")
    (folder / "rollout.onnx").write_bytes(model.SerializeToString())


# All kinds of such files are in tests/runtime/test_model_safety.py.
HOSTILE = {
    by_pickle: "is a pickle, or may be",
    by_external_data: "stores weights in another file",
}


def forged(folder):
    """Write the hashes of a folder next to it; return the tags of a version with them."""
    listed = sorted(path for path in folder.iterdir() if path.name != SUMS)
    (folder / SUMS).write_text("".join(f"{file_digest(p)}  {p.name}\n" for p in listed))
    return file_digest(folder / SUMS)


def crown(chain, folder, stamped):
    """Register a folder as the champion in MLflow."""
    tracking = open_tracking(chain.home)
    client = tracking.client
    own = client.get_model_version_by_alias("cart", "champion")
    experiment = client.get_run(own.run_id).info.experiment_id
    logged = client.create_logged_model(experiment, name="cart", source_run_id=own.run_id)
    client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    with tracking.as_default():
        version = client.create_model_version(
            "cart",
            source=f"models:/{logged.model_id}",
            run_id=own.run_id,
            tags=stamped and {**own.tags, **stamped},
            model_id=logged.model_id,
        )
    client.set_registered_model_alias("cart", "champion", version.version)


@pytest.fixture(params=list(HOSTILE), ids=lambda by: by.__name__)
def hostile(request, sound, tmp_path, canary):
    """Make a champion with a bundle only in MLflow, with hashes; return the error."""
    folder = tmp_path / "model"
    bundle = shutil.copytree(fetch_bundle(ADDRESS), folder / "bundle")
    for name in (MANIFEST, SUMMARY):  # the store's own, of which robots know nothing
        (bundle / name).unlink()
    request.param(bundle, canary)
    stamped = {tags.SUMS: forged(bundle), tags.BUNDLE: "store/bundle/cart/none"}
    crown(sound, folder, stamped)
    return HOSTILE[request.param]


def test_hostile_champion_is_not_loaded_and_a_robot_keeps_its_version(hostile, sound, tmp_path):
    with pytest.raises(BadInput, match=hostile):
        runtime.load(ADDRESS)
    to = tmp_path / "robot"
    pull = partial(download.pull, try_it=run_stored_cases)
    assert pull(OfHome(sound.home, "cart", ":1"), to)["status"] == "pulled"
    result = pull(OfHome(sound.home, "cart", "@champion"), to)
    assert (result["version"], result["status"]) == (1, "kept")
    assert hostile in result["why"]
    assert runtime.load(to).interface.task == "cart"


@pytest.mark.parametrize("workspace", ["../outside", "{outside}", "store/../../outside"])
def test_a_bundle_that_is_said_to_lie_outside_of_the_home_is_refused_however_sound_it_is(
    sound, tmp_path, workspace
):
    outside = shutil.copytree(fetch_bundle(ADDRESS), sound.home.root.parent / "outside")
    runtime.load(outside)
    stamped = {
        tags.BUNDLE: workspace.format(outside=outside),
        tags.BUNDLE_DIGEST: file_digest(outside / MANIFEST),
    }
    (tmp_path / "empty").mkdir()
    crown(sound, tmp_path / "empty", stamped)
    message = r"models:/cart/2: names '.*outside', outside of the home; the registry was modified"
    version = find_version(sound.home, "cart", "@champion")
    for look in (
        partial(runtime.load, ADDRESS),
        partial(show, "cart", sound.home, "@champion"),
        partial(version_page, sound.home, version),
    ):
        with pytest.raises(CorruptArtifact, match=message):
            look()
    assert runtime.load("models:/cart/1").interface.task == "cart"


def test_a_version_that_kinemill_did_not_register_is_not_even_fetched(sound, tmp_path, canary):
    folder = tmp_path / "model"
    folder.mkdir()
    by_pickle(folder, canary)
    crown(sound, folder, {})
    with pytest.raises(CorruptArtifact, match="was not registered by kinemill"):
        runtime.load(ADDRESS)
