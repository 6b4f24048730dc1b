"""Acts of edits: numbered, never changed, and read again if another process adds one."""

import getpass
import json

from kinemill.ingest.edits import EDITS, Edit, EditChange, current_edits

ONE, OTHER = "a" * 64, "b" * 64
SPLIT = EditChange("split", start_s=1.5)


def act(*hashes: str, change: EditChange | None = SPLIT, undoes: int | None = None) -> Edit:
    who, when = getpass.getuser(), "2026-11-24T20:00:00+00:00"
    return Edit(0, [*hashes], change, who, when, "a test", undoes)


def test_an_edit_is_withdrawn_from_one_recording_and_holds_for_the_other(home):
    EDITS.append(home, "arm", lambda: act(ONE, OTHER))
    EDITS.append(home, "arm", lambda: act(ONE, change=None, undoes=1))
    assert [one.number for one in EDITS.read(home, "arm")] == [1, 2]
    assert [*current_edits(home, "arm")] == [OTHER]
    assert not current_edits(home, "leg")


def test_an_act_of_another_process_is_seen(home):
    EDITS.append(home, "arm", lambda: act(ONE))
    assert len(current_edits(home, "arm")[ONE]) == 1
    path = home.store / "edits" / "arm" / "000001.json"
    document = json.loads(path.read_text()) | {"number": 2}
    path.with_name("000002.json").write_text(json.dumps(document))
    assert len(current_edits(home, "arm")[ONE]) == 2


def test_changes_are_spelled_for_people():
    assert SPLIT.spell() == "split at 1.5 s"
    assert EditChange("exclude", 3.2, 4.5, "left").spell() == "exclude 3.2 to 4.5 s of left"
