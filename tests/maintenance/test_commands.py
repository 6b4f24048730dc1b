"""The commands: sizes, documents, exit codes."""

import json

import pytest
from typer.testing import CliRunner

from kinemill.cli.app import app
from kinemill.cli.maintenance import parse_size
from kinemill.errors import BadInput


def kinemill(*words):
    return CliRunner().invoke(app, list(words))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("20GB", 20 * 10**9),
        ("500 m", 5 * 10**8),
        ("1.5T", 15 * 10**11),
        ("2KiB", 2048),
        ("1e9", 10**9),
    ],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "-3GB", "3 GB GB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(BadInput):
        parse_size(text)


def test_room_a_backup_and_a_restored_home(home, made, tmp_path, monkeypatch):
    old, new = made("model", n=1), made("model", days=1, n=2)
    message = kinemill("admin", "gc", "--dry-run", "--why", "--json")
    assert message.exit_code == 0
    result = json.loads(message.stdout)
    assert [item["name"] for item in result["gone"]] == [old.path]
    assert [item["name"] for item in result["kept"]] == [new.path]
    assert kinemill("admin", "gc", "--budget", "1kB", "--json").exit_code == 1
    assert not (home.root / old.path).exists()
    pool = str(tmp_path / "pool")
    saved = json.loads(kinemill("admin", "backup", pool, "--json").stdout)
    assert saved["damaged"] == []
    monkeypatch.setenv("KINEMILL_HOME", str(tmp_path / "again"))
    restored = json.loads(kinemill("admin", "restore", pool, "--json").stdout)
    assert (restored["made"], restored["files"]) == (saved["made"], saved["files"])
    assert isinstance(kinemill("admin", "restore", pool).exception, BadInput)


def test_alerts_that_nobody_asked_for_are_said_and_a_test_that_fails_too(home):
    home.root.mkdir()
    assert kinemill("admin", "alerts", "list").exit_code == 1
    (home.root / "alerts.yaml").write_text("urls: ['nonsense://secret']")
    message = kinemill("admin", "alerts", "test", "--json")
    assert message.exit_code == 1
    assert "apprise does not support this address" in message.stdout
    assert "secret" not in message.stdout
