"""Errors that a server, the machine or a missing package causes: one line each, and no bug."""

import errno
import socket
import sqlite3
import ssl

import alembic.util.exc
import botocore.exceptions
import httpx
import mlflow.exceptions
import psycopg2
import pytest
import ray.exceptions
import requests
import sqlalchemy.exc
import torch
import yaml

from kinemill.errors import BadInput, KinemillError, Unreachable
from kinemill.extras import MissingPackage
from kinemill.failures import as_known_failure, report
from kinemill.store.disk_space import DiskFull

URL = "http://ada:secret@mlflow.lab:5000/api"
REFUSED = 'connection to server at "db" (10.0.0.7), port 5432 failed: Connection refused'
HINT = "\n\tIs the server running on that host and accepting TCP/IP connections?\n"


def of_postgres(text=REFUSED + HINT):
    """An error of psycopg2 as SQLAlchemy wraps it."""
    driver = psycopg2.OperationalError(text)
    error = sqlalchemy.exc.OperationalError("SELECT 1", {}, driver)
    error.__cause__ = driver
    return error


def of_request():
    request = requests.Request("GET", URL).prepare()
    return requests.ConnectionError(f"cannot reach {URL}", request=request)


def of_yaml():
    try:
        yaml.safe_load("receivers: [a\nb: {")
    except yaml.YAMLError as error:
        return error


def of_mlflow(status="INTERNAL_ERROR"):
    return mlflow.exceptions.RestException({"error_code": status, "message": "no"})


API = "API request to http://mlflow.lab:5000/api failed with exception Max retries exceeded"
OUTDATED = "Detected out-of-date database schema (found version a, but expected b)."
REVISION = "Can't locate revision identified by 'f00'"
S3 = botocore.exceptions.EndpointConnectionError(endpoint_url="http://s3.lab:9000/bucket")
TORCH = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (of_postgres(), Unreachable, "postgresql://db:5432/mill: the PostgreSQL database does not"),
        (of_postgres("FATAL:  too many clients"), Unreachable, "respond (FATAL:  too many clients"),
        (of_postgres("No space left on device"), Unreachable, "(No space left on device); start"),
        (S3, Unreachable, "the request to the object store failed (Could not connect"),
        (botocore.exceptions.NoCredentialsError(), Unreachable, "(Unable to locate credentials)"),
        (ray.exceptions.RaySystemError("lost"), Unreachable, "check that it runs (ray status)"),
        (of_request(), Unreachable, "mlflow.lab:5000: the request failed (cannot reach http://ml"),
        (httpx.ConnectError("refused"), Unreachable, "the network: the request failed (refused)"),
        (socket.gaierror(-2, "Name unknown"), Unreachable, "a host name is unknown"),
        (ssl.SSLCertVerificationError(1, "self-signed"), Unreachable, "no secure connection"),
        (mlflow.exceptions.MlflowException(API), Unreachable, "MLflow: the request to MLflow fa"),
        (of_mlflow(), Unreachable, "check that the MLflow server runs and lets you in"),
        (mlflow.exceptions.MlflowException(OUTDATED), KinemillError, "mlflow db upgrade"),
        (alembic.util.exc.CommandError(REVISION), KinemillError, "newer versions of Dagster or"),
        (of_yaml(), BadInput, "<unicode string>:2:2: is not YAML (expected ',' or ']', but got"),
        (MemoryError("8 GB"), KinemillError, "memory: there is not enough (8 GB); close other"),
        (torch.OutOfMemoryError("CUDA"), KinemillError, "memory: there is not enough (CUDA)"),
        (RuntimeError(TORCH), KinemillError, "memory: there is not enough ([enforce fail]"),
        (RuntimeError("can't start new thread"), KinemillError, "(can't start new thread); close"),
        (ModuleNotFoundError(name="psycopg2.errors"), MissingPackage, "'kinemill[postgres]'"),
        (ModuleNotFoundError(name="polars"), MissingPackage, "pip install 'kinemill[cpu]'"),
        (UnicodeEncodeError("ascii", "µ", 0, 1, "no"), BadInput, "set PYTHONUTF8=1"),
        (sqlite3.OperationalError("database is locked"), KinemillError, "wait for the process"),
        (sqlite3.OperationalError("disk I/O error"), KinemillError, "check the disk"),
        (sqlite3.OperationalError("unable to open database file"), KinemillError, "ulimit -n"),
        (OSError(errno.EADDRINUSE, "x"), KinemillError, "choose another port"),
        (OSError(errno.EMFILE, "x", "/srv/a"), KinemillError, "/srv/a: Too many open files; ra"),
        (OSError(errno.EIO, "x", "/srv/a"), KinemillError, "/srv/a: Input/output error; check"),
        (OSError(errno.EROFS, "read-only", "/srv/a"), BadInput, "/srv/a: read-only; give this"),
        (OSError(errno.ENOSPC, "full", "/srv/a"), DiskFull, "/srv/a: no space left on the file"),
        (BrokenPipeError(errno.EPIPE, "x"), KinemillError, "the reader of the output has ended"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), Unreachable, "check that the server"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_error_of_the_environment_is_one_line(home, monkeypatch, capsys, error, kind, message):
    monkeypatch.setenv("KINEMILL_DATABASE", "postgresql://mill:secret@db:5432/mill")
    home.make()
    step = RuntimeError("a step failed")  # as Dagster wraps it
    step.__cause__ = error
    assert type(as_known_failure(step)) is kind
    assert report(step) == kind.exit_code
    written = capsys.readouterr().err
    assert message in written
    assert "secret" not in written
    assert (written.count("\n"), written.rstrip("\n").isprintable()) == (1, True)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("version"),
        RuntimeError("shapes differ"),
        FileNotFoundError(errno.ENOENT, "x", "/srv/a"),
        ModuleNotFoundError(name="kinemill.nothing"),
        UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates"),
        of_mlflow("INVALID_PARAMETER_VALUE"),
        mlflow.exceptions.MlflowException("run x is not active"),
        sqlite3.OperationalError("no such column: x"),
        psycopg2.ProgrammingError("syntax error"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_error_of_the_code_is_a_bug(home, capsys, error):
    home.make()
    assert report(error) == 3
    assert "This is a bug in kinemill." in capsys.readouterr().err
