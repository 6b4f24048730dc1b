import pytest

import kinemill.api as km
from tests.api.conftest import logs_of, rod


@pytest.mark.slow
def test_a_second_run_is_unchanged(in_rod_home, training):
    registered = km.register(training, progress=False)
    assert registered.status in {"done", "refused"}
    assert registered.report.is_file()
    assert registered.registration.gate
    again = km.run(rod(), logs_of(0, 1, 2, 3, 4), progress=False)
    assert (again.status, again.version) == ("unchanged", registered.version)


def test_a_folder_is_verified_without_data(in_rod_home, training):
    checked = km.verify(training.folder, progress=False)
    assert checked.passed
    assert checked.report is None
    assert checked.to_polars()["passed"].all()
    assert "verified" in checked._repr_html_()
    *shown, last = repr(checked).splitlines()
    assert len(shown) == 9
    assert last.startswith("  and ")
