"""Commands while a shared server is away: one line that names it, soon, without the password."""

import json
import sys

import pytest

from kinemill.cli.app import main
from kinemill.store import object_store, ray_cluster
from tests.lost_servers import MODES, lost_server

PASSWORD = "not-for-logs"
SERVERS = ["database", "object store", "ray"]
COMMANDS = [
    *("run swing", "ui", "data ingest swing"),
    *("model list swing", "model show swing", "model why swing", "model promote swing:1"),
    *("model rollback swing", "model tune swing --trials 1"),
    *("admin gc --dry-run", "admin backup elsewhere", "admin rebuild-catalog"),
]


@pytest.fixture
def command_line(swing, log, home, tmp_path, monkeypatch, capsys):
    """Run a command line in this process; return its exit code, output and lines of errors."""
    swing()
    log("a.csv")
    home.logs("swing").parent.mkdir(parents=True)
    home.logs("swing").symlink_to(tmp_path / "swing-logs")
    monkeypatch.chdir(tmp_path)
    for name in ("DAGSTER_HOME", "KINEMILL_DAGSTER_STORAGE"):
        monkeypatch.setenv(name, "")

    def run(command):
        monkeypatch.setattr(sys, "argv", ["kinemill", *command.split()])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        assert PASSWORD not in written.out + written.err
        lines = [line for line in written.err.splitlines() if not line.startswith("warning: ")]
        return ended.value.code, written.out, lines

    return run


@pytest.fixture
def database(monkeypatch):
    """Name a PostgreSQL server on a port in KINEMILL_DATABASE."""

    def name(port):
        address = f"postgresql://mill:{PASSWORD}@127.0.0.1:{port}/mill?connect_timeout=2"
        monkeypatch.setenv("KINEMILL_DATABASE", address)

    return name


@pytest.mark.parametrize(
    ("mode", "command"),
    [
        *(("refused", command) for command in COMMANDS),
        *((mode, "model list swing") for mode in MODES[1:]),
    ],
)
def test_lost_database_ends_the_command_with_one_line(command_line, database, mode, command):
    with lost_server(mode) as port:
        database(port)
        code, _, lines = command_line(command)
    assert (code, len(lines)) == (3, 1), lines
    start = f"postgresql://127.0.0.1:{port}/mill: the PostgreSQL database does not respond ("
    assert lines[0].startswith(start)
    assert lines[0].isprintable()
    assert "start the server, or correct KINEMILL_DATABASE" in lines[0]


@pytest.fixture
def bucket(monkeypatch):
    """Name an S3 server on a port in KINEMILL_REMOTE."""
    monkeypatch.setattr(object_store, "_FIRST_TRIES", 0.0)
    monkeypatch.setattr(object_store, "_FIRST_REQUEST", 1.0)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mill")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)

    def name(port):
        address = f"s3://bucket/mill?endpoint_override=127.0.0.1:{port}&scheme=http&region=a"
        monkeypatch.setenv("KINEMILL_REMOTE", address)

    return name


@pytest.mark.parametrize("mode", MODES)
def test_lost_object_store_ends_the_command_with_one_line(command_line, bucket, mode):
    with lost_server(mode) as port:
        bucket(port)
        code, _, lines = command_line("data ingest swing")
    assert (code, len(lines)) == (3, 1), lines
    assert lines[0].startswith("s3://bucket/mill/store: the request to the object store http://")
    assert f"http://127.0.0.1:{port} failed (" in lines[0]
    assert "check that it runs and accepts the credentials (KINEMILL_REMOTE)" in lines[0]


@pytest.mark.parametrize("mode", MODES)
def test_doctor_shows_lost_servers_and_checks_the_rest(
    command_line, database, bucket, monkeypatch, mode
):
    monkeypatch.setattr(ray_cluster, "_PATIENCE", 0.5)
    with lost_server(mode) as port:
        database(port)
        bucket(port)
        monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{port}")
        code, output, _ = command_line("doctor --json")
    checks = {check["name"]: check for check in json.loads(output)["checks"]}
    assert code == 1
    failed = [name for name, check in checks.items() if check["ok"] is False]
    assert failed == ["project", *SERVERS]  # this folder is no project
    for name in SERVERS:
        assert f"127.0.0.1:{port}" in checks[name]["value"]
        assert checks[name]["fix"]
    assert checks["registry"]["value"] == "not checked, without the database"
    assert checks["task swing"]["ok"]


def test_doctor_checks_the_ray_cluster_of_a_task(command_line, swing, monkeypatch):
    monkeypatch.setattr(ray_cluster, "_PATIENCE", 0.5)
    with lost_server("closed") as port:
        swing("ingest:", f'compute: {{type: ray, address: "127.0.0.1:{port}"}}\ningest:')
        code, output, _ = command_line("doctor --json")
    checks = {check["name"]: check for check in json.loads(output)["checks"]}
    assert code == 1
    assert f"127.0.0.1:{port}" in checks["task swing"]["value"]
    assert "compute.address" in checks["task swing"]["fix"]
