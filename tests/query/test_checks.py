"""Names, types and units of queries are checked before anything is read."""

import pytest

from kinemill.query import QueryError, Vocabulary, check, parse, uses
from kinemill.query.syntax import Number, Statistic
from kinemill.task.units import factor

UNITS = {"angle": "rad", "velocity": "rad/s", "oil": "K", "torque": "N*m"}


def checked(text, metadata=("robot", "firmware"), *, versions=True):
    return check(parse(text), Vocabulary(UNITS, factor, metadata, versions=versions))


def test_numbers_are_converted_to_the_unit_of_their_channel():
    # 180 deg/s = pi rad/s; 25 degC = 298.15 K, but a deviation of 1 degC is 1 K; 5 min = 300 s
    assert checked("max(velocity) > 180 deg/s").value.value == pytest.approx(3.141592653589793)
    assert checked("mean(oil) > 25 degC").value.value == pytest.approx(298.15)
    assert checked("std(oil) > 1 degC").value.value == pytest.approx(1.0)
    assert checked("seconds > 5 min").value == Number("300.0", "s")
    assert checked("max(torque) > 3").value == Number("3")


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("robt = 'r7'", 1, "did you mean 'robot'?"),
        ("max(velocty) > 1", 1, "did you mean 'velocity'?"),
        ("rows > 1 and velocity > 1", 14, "use one of min, max, mean and std"),
        ("quarantned", 1, "did you mean 'quarantined'?"),
        ("status = 'acepted'", 10, "did you mean 'accepted'?"),
        ("rows > 'many'", 8, "expected a number without quotes"),
        ("max(torque) > 3 m", 15, "a unit that converts to N*m"),
        ("rows > 3 m", 8, "rows has no unit"),
        ("robot = 3 m", 9, "robot has no unit"),
        ("start > 'yesterday'", 9, "a date or time such as 2026-11-01"),
        ("start > 2026-02-30", 9, "is not a date"),
        ("found > 'spike'", 7, "expected =, != or in"),
        ("rows like '1*'", 6, "`like` compares texts"),
        ("version = 'newest'", 11, "expected a number such as 3, or 'latest'"),
        ("split = 'tset'", 9, "did you mean 'test'?"),
        ("rows = robot", 6, "rows cannot be compared with robot"),
        ("rows", 1, "`rows` has no comparison"),
        ("velocity", 1, "`velocity` is a channel, not a condition"),
        ("name = 3", 8, "name is a text"),
        ("`` = 3", 1, "the name is empty"),
    ],
)
def test_a_comparison_without_meaning_names_its_character(text, position, message):
    with pytest.raises(QueryError) as raised:
        checked(text)
    assert (raised.value.position, message in str(raised.value)) == (position, True)


def test_a_rule_that_makes_datasets_names_no_version():
    for text in ("split = 'test'", "version = 3"):
        with pytest.raises(QueryError, match="depends on dataset versions"):
            checked(text, versions=False)


def test_a_task_file_accepts_keys_of_metadata_that_no_recording_has_yet():
    assert checked("`robot-id` = '3'", metadata=None) == parse("`robot-id` = '3'")


def test_the_columns_that_a_query_reads():
    read = uses(parse("not quarantined and meta.rows = 'x' and max(torque) > min(torque) or a = 1"))
    assert read.properties == {"status"}
    assert read.metadata == {"rows", "a"}
    assert read.statistics == {Statistic("max", "torque"), Statistic("min", "torque")}
