"""`kinemill data tag` and `data tags`."""

import getpass

import pytest

from kinemill.errors import BadInput


@pytest.fixture
def two(swing, log, evaluated):
    """Two good logs of the task `swing`."""
    log("b.csv", phase=1.0)
    path = log("a.csv")
    evaluated(swing(), path.parent)


def test_a_tag_is_listed_searched_and_removed(two, kinemill):
    span = ("--from", 1.2, "--to", 3.4, "--note", "left gripper")
    made = kinemill("data", "tag", "swing", "a.csv", "slip", *span, "--json")
    assert (made["name"], made["tag"], made["who"]) == ("a.csv", "slip", getpass.getuser())
    kinemill("data", "tag", "swing", "b.csv", "good")
    listed = kinemill("data", "tags", "swing", "--json")
    assert listed["total"] == 2
    about = listed["tags"][0]
    assert (about["name"], about["tag"], about["start_s"], about["stop_s"], about["note"]) == (
        "a.csv", "slip", 1.2, 3.4, "left gripper",
    )  # fmt: skip
    assert "left gripper" in kinemill("data", "tags", "swing")
    matches = kinemill("data", "search", "swing", "array_contains(tag, 'slip')", "--json")[
        "recordings"
    ]
    assert [(match["name"], match["tag"]) for match in matches] == [("a.csv", ["slip"])]
    assert "is removed from a.csv" in kinemill("data", "tag", "swing", "a.csv", "slip", "--remove")
    assert kinemill("data", "tags", "swing", "--json")["total"] == 1


def test_an_unknown_recording_or_tag_is_an_error(two, kinemill):
    with pytest.raises(BadInput, match=r"did you mean 'a\.csv'"):
        kinemill("data", "tag", "swing", "a.cvs", "slip")
    with pytest.raises(BadInput, match="kinemill data tags swing lists them"):
        kinemill("data", "tag", "swing", "a.csv", "slip", "--remove")
