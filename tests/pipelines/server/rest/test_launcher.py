"""Requests of the launcher to Dagster, and its handling of the responses."""

import pytest

from kinemill_dagster.resources.dagster_api import GraphqlFailed


def test_task_file_newer_than_the_server_reloads_it(site):
    site.dagster.loaded = ()
    site.post("runs", {"task": "tiny"}, status=201)
    assert ("reload", {"location": "kinemill"}, "otto") in site.dagster.requests


def test_task_that_a_reload_does_not_load_is_400(site):
    site.dagster.responses["assetNodes"] = []
    message = site.post("runs", {"task": "tiny"}, status=400)["message"]
    assert message == "task tiny: is not loaded by Dagster; its page shows why"


@pytest.mark.parametrize(
    ("response", "message"),
    [
        (
            {
                "__typename": "RunConfigValidationInvalid",
                "errors": [{"message": "unexpected config entry"}],
            },
            "unexpected config entry",
        ),
        (
            {"__typename": "PythonError", "message": "Error 1: bad seed\n\nStack Trace:\n  File x"},
            "Error 1: bad seed",
        ),
        ({"__typename": "UnauthorizedError"}, "UnauthorizedError"),
    ],
)
def test_launch_refused_by_dagster_is_400_with_its_message(site, response, message):
    site.dagster.responses["launchRun"] = response
    said = site.post("runs", {"task": "tiny"}, status=400)["message"]
    assert said == f"task tiny: cannot be started: {message}"


def test_graphql_error_is_500(site):
    def fail(**_):
        message = "no such field"
        raise GraphqlFailed(message)

    site.dagster.assetNodes = fail
    assert "no such field" in site.post("runs", {"task": "tiny"}, status=500)["message"]


def test_cancellation_refused_by_dagster_is_an_error(site, monkeypatch):
    monkeypatch.setattr("kinemill_dagster.pipelines.server.rest.launcher._PAUSE", 0.0)
    refusal = {"__typename": "TerminateRunFailure", "message": "no such process"}
    site.dagster.responses["terminateRun"] = refusal
    run = site.dagster.add("tiny")
    message = site.post(f"runs/{run}/cancel", status=500)["message"]
    assert message == f"run {run[:8]}: cannot be canceled: no such process"
