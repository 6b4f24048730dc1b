"""Logs of acts: numbered files that never change."""

import json
from dataclasses import dataclass
from threading import Barrier, Thread

import pytest

from kinemill.errors import CorruptArtifact
from kinemill.store.act_log import ActLog
from kinemill.store.formats import Format


@dataclass(frozen=True)
class Note:
    number: int
    text: str


NOTES = ActLog("notes", Format("note", 1), Note)


def test_acts_are_numbered_in_order_by_task(home):
    for text in ("one", "two"):
        NOTES.append(home, "arm", lambda text=text: Note(0, text))
    assert NOTES.append(home, "leg", lambda: Note(0, "other")).number == 1
    assert [*NOTES.read(home, "arm")] == [Note(1, "one"), Note(2, "two")]
    assert not NOTES.read(home, "head")


def test_concurrent_acts_get_different_numbers(home):
    start = Barrier(4)

    def append(text):
        start.wait()
        NOTES.append(home, "arm", lambda: Note(0, text))

    threads = [Thread(target=append, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    acts = NOTES.read(home, "arm")
    assert [act.number for act in acts] == [1, 2, 3, 4]
    assert {act.text for act in acts} == {"0", "1", "2", "3"}


def test_an_act_that_is_not_made_is_not_recorded(home):
    def fail():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        NOTES.append(home, "arm", fail)
    assert not NOTES.read(home, "arm")


@pytest.mark.parametrize("content", ["no JSON", "[]", json.dumps({"format": 9, "number": 1}), "{}"])
def test_a_damaged_act_is_an_error(home, content):
    NOTES.append(home, "arm", lambda: Note(0, "one"))
    path = home.store / "notes" / "arm" / "000001.json"
    path.write_text(content)
    with pytest.raises(CorruptArtifact, match=r"000001\.json"):
        NOTES.read(home, "arm")
