"""`kinemill run`: what it refuses before the first stage."""

import pytest

from kinemill.errors import BadInput


@pytest.mark.parametrize("command", [["run", "swing", "--logs"], ["data", "ingest", "swing"]])
def test_folder_without_logs_is_refused_although_recordings_exist(
    swing, log, home, evaluated, kinemill, tmp_path, command
):
    evaluated(swing(), log("a.csv").parent)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(BadInput) as error:
        kinemill(*command, empty)
    assert str(error.value).startswith(f"{empty}: holds no complete log of the task 'swing'")
    assert "match ingest.include: *; put logs there, or name a folder" in str(error.value)
    assert not home.dagster.exists()
