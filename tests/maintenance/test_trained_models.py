"""Garbage collection keeps both models of a registered reference: its own and the trained one."""

from kinemill.maintenance.gc import Limits, collect
from kinemill.maintenance.liveness import NoOrchestrator
from kinemill.register import tags
from kinemill.store import open_ref
from kinemill.task.protocols import NullReporter
from kinemill.tracking import open_tracking
from tests.maintenance.conftest import publish


def test_the_trained_model_stays_where_a_reference_was_registered_in_its_place(tracked_home):
    home = tracked_home
    data = publish(home, "dataset", days=40, n=1)
    training_set = publish(home, "training_set", data, days=40)
    references = publish(home, "references", data, days=40)
    trained = publish(home, "model", training_set, days=40)
    choice = publish(home, "model", data, references, days=40)
    other = publish(home, "model", training_set, days=40, n=2)
    stamped = {
        tags.MODEL: choice.digest,
        tags.MODEL_FOLDER: choice.path,
        tags.REFERENCE: "linear",
        tags.TRAINED: trained.digest,
        tags.TRAINED_FOLDER: trained.path,
    }
    client = open_tracking(home).client
    client.create_registered_model("cart")
    client.create_model_version("cart", source="file:1", tags=stamped)
    result = collect(home, Limits(unused=0.0), NoOrchestrator(), NullReporter())
    assert [item["name"] for item in result["gone"]] == [other.path]
    for ref in (data, training_set, references, trained, choice):
        assert open_ref(home, ref).is_dir()
