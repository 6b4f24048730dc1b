"""Renewals: numbered notes of memberships that were written again."""

from kinemill.catalog.renewals import last_renewal, note_renewals, renewed_since

A, B, C = "a" * 64, "b" * 64, "c" * 64


def test_renewals_are_numbered_by_task(home):
    assert last_renewal(home, "arm") == 0
    note_renewals(home, "arm", {B, A})
    note_renewals(home, "leg", {C})
    assert (last_renewal(home, "arm"), last_renewal(home, "leg")) == (2, 1)
    note_renewals(home, "arm", set())
    note_renewals(home, "arm", {A})
    assert renewed_since(home, "arm", 0) == {A, B}
    assert renewed_since(home, "arm", 2) == {A}
    assert renewed_since(home, "arm", 3) == set()
