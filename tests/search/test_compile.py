"""Versions and patterns in queries."""

import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinemill.search.compile import _glob, matching_versions

TEXTS = ["2.9", "2.10", "v2.10.0", "2.10.1", "10", "beta", "", "2.", "2..1", "1e3", "-1", "3.0-rc1"]


@pytest.mark.parametrize(
    ("operator", "value", "matches"),
    [
        (">", "2.9", ["2.10", "v2.10.0", "2.10.1", "10"]),
        (">=", "2.10", ["2.10", "v2.10.0", "2.10.1", "10"]),
        (">", "v2.10", ["2.10.1", "10"]),
        ("<", "2.10", ["2.9"]),
        ("<=", "2.10.0.0", ["2.9", "2.10", "v2.10.0"]),
        ("<", "0", []),
    ],
)
def test_versions_are_compared_number_by_number(operator, value, matches):
    texts = pl.Series(TEXTS)
    assert matching_versions(texts, operator, value).to_list() == matches


parts = st.lists(st.integers(0, 10**15 - 1), min_size=1, max_size=8)


@given(parts, parts)
def test_versions_compare_as_their_numbers_padded_with_zeros(one, other):
    text, value = (".".join(map(str, each)) for each in (one, other))
    padded, limit = ([*each, *[0] * (8 - len(each))] for each in (one, other))
    matches = matching_versions(pl.Series([text]), ">", value)
    assert (len(matches) == 1) == (padded > limit)


@given(st.text(max_size=20), st.text(alphabet="ab.*?[]()+^$\\-#&~| \n", max_size=8))
def test_a_pattern_is_a_shell_pattern_without_classes(text, pattern):
    expected = "".join({"*": "(?s:.*)", "?": "(?s:.)"}.get(c) or re.escape(c) for c in pattern)
    for each in (text, pattern, pattern.replace("*", text).replace("?", "x")):
        frame = pl.DataFrame({"text": [each]})
        matches = frame.select(pl.col("text").str.contains(_glob(pattern))).item()
        assert matches == (re.fullmatch(expected, each) is not None)
