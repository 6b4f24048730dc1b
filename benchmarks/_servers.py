"""Local instances of servers that machines share: PostgreSQL, S3, and Ray nodes."""

import logging
import os
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_BINARIES = Path("/usr/lib/postgresql")  # Debian's
STORE = 80 << 20  # bytes of a Ray node's object store: the least there is


class Missing(Exception):
    """What a server needs is not installed here."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def postgres() -> Generator[str]:
    """Run a PostgreSQL server on a folder of its own; yield its address without a database."""
    executable = shutil.which("initdb") or next(
        (str(path) for path in _BINARIES.glob("*/bin/initdb")), ""
    )
    if not executable:
        message = "PostgreSQL's initdb is not installed (apt install postgresql)"
        raise Missing(message)
    # It refuses to run as root, and other users cannot enter root's folders.
    as_user = ["runuser", "-u", "nobody", "--"] if os.getuid() == 0 else []
    folder = Path(tempfile.mkdtemp(prefix="kinemill-postgres-"))
    if as_user:
        shutil.chown(folder, "nobody")
    data, port = folder / "data", free_port()
    initdb = [executable, "-D", str(data), "-U", "kinemill", "-A", "trust", "--no-sync"]
    subprocess.run([*as_user, *initdb], check=True, capture_output=True, cwd=folder)
    control = [*as_user, str(Path(executable).with_name("pg_ctl")), "-D", str(data), "-w"]
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    start = [*control, "-o", options, "-l", str(folder / "log"), "start"]
    subprocess.run(start, check=True, stdout=subprocess.DEVNULL, cwd=folder)
    try:
        yield f"postgresql://kinemill@127.0.0.1:{port}"
    finally:
        stop = [*control, "-m", "immediate", "stop"]
        subprocess.run(stop, check=False, stdout=subprocess.DEVNULL, cwd=folder)
        shutil.rmtree(folder, ignore_errors=True)


def new_database(server: str) -> str:
    """Make a database of its own on a server; return its address."""
    import psycopg2

    name = f"kinemill_{uuid.uuid4().hex[:12]}"
    connection = psycopg2.connect(f"{server}/postgres")
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    connection.close()
    return f"{server}/{name}"


@contextmanager
def s3() -> Generator[str]:
    """Run moto's S3 server in a thread of this process; yield its host and port."""
    try:
        from moto.server import ThreadedMotoServer
    except ModuleNotFoundError as error:
        message = "moto[server] is not installed"
        raise Missing(message) from error
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # else a line for each request
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"127.0.0.1:{port}" if host == "0.0.0.0" else f"{host}:{port}"
    finally:
        server.stop()


def s3_environment(server: str) -> dict[str, str]:
    """Return who is let in, which moto does not care about, and where MLflow finds the server."""
    return {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MLFLOW_S3_ENDPOINT_URL": f"http://{server}",
    }


def new_bucket(server: str) -> tuple[str, Any]:
    """Make a bucket of its own on a server; return its KINEMILL_REMOTE and boto3's view of it."""
    import boto3

    name = f"kinemill-{uuid.uuid4().hex[:12]}"
    store: Any = boto3.resource(
        "s3",
        endpoint_url=f"http://{server}",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        region_name="us-east-1",
    )
    made = store.create_bucket(Bucket=name)
    return f"s3://{name}/mill?endpoint_override={server}&scheme=http&region=us-east-1", made


@contextmanager
def ray_head() -> Generator[Any]:
    """Run the head of a Ray cluster, which does no work; yield the cluster."""
    try:
        from ray.cluster_utils import Cluster
    except ModuleNotFoundError as error:
        message = "ray is not installed"
        raise Missing(message) from error
    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: Any, **more: Any) -> Any:
    """Add a node of one core to a cluster."""
    return cluster.add_node(num_cpus=1, object_store_memory=STORE, **more)
