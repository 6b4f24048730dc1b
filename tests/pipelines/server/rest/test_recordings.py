"""Quarantine over REST: listed with reasons, and decided with the user as the author."""

from kinemill.ingest.decisions import DECISIONS


def test_released_recording_records_its_user(trained):
    page = trained.get("tasks/tiny/quarantine")
    assert page["total"] == len(page["recordings"]) > 0
    name = page["recordings"][0]["name"]
    body = {"decision": "release", "recording": name, "because": "checked by eye"}
    made = trained.post("tasks/tiny/quarantine", body)
    assert (made["who"], made["decision"], made["because"]) == ("otto", "release", "checked by eye")
    assert DECISIONS.read(trained.home, "tiny")[-1].who == "otto"
    undone = trained.post("tasks/tiny/quarantine", {"decision": "undo", "recording": name})
    assert undone["decision"] == "withdraw"
    trained.post("tasks/tiny/quarantine", {"decision": "undo", "recording": name}, status=400)
    trained.post("tasks/tiny/quarantine", {"decision": "burn", "recording": name}, status=400)
