"""The app as a whole: errors, and the OpenAPI document."""

from kinemill import __version__
from kinemill_dagster.pipelines.server.rest.app import describe_app


def test_bug_is_500_without_internals(site, monkeypatch):
    def fail(*_):
        message = "secret"
        raise ValueError(message)

    monkeypatch.setattr(type(site.instance), "get_run_records", fail)
    message = site.get("runs", status=500)["message"]
    assert message == "an error in kinemill; the log of the server shows it"


def test_damaged_database_is_named_with_the_fix(trained):
    file = trained.home.dagster / "history" / "runs.db"
    with file.open("r+b") as opened:
        opened.write(b"x" * 4096)
    message = trained.get("runs", status=500)["message"]
    assert "runs.db" in message
    assert "\n" not in message


def test_unknown_path_is_404(site):
    answer = site.client.get("/api/v1/nothing")
    assert answer.status_code == 404
    assert "/api/v1/openapi.json lists all paths" in answer.json()["message"]
    assert site.client.get("/api/v1/docs").status_code == 404


def test_unknown_query_parameter_is_refused(site):
    message = site.get("runs", 400, tsk="tiny")["message"]
    assert message == "query.tsk: is no parameter of this operation; did you mean 'task'?"
    assert "query.limit" in site.get("tasks", 400, limit="1")["message"]


def test_openapi_document_describes_every_operation():
    document = describe_app().openapi()
    assert document["info"]["version"] == __version__
    assert document["servers"] == [{"url": "/api/v1"}]
    operations = [one for path in document["paths"].values() for one in path.values()]
    assert len(operations) >= 17
    assert all(operation["description"] and operation["tags"] for operation in operations)
