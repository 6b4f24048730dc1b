"""Tags: an act is stored once and never changed."""

import pytest

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.search.tags import (
    TAGS,
    TagDetails,
    add_tag,
    current_tags,
    remove_tag,
    tags_by_recording,
)

A, B = "a" * 64, "b" * 64


def tags(home):
    return dict(tags_by_recording(home, "arm").sort("recording").iter_rows())


def test_a_tag_holds_until_it_is_removed_and_every_act_is_kept(home):
    add_tag(home, "arm", [A, B], "slip", TagDetails(1.2, 3.4, "left foot"))
    add_tag(home, "arm", [A], "good")
    assert tags(home) == {A: ["good", "slip"], B: ["slip"]}
    remove_tag(home, "arm", [A], "slip")
    assert tags(home) == {A: ["good"], B: ["slip"]}
    add_tag(home, "arm", [A], "slip")
    assert tags(home) == {A: ["good", "slip"], B: ["slip"]}
    acts = TAGS.read(home, "arm")
    assert [(act.number, act.tag, act.removed) for act in acts] == [
        (1, "slip", False), (2, "good", False), (3, "slip", True), (4, "slip", False),
    ]  # fmt: skip
    assert (acts[0].start_s, acts[0].stop_s, acts[0].note) == (1.2, 3.4, "left foot")
    assert [tag.recordings for tag in current_tags(home, "arm")] == [[B], [A], [A]]


@pytest.mark.parametrize("tag", ["", "  ", "a\nb", "x" * 101])
def test_a_tag_is_a_short_printable_text(home, tag):
    with pytest.raises(BadInput, match="1 to 100 characters"):
        add_tag(home, "arm", [A], tag)
    assert not TAGS.read(home, "arm")


@pytest.mark.parametrize("span", [(3.0, 1.0), (1.0, 1.0), (-1.0, None), (None, float("nan"))])
def test_a_span_has_a_length(home, span):
    with pytest.raises(BadInput, match="the first one before the last one"):
        add_tag(home, "arm", [A], "slip", TagDetails(*span))


def test_only_a_tag_that_holds_can_be_removed(home):
    add_tag(home, "arm", [A], "slip")
    with pytest.raises(BadInput, match="kinemill data tags arm lists them"):
        remove_tag(home, "arm", [A, B], "slip")


def test_a_damaged_act_is_an_error_and_not_a_missing_tag(home):
    add_tag(home, "arm", [A], "slip")
    (home.store / "tags" / "arm" / "000001.json").write_text("{")
    with pytest.raises(CorruptArtifact):
        tags_by_recording(home, "arm")
