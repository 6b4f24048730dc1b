"""Logs over REST: uploaded whole and never replaced, and checked without storing."""

import hashlib

import pytest

from kinemill_dagster.pipelines.server.rest import logs


def put(site, name, content, status=201):
    response = site.client.put(f"/api/v1/tasks/tiny/logs/{name}", content=content)
    assert response.status_code == status, response.text
    return response.json()


def test_log_appears_in_the_drop_folder_when_complete(site):
    content = b"timestamp,x\n0,1\n"
    uploaded = put(site, "monday 1.csv", content)
    digest = hashlib.sha256(content).hexdigest()
    assert uploaded == {"name": "monday 1.csv", "bytes": len(content), "sha256": digest}
    (file,) = site.home.logs("tiny").iterdir()
    assert (file.name, file.read_bytes()) == ("monday 1.csv", content)
    assert "is in the drop folder already" in put(site, "monday 1.csv", b"", status=400)["message"]
    assert file.read_bytes() == content
    assert list(site.home.logs("tiny").iterdir()) == [file]


@pytest.mark.parametrize("name", [".hidden.csv", "~x.csv", "x.csv.part", "x.tmp"])
def test_name_that_ingest_ignores_is_refused(site, name):
    assert "would be ignored" in put(site, name, b"x", status=400)["message"]


def test_too_large_log_leaves_no_file(site, monkeypatch):
    monkeypatch.setattr(logs, "LARGEST", 10)
    assert "is too large" in put(site, "a.csv", b"x" * 11, status=400)["message"]

    def chunks():
        yield b"x" * 6
        yield b"x" * 6

    assert "is too large" in put(site, "a.csv", chunks(), status=400)["message"]
    assert list(site.home.logs("tiny").iterdir()) == []


def test_upload_larger_than_the_disk_is_refused_first(site, monkeypatch):
    monkeypatch.setattr(logs, "shortage", lambda folder, size: f"{size} bytes do not fit")
    assert "12 bytes do not fit" in put(site, "a.csv", b"x" * 12, status=500)["message"]


def test_unknown_task_has_no_drop_folder(site):
    response = site.client.put("/api/v1/tasks/tine/logs/a.csv", content=b"x")
    assert (response.status_code, site.home.logs("tine").exists()) == (404, False)


def check(site, name, content, status=200):
    response = site.client.post("/api/v1/tasks/tiny/check", params={"name": name}, content=content)
    assert response.status_code == status, response.text
    return response.json()


@pytest.mark.ci
def test_log_check_stores_nothing(site, logs):
    source = next(path for path in sorted(logs.iterdir()) if not path.name.startswith("broken"))
    result = check(site, "run.csv", source.read_bytes())
    (entry,) = result["files"]
    assert (entry["file"], entry["outcome"]) == ("run.csv", "episodes")
    assert not site.home.logs("tiny").exists()
    (entry,) = check(site, "run.csv", b"timestamp,x\n0,1\n")["files"]
    assert entry["outcome"] == "quarantined"
    assert entry["reasons"]


def test_log_check_of_a_broken_task_names_the_error(site):
    response = site.client.post("/api/v1/tasks/broken/check", params={"name": "a.csv"}, content=b"")
    assert response.status_code == 500
    assert "broken.yaml" in response.json()["message"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tool.exe", b"MZ\x90\x00", "no reader recognizes it"),
        ("logs.zip", b"PK\x03\x04", "extract it"),
        ("empty.csv", b"", "is empty"),
    ],
)
def test_upload_of_no_log_is_refused(site, name, content, message):
    assert message in put(site, name, content, status=400)["message"]
    assert list(site.home.logs("tiny").iterdir()) == []


def test_upload_of_a_form_is_refused(site):
    files = {"file": ("run.csv", b"timestamp,x\n0,1\n")}
    response = site.client.put("/api/v1/tasks/tiny/logs/run.csv", files=files)
    assert response.status_code == 400
    assert "is a form" in response.json()["message"]
