"""REST in this process: a home, an instance of Dagster, and a client that speaks for a user."""

import shutil
from dataclasses import dataclass

import dagster as dg
import pytest
from starlette.testclient import TestClient

from kinemill.store.home import Home
from kinemill_dagster.pipelines.instance import open_instance
from tests.rest_server import ScriptedDagster, rest_app

HEADERS = {"X-Kinemill-User": "otto", "X-Kinemill-May": "operate"}


@dataclass
class Site:
    """A server for tests."""

    home: Home
    instance: dg.DagsterInstance
    dagster: ScriptedDagster
    client: TestClient

    def get(self, path, status=200, **query):
        """Return the document at a path."""
        response = self.client.get(f"/api/v1/{path}", params=query)
        assert response.status_code == status, response.text
        return response.json()

    def post(self, path, body=None, status=200):
        """Send a body; return the document of the response."""
        response = self.client.post(f"/api/v1/{path}", json=body or {})
        assert response.status_code == status, response.text
        return response.json() if response.content else None


def make_site(home, instance):
    dagster = ScriptedDagster(instance)
    app = rest_app(home, instance, dagster.query)
    client = TestClient(app, headers=HEADERS, raise_server_exceptions=False)
    return Site(home, instance, dagster, client)


def draft_preview(logs, folder, names):
    """The preview of a draft of the task `arm` from some logs, copied to a folder."""
    from kinemill.draft.builder import build
    from kinemill.draft.draft_check import check_draft
    from kinemill.draft.draft_preview import preview_of

    for name in names:
        shutil.copy(logs / name, folder)
    return preview_of(check_draft(build("arm", folder)))


@pytest.fixture
def site(workspace):
    """An empty home with the tasks `tiny` and `broken`."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield make_site(workspace.home, instance)


@pytest.fixture
def trained(copy):
    """A home on which the chain of `tiny` ran once."""
    with open_instance(copy.home) as instance:
        yield make_site(copy.home, instance)
