"""Webhooks through the guard: for admins only, with checked bodies."""

import pytest

from kinemill.errors import BadInput
from kinemill_dagster.pipelines.auth.calls import Refused
from kinemill_dagster.pipelines.auth.mlflow_site import MlflowSite
from kinemill_dagster.pipelines.auth.permissions import Permission
from kinemill_dagster.pipelines.auth.request import Request
from kinemill_dagster.resources.alerts import Webhooks
from tests.pipelines.auth.records import FewRecords

SITE = MlflowSite(FewRecords(), lambda: Webhooks(origins=["https://hooks.example.org"]))
API = "api/2.0/mlflow/webhooks"
ID = "8d0a3f6e-6c5f-4d5e-9a55-7b1c2d3e4f50"
EVENT = {"entity": "MODEL_VERSION", "action": "CREATED"}
HOOK = {"name": "build", "url": "HTTPS://hooks.example.org:443/x", "events": [EVENT]}


def routed(method, path, site=SITE):
    request = Request(method, tuple(path.split("/")))
    return request, site.route(request)


def decided(method, path, body=None, site=SITE):
    request, route = routed(method, path, site)
    return route.decide(Request(method, request.segments, body=body), "ada")


ROUTES = [
    ("GET", API, None),
    ("POST", API, HOOK),
    ("GET", f"{API}/{ID}", None),
    ("PATCH", f"ajax-{API}/{ID}", {"status": "DISABLED"}),
    ("DELETE", f"{API}/{ID}", None),
    ("POST", f"{API}/{ID}/test", {"event": EVENT}),
]


@pytest.mark.parametrize(("method", "path", "body"), ROUTES)
def test_webhooks_are_for_admins_who_are_checked_first(method, path, body):
    assert routed(method, path)[1].least is Permission.ADMINISTER
    assert decided(method, path, body).permission is Permission.ADMINISTER


@pytest.mark.parametrize(
    ("method", "path"),
    [("DELETE", API), ("PUT", f"{API}/{ID}"), ("GET", f"{API}/{ID}/test"), ("POST", f"{API}/{ID}")],
)
def test_other_routes_are_closed(method, path):
    with pytest.raises(Refused) as why:
        routed(method, path)
    assert why.value.status == 403


def test_mlflow_gets_what_was_checked():
    body = decided("POST", API, {**HOOK, "secret": "0123456789abcdef"}).body
    assert body == {**HOOK, "url": "https://hooks.example.org/x", "secret": "0123456789abcdef"}
    assert decided("PATCH", f"{API}/{ID}", {"url": HOOK["url"]}).body == {
        "url": "https://hooks.example.org/x"
    }


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"url": "https://evil.example/"}, 403),
        ({"url": "http://169.254.169.254/latest"}, 403),
        ({"url": ["https://hooks.example.org/"]}, 400),
        ({"events": []}, 400),
        ({"events": [{"entity": "PROMPT", "action": "CREATED"}]}, 400),
        ({"secret": "short"}, 400),
        ({"name": ""}, 400),
        ({"workspace": "other"}, 400),
        ({"webhookId": ID}, 400),
    ],
)
def test_bodies_that_are_refused(change, status):
    for method, path in (("POST", API), ("PATCH", f"{API}/{ID}")):
        with pytest.raises(Refused) as why:
            decided(method, path, {**HOOK, **change})
        assert why.value.status == status


def test_the_secret_is_in_no_message():
    with pytest.raises(Refused) as why:
        decided("POST", API, {**HOOK, "secret": "tiny-key"})
    assert "tiny-key" not in why.value.why


def test_without_a_key_webhooks_are_closed():
    def closed():
        raise BadInput("webhooks", "have no key")

    for method, path, body in ROUTES:
        with pytest.raises(Refused, match="have no key") as why:
            decided(method, path, body, MlflowSite(FewRecords(), closed))
        assert why.value.status == 403
