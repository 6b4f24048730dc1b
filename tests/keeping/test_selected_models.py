"""Garbage collection keeps both models of a registered version: the chosen and the trained one."""

import os
import time

from kinemill.keeping.collecting import Wanted, collect
from kinemill.keeping.live import Nobody
from kinemill.register import tags
from kinemill.spec.ports import Silence
from kinemill.store import once, open_ref, publish_json
from kinemill.tracking import open_tracking
from kinemill.verify.selection import DOCUMENT, FORMAT
from tests.keeping.conftest import DAY, publish


def test_the_trained_model_stays_where_a_reference_was_registered_in_its_place(tracked_home):
    home = tracked_home
    data = publish(home, "dataset", days=40, n=1)
    training_set = publish(home, "training_set", data, days=40)
    references = publish(home, "references", data, days=40)
    trained = publish(home, "model", training_set, days=40)
    chosen = publish(home, "model", data, references, days=40)
    other = publish(home, "model", training_set, days=40, n=2)

    def build(folder):
        named = {"model": chosen.to_json(), "trained": trained.to_json()}
        publish_json(folder / DOCUMENT, FORMAT.stamp(named))
        return {}

    inputs = {"model": trained.digest, "references": references.digest}
    selection = once(home, "selection", "cart", inputs, build).ref
    then = time.time() - 40 * DAY
    os.utime(home.root / selection.path, (then, then))
    stamped = {
        tags.MODEL: chosen.digest,
        tags.MODEL_FOLDER: chosen.path,
        tags.REFERENCE: "linear",
        tags.SELECTION: selection.digest,
        tags.SELECTION_FOLDER: selection.path,
    }
    client = open_tracking(home).client
    client.create_registered_model("cart")
    client.create_model_version("cart", source="file:1", tags=stamped)
    found = collect(home, Wanted(unused=0.0), Nobody(), Silence())
    assert [item["name"] for item in found["gone"]] == [other.path]
    for ref in (data, training_set, references, trained, chosen, selection):
        assert open_ref(home, ref).is_dir()
