"""Servers that several machines would share, and a workspace on each for one test."""

import pytest

from benchmarks import _servers as servers
from tests.pipelines.conftest import logs, tasks, workspace  # noqa: F401  (fixtures)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of Debian's on a folder of its own; its address without a database."""
    try:
        with servers.postgres() as address:
            yield address
    except servers.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def database(postgres, monkeypatch):
    """A database of its own on that server, in force as KINEMILL_DATABASE; its address."""
    made = servers.new_database(postgres)
    monkeypatch.setenv("KINEMILL_DATABASE", made)
    return made


@pytest.fixture(scope="session")
def s3():
    """moto's S3 server; its host and port."""
    try:
        with servers.s3() as address:
            yield address
    except servers.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture
def bucket(s3, monkeypatch):
    """A bucket of its own on that server, in force as KINEMILL_REMOTE; boto3's view of it."""
    for name, value in servers.s3_environment(s3).items():
        monkeypatch.setenv(name, value)
    address, made = servers.new_bucket(s3)
    monkeypatch.setenv("KINEMILL_REMOTE", address)
    return made


@pytest.fixture
def cluster(monkeypatch):
    """The head of a Ray cluster, which does no work."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    try:
        with servers.ray_head() as made:
            monkeypatch.setenv("RAY_ADDRESS", made.address)
            yield made
    except servers.Missing as missing:
        pytest.skip(str(missing))
