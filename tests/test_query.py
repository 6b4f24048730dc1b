"""Queries: names, units and dates are validated without data, and only conditions are accepted."""

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemill.query import LONGEST, QueryError, Vocabulary, parse
from kinemill.task.units import factor

UNITS = {"angle": "rad", "velocity": "rad/s", "oil": "K", "torque": "N*m"}
KEYS = ("robot", "firmware", "batch", "robot-id", "name")


def parsed(text, metadata=KEYS, *, versions=True):
    return parse(text, Vocabulary(UNITS, factor, metadata, versions=versions))


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("max(velocity) > 180 deg/s", 3.141592653589793),
        ("MIN(`velocity`) between -180deg/s and 0", -3.141592653589793),
        ("mean(oil) > 25 degC", 298.15),
        ("std(oil) > 1 degC", 1.0),  # a difference in °C is one in K
        ("seconds > 5 min", 300.0),
        ("max(torque) > 3", 3.0),
    ],
)
def test_number_with_unit_becomes_number_in_unit_of_its_column(text, limit):
    query = parsed(text)
    (name,) = query.columns
    values = [limit - 1e-3, limit - 1e-12, limit + 1e-12, limit + 1e-3]
    found = pl.DataFrame({name: values}).select(pl.sql_expr(query.sql)).to_series()
    assert (found[0], found[3]) == (False, True)


@pytest.mark.parametrize(
    ("text", "sql"),
    [
        ("start >= '2026-11-01'", "start >= TIMESTAMP '2026-11-01 00:00:00.000000'"),
        ("start < '2026-11-01T14:30+02:00'", "start < TIMESTAMP '2026-11-01 12:30:00.000000'"),
        ("start = DATE '2026-11-01'", "start = DATE '2026-11-01'"),
        ("robot = '2026-11-01'", "robot = '2026-11-01'"),
        ("robot = 'max(torque) > 3 kN*m'", "robot = 'max(torque) > 3 kN*m'"),
    ],
)
def test_date_becomes_timestamp_only_next_to_start(text, sql):
    assert parsed(text).sql == sql


def test_query_names_its_columns_and_versions():
    query = parsed(
        "\"meta.name\" = 'x' and `robot-id` = '3' and max(torque) > min(torque) "
        "and array_contains(version, 3) and not array_contains(version, 'latest')"
    )
    assert query.columns == {
        "meta.name": "meta.name", "robot-id": "meta.robot-id", "max(torque)": "max(torque)",
        "min(torque)": "min(torque)", "version": "version",
    }  # fmt: skip
    assert query.versions == ("3", "latest")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a SQL condition"),
        ("robot = 'r7' and", "expected a SQL condition"),
        ("robot = 'r7", "`'` is not valid here; expected operators, closed quotes"),
        ("robot = 'r7' x", "more than one condition"),
        ("robot = 'r7'; drop", "`;` is not valid here"),
        ("robt = 'r7'", "did you mean 'robot'?"),
        ('robot = "r7"', "texts are in single quotes"),
        ("meta.robot = 'r7'", 'quote the whole name, such as "meta.robot"'),
        ("`` = '3'", "no recording has the property or metadata ``"),
        ("max(velocty) > 1", "did you mean 'velocity'?"),
        ("rows > 1 and velocity > 1", "use one of min, max, mean and std"),
        ("quarantined", "write `status = 'quarantined'`"),
        ("status in ('accepted', 'acepted')", "did you mean 'accepted'?"),
        ("array_contains(split, 'tset')", "did you mean 'test'?"),
        ("rows > 'many'", "cannot compare"),
        ("batch > 3", "TRY_CAST(batch AS DOUBLE)"),
        ("max(torque) > 3 m", "a unit that converts to N*m"),
        ("rows > 3 m", "no column with a unit is before it"),
        ("max(torque) > 1 and 20 deg < max(angle)", "no column with a unit is before it"),
        ("start > 'yesterday'", "a date or time such as '2026-11-01'"),
        ("start > 2026-11-01", "`2026` is not a date"),
        ("start > '2026-02-30'", "is not a date"),
        ("found = 'spike'", "write `array_contains(found, 'spike')`"),
        ("tag in ('a', 'b')", "write `array_contains(tag, 'a')`"),
        ("tag = slip", "write `array_contains(tag, 'slip')`"),
        ("robot = r7", "`r7` is a text without quotes"),
        ("version = 3", "write `array_contains(version, 3)`"),
        ("array_contains(version, 'newest')", "a number such as 3, or 'latest'"),
        ("array_length(version) = rows", "`version` has no number"),
        ("max(torque)", "is a value, not a condition"),
        ("not robot", "expected values of one type"),
        ("count(*) > 1", "`count` is not a function"),
        ("robot in (select 1)", "`select` is not a function"),
        ("exists (from read_csv('/etc/passwd'))", "`exists` is not a function"),
        ("read_csv('/etc/passwd')", "`read_csv` is not a function"),
        ("columns('.*')", "`columns` is not a function"),
        ("\"^r.*$\" = 'r7'", "more than one condition"),
        ("robot ~ 'r7'", "LIKE for patterns"),
        ("robot::int > 3", "TRY_CAST for types"),
        ("/* ' */ exists (select 1) /* ' */", "`/*` is not valid here"),
        ("true -- ' \n or exists (select 1) -- '", "`--` is not valid here"),
        ("$$ ' $$ = '' or exists (select 1) or '' = $$ ' $$", "`$` is not valid here"),
        ('"sum"(rows) > 1', "`(` is not valid here"),
        (" or ".join(["rows = 1"] * LONGEST), f"at most {LONGEST}"),
        ("(" * 4000 + "rows = 1" + ")" * 4000, "expected a SQL condition"),
    ],
)
def test_invalid_query_is_error_with_expected_input(text, message):
    with pytest.raises(QueryError, match=re.escape(message)):
        parsed(text)


@pytest.mark.parametrize("text", ["array_contains(split, 'test')", "array_contains(version, 3)"])
def test_rule_of_datasets_refuses_splits_and_versions(text):
    with pytest.raises(QueryError, match="depends on dataset versions"):
        parsed(text, versions=False)


def test_unknown_key_is_accepted_without_known_metadata():
    assert parsed("`robot-id` = '3'", None).columns == {"robot-id": "meta.robot-id"}


TOKENS = """( ) , = <> < and or not in like between is null max( min( a robot `b` 'c' 3 -2.5deg
'2026-01-02' tag start version array_contains( try_cast( as double case when then end interval [ ]
. * :: ; -- /* date timestamp coalesce( left( substr("""


@given(st.text(max_size=200) | st.lists(st.sampled_from(TOKENS.split()), max_size=30).map(" ".join))
def test_any_text_is_condition_or_query_error(text):
    try:
        query = parsed(text)
    except QueryError:
        return
    assert query.sql
