"""A client of the console as an operator uses it, on a home on which the chain ran."""

import pytest
from starlette.testclient import TestClient

from kinemill_dagster.pipelines.instance import open_instance
from tests.rest_server import ScriptedDagster, rest_app

HEADERS = {"X-Kinemill-User": "otto", "X-Kinemill-May": "operate"}


@pytest.fixture
def client(copy):
    with open_instance(copy.home) as instance:
        app = rest_app(copy.home, instance, ScriptedDagster(instance).query)
        yield TestClient(app, headers=HEADERS)
