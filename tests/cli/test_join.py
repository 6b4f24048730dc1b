"""`kinemill data join`: one log from files that hold different columns of one recording."""

import pytest

from kinemill.errors import BadInput


@pytest.fixture
def folder(tmp_path):
    """Input and output of one recording in a file each."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name, factor in {"u": 1.0, "y": 0.5}.items():
        rows = "\n".join(f"{factor * (at % 9):.1f}" for at in range(50))
        (folder / f"{name}.csv").write_text(rows + "\n")
    return folder


def test_files_or_their_folder_are_joined_into_a_log_that_can_be_drafted(
    folder, tmp_path, kinemill, swing
):
    assert "50 rows of u, y" in kinemill("data", "join", folder, "--to", tmp_path / "run.csv")
    files = sorted(folder.iterdir())
    joined = kinemill("data", "join", *files, "--to", tmp_path / "again.csv", "--json")
    assert (joined["files"], joined["rows"], joined["columns"]) == (2, 50, ["u", "y"])
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "run.csv").read_bytes()
    drafted = kinemill("new", "tank", "--from", tmp_path / "run.csv", "--rate", 10, "--json")
    assert (drafted["states"], drafted["actions"]) == (["channel_y"], ["u"])


def test_a_missing_file_and_a_single_one_are_refused(folder, tmp_path, kinemill):
    with pytest.raises(BadInput, match="does not exist"):
        kinemill("data", "join", folder / "x.csv", folder / "u.csv", "--to", tmp_path / "a.csv")
    with pytest.raises(BadInput, match="1 file to join"):
        kinemill("data", "join", folder / "u.csv", "--to", tmp_path / "a.csv")
