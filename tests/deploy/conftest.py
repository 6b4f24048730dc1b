"""Servers that several machines would share, and a workspace on each for one test."""

import logging
import os
import shutil
import subprocess
import tempfile
import uuid
from pathlib import Path

import pytest

from benchmarks._servers import free_port, ray_head
from tests.pipelines.conftest import logs, tasks, workspace  # noqa: F401  (fixtures)


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of Debian's on a folder of its own; its address without a database."""
    binaries = Path("/usr/lib/postgresql")
    executable = shutil.which("initdb") or next(iter(binaries.glob("*/bin/initdb")), None)
    if executable is None:
        pytest.skip("PostgreSQL's initdb is not installed (apt install postgresql)")
    # It refuses to run as root, and other users cannot enter root's folders.
    as_user = ["runuser", "-u", "nobody", "--"] if os.getuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="kinemill-postgres-"))
    if as_user:
        shutil.chown(folder, "nobody")
    data, port = folder / "data", free_port()
    initdb = [executable, "-D", data, "-U", "kinemill", "-A", "trust", "--no-sync"]
    subprocess.run([*as_user, *initdb], check=True, capture_output=True, cwd=folder)
    control = [*as_user, Path(executable).with_name("pg_ctl"), "-D", data, "-w"]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    start = [*control, "-o", options, "-l", folder / "log", "start"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    yield f"postgresql://kinemill@127.0.0.1:{port}"
    stop = [*control, "-m", "immediate", "stop"]
    subprocess.run(stop, check=False, stdout=subprocess.DEVNULL, cwd=folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(postgres, monkeypatch):
    """A database of its own on that server, in force as KINEMILL_DATABASE; its address."""
    import psycopg2

    name = f"kinemill_{uuid.uuid4().hex[:12]}"
    connection = psycopg2.connect(f"{postgres}/postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    monkeypatch.setenv("KINEMILL_DATABASE", f"{postgres}/{name}")
    return f"{postgres}/{name}"


@pytest.fixture(scope="session")
def s3():
    """moto's S3 server in a thread of this process; its host and port."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else a line for each request
    server.start()
    host, port = server.get_host_and_port()
    yield f"{'127.0.0.1' if host == '0.0.0.0' else host}:{port}"
    server.stop()


@pytest.fixture
def bucket(s3, monkeypatch):
    """A bucket of its own on that server, in force as KINEMILL_REMOTE; boto3's view of it."""
    import boto3

    environment = {  # who is let in, which moto does not care about, and where MLflow finds it
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_S3_ENDPOINT_URL": f"http://{s3}",
    }
    name = f"kinemill-{uuid.uuid4().hex[:12]}"
    remote = f"s3://{name}/mill?endpoint_override={s3}&scheme=http&region=us-east-1"
    for key, value in {**environment, "KINEMILL_REMOTE": remote}.items():
        monkeypatch.setenv(key, value)
    return boto3.resource("s3", endpoint_url=f"http://{s3}").create_bucket(Bucket=name)


@pytest.fixture
def cluster(monkeypatch):
    """The head of a Ray cluster, which does no work."""
    pytest.importorskip("ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with ray_head() as made:
        monkeypatch.setenv("RAY_ADDRESS", made.address)
        yield made
