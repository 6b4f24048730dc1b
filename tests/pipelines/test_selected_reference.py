"""A run whose network is worse than a linear model: the linear model goes through the chain."""

import dagster as dg
import pytest

from kinemill.keeping.collecting import Wanted, collect
from kinemill.keeping.live import Nobody
from kinemill.register import find_version, start_of, tags
from kinemill.runtime import load
from kinemill.spec import load_task
from kinemill.spec.ports import Silence
from kinemill.store import open_ref, read_json
from pipelines.instance import open_instance
from pipelines.run import run_chain
from resources.io import latest
from tests.pipelines.conftest import TASK

pytestmark = pytest.mark.e2e
REFERENCES = ("linear", "linear_sincos", "physics")
ALLOWED = {"promote.allow_reference": True}


def metadata(place, asset):
    with open_instance(place.home) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey([TASK, asset]))
    return event.asset_materialization.metadata


def test_the_reference_is_registered_shown_and_known_and_the_network_stays(copy):
    trained, trainings = latest(copy.home, TASK, "model"), copy.home.runs / TASK
    before = sorted(path.name for path in trainings.iterdir())
    document = run_chain(TASK, ALLOWED)
    chosen = document["selection"]["chosen"]
    assert chosen in REFERENCES
    assert f"worse than {chosen}" in document["selection"]["why"]
    assert sorted(path.name for path in trainings.iterdir()) == before  # no other training began
    version = find_version(copy.home, TASK, ":2")
    assert document["version"] == 2
    assert version.tags[tags.REFERENCE] == chosen
    assert version.tags[tags.MODEL] == latest(copy.home, TASK, "model").digest != trained.digest
    verification = read_json(
        copy.home.root / latest(copy.home, TASK, "verification").path / "verification.json"
    )
    assert verification["model"]["reference"] == chosen
    shown = metadata(copy, "model")
    assert shown["chosen"].value.startswith(f"{chosen}: ")
    assert isinstance(shown["selection"], dg.TableMetadataValue)
    assert shown["loss_curve"].value.startswith("![loss](")
    families = metadata(copy, "references")["references"].records
    assert {row.data["reference"] for row in families} >= {"persistence", "linear"}
    again = run_chain(TASK, ALLOWED)
    assert (again["status"], again["version"], again["selection"]) == (
        "unchanged",
        2,
        document["selection"],
    )
    collect(copy.home, Wanted(unused=0.0, logs=0.0), Nobody(), Silence())
    assert open_ref(copy.home, trained).is_dir()
    bundle = copy.home.root / version.tags[tags.BUNDLE]
    assert load(bundle).interface.task == TASK


@pytest.mark.slow
def test_a_training_starts_from_the_network_that_was_not_chosen(copy):
    trained = latest(copy.home, TASK, "model")
    run_chain(TASK, ALLOWED)
    start = start_of(load_task(TASK, {"learn.start_from": f"models:/{TASK}/2"}), copy.home)
    assert (start.digest, start.address) == (trained.digest, f"models:/{TASK}/2")
    assert "training starts from the network" in start.note
    following = ALLOWED | {"learn.start_from": f"models:/{TASK}/2", "learn.steps": 10}
    assert run_chain(TASK, following)["selection"] is not None
