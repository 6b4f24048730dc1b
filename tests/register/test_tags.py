"""Tags of versions: a few that users filter by, and the others in one JSON tag."""

import json

from kinemill.register import tags
from kinemill.register.mlflow_tables import read_tables
from kinemill.register.versions import versions_of
from kinemill.tracking import open_tracking

STAMPED = {tags.KEY: "ab", tags.DATASET: "cd", "team": "arm", tags.DECISION: "champion"}


def test_hidden_tags_are_one_json_object_and_come_back():
    stored = tags.pack(STAMPED)
    assert list(stored) == ["kinemill.dataset", "team", "kinemill.internal", "kinemill.decision"]
    assert json.loads(stored["kinemill.internal"]) == {"kinemill.key": "ab"}
    assert tags.unpack(stored) == STAMPED


def test_a_hidden_tag_that_another_client_wrote_counts():
    stored = tags.pack(STAMPED) | {tags.KEY: "forged"}
    assert tags.unpack(stored)[tags.KEY] == "forged"


def test_a_damaged_tag_hides_nothing():
    for damaged in ("{", "[]", '{"kinemill.key": 1}'):
        stored = {tags.INTERNAL: damaged, "team": "arm"}
        assert tags.unpack(stored) == stored


def test_mlflow_shows_eight_tags_of_a_version_and_no_events(with_champion):
    chain = with_champion()
    chain.register(0.31, gain=0.6)
    client = open_tracking(chain.home).client
    displayed = set(client.get_model_version("cart", "2").tags)
    assert displayed == (tags.VISIBLE - {tags.REFERENCE, tags.STARTED_FROM}) | {tags.INTERNAL}
    assert len(displayed) == 8
    model = client.get_registered_model("cart")
    assert set(model.tags) == {tags.NAME, tags.CHAMPION, tags.APPLIED}
    logged = client.get_logged_model(versions_of(chain.home, "cart")[0].logged_model)
    assert tags.INTERNAL not in logged.tags
    assert "kinemill.metrics" in read_tables(chain.home, "cart").versions[2].own_tags


def test_the_registered_model_says_what_it_predicts_and_where_its_pages_are(with_champion):
    description = (
        open_tracking(with_champion().home).client.get_registered_model("cart").description
    )
    assert "Dynamics model: predicts position (m)" in description
    assert "(/kinemill/tasks/cart)" in description
