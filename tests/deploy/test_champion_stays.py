"""On PostgreSQL, too, the database refuses to lose a champion."""

import pytest

from kinemill.register.delete_guard import protect, release
from kinemill.tracking import open_tracking


@pytest.mark.slow
def test_a_champion_on_a_shared_database_cannot_be_deleted(database, home):
    from mlflow.exceptions import MlflowException

    tracking = open_tracking(home)
    client = tracking.client
    client.create_registered_model("cart")
    for number in ("1", "2"):
        client.create_model_version("cart", source=f"s3://bucket/{number}")
    client.set_registered_model_alias("cart", "champion", "1")
    for _ in range(2):  # protecting what is protected changes nothing
        protect(tracking)
    with pytest.raises(MlflowException, match="this version is champion: robots load it"):
        client.delete_model_version("cart", "1")
    client.set_registered_model_alias("cart", "champion", "2")
    client.delete_model_version("cart", "1")
    assert dict(client.get_registered_model("cart").aliases) in ({"champion": 2}, {"champion": "2"})
    release(tracking)
    client.delete_registered_model("cart")
