"""Which files of a folder are logs of a draft."""

import pytest

from kinemill.draft.logs import read_tables
from kinemill.errors import BadInput


def test_a_folder_of_robot_models_is_refused_with_the_option_that_takes_them(tmp_path):
    (tmp_path / "biped").mkdir()
    (tmp_path / "biped" / "scene.xml").write_text("<mujoco/>")
    with pytest.raises(BadInput, match=r"--from, and --robot biped/scene\.xml"):
        read_tables(tmp_path, None)


def test_an_empty_folder_is_refused_with_the_suffixes_of_logs(tmp_path):
    with pytest.raises(BadInput, match=r"holds no log for a draft.*\.csv") as refused:
        read_tables(tmp_path, None)
    assert "--robot" not in str(refused.value)
