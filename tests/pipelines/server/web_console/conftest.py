"""A client of the console as an operator uses it, on a home on which the chain ran."""

import pytest

from kinemill_dagster.pipelines.instance import open_instance
from tests.pipelines.server.rest.conftest import make_site


@pytest.fixture
def client(copy):
    with open_instance(copy.home) as instance:
        yield make_site(copy.home, instance).client
