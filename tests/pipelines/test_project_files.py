"""`make_project` creates a project or what is missing of one, and never replaces a user's file."""

import shutil

import pytest

from kinemill.errors import BadInput
from kinemill.store.home import Home
from kinemill.store.project import is_project
from kinemill_dagster.pipelines.project_files import make_project, place_settings
from tests.cli.conftest import bytes_under
from tests.conftest import EXAMPLES

FILES = {
    ".env", ".gitignore", "README.md", "defs/.gitkeep", "deploy/dagster.yaml", "pyproject.toml",
    "tasks/.gitkeep",
    "workspace.yaml",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_home(monkeypatch):
    monkeypatch.delenv("KINEMILL_HOME", raising=False)


def test_new_folder_becomes_a_project(tmp_path):
    scaffold = make_project(tmp_path / "a" / "mill")
    root = tmp_path / "a" / "mill"
    assert set(scaffold.created) == FILES
    assert scaffold.notes == []
    assert is_project(root)
    assert f"DAGSTER_HOME='{root}/var/dagster'\n" in (root / ".env").read_text()
    assert (root / "var").stat().st_mode & 0o777 == 0o700


def test_example_is_copied(tmp_path):
    assert "tasks/pendulum.yaml" in make_project(tmp_path / "mill", "pendulum").created
    copied = tmp_path / "mill" / "tasks" / "pendulum.yaml"
    assert copied.read_bytes() == (EXAMPLES / "pendulum.yaml").read_bytes()


def test_unknown_example_creates_nothing(tmp_path):
    with pytest.raises(BadInput, match=r"did you mean 'pendulum'\?"):
        make_project(tmp_path / "mill", "pendulm")
    assert not (tmp_path / "mill").exists()


def test_second_init_changes_nothing(tmp_path):
    make_project(tmp_path, "reach")
    previous = bytes_under(tmp_path)
    assert make_project(tmp_path, "reach").created == []
    assert bytes_under(tmp_path) == previous


@pytest.mark.parametrize("name", [".env", "workspace.yaml", "pyproject.toml", "tasks/reach.yaml"])
def test_missing_file_is_created(tmp_path, name):
    make_project(tmp_path, "reach")
    previous = bytes_under(tmp_path)
    (tmp_path / name).unlink()
    assert make_project(tmp_path, "reach").created == [name]
    assert bytes_under(tmp_path) == previous


def test_user_files_are_kept_and_notes_name_missing_keys(tmp_path):
    own = dict.fromkeys(FILES, b"# mine\n")
    for folder in ("tasks", "defs", "deploy"):
        (tmp_path / folder).mkdir()
    for name, content in own.items():
        (tmp_path / name).write_bytes(content)
    scaffold = make_project(tmp_path)
    assert scaffold.created == []
    assert {name: (tmp_path / name).read_bytes() for name in own} == own
    assert [note.partition(" ")[0] for note in scaffold.notes] == [
        "pyproject.toml", ".env", ".gitignore",
    ]  # fmt: skip


def test_changed_settings_apply_at_once(tmp_path):
    make_project(tmp_path)
    (tmp_path / "deploy" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    settings = tmp_path / "var" / "dagster" / "dagster.yaml"
    assert settings.read_text() == "telemetry: {enabled: false}\n"


def test_moved_project_is_repaired(tmp_path):
    make_project(tmp_path / "old")
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert (tmp_path / "new" / "var" / "dagster" / "dagster.yaml").is_file()
    assert make_project(tmp_path / "new").created == [".env"]
    assert str(tmp_path / "old") not in (tmp_path / "new" / ".env").read_text()


def test_changed_environment_file_is_not_repaired(tmp_path):
    make_project(tmp_path / "mill")
    own = (tmp_path / "mill" / ".env").read_text() + "WANDB_API_KEY=secret\n"
    (tmp_path / "mill" / ".env").write_text(own.replace("/mill/", "/gone/"))
    assert make_project(tmp_path / "mill").created == []


def test_home_elsewhere_gets_a_copy_of_the_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMILL_HOME", str(tmp_path / "home"))
    make_project(tmp_path / "mill")
    assert f"KINEMILL_HOME='{tmp_path}/home'" in (tmp_path / "mill" / ".env").read_text()
    assert not (tmp_path / "mill" / "var").exists()
    settings = tmp_path / "home" / "dagster" / "dagster.yaml"
    assert not settings.is_symlink()
    assert settings.read_bytes() == (tmp_path / "mill" / "deploy" / "dagster.yaml").read_bytes()


def test_copied_or_broken_settings_become_a_link(tmp_path):
    make_project(tmp_path)
    home, source = Home(tmp_path / "var"), tmp_path / "deploy" / "dagster.yaml"
    settings = home.dagster / "dagster.yaml"
    for spoil in (lambda: settings.write_text("{}"), lambda: settings.symlink_to("nowhere")):
        settings.unlink()
        spoil()
        place_settings(home, source)
        assert settings.is_symlink()
        assert settings.read_bytes() == source.read_bytes()
