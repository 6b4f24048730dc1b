"""Recognize errors of libraries that a server, the machine or a missing package causes.

Libraries raise hundreds of classes. The table lists them by name, so that reporting an error
imports none of them. What it does not list is a bug of kinemill.
"""

import errno
import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from kinemill.errors import BadInput, KinemillError, Unreachable, causes
from kinemill.extras import missing_package
from kinemill.store import database, object_store

_LONGEST = 200  # letters of a reason
_MEMORY = "close other programs, or use smaller batches, models or images"
_NETWORK = "check that the server runs, and the address, the network and the proxy"
_ERRNO = {  # what to do about errors of the system, which name the file if there is one
    errno.EADDRINUSE: "choose another port, or stop the program that uses it",
    errno.EMFILE: "raise the limit of open files: ulimit -n 8192",
    errno.ENFILE: "close other programs, or raise fs.file-max",
    errno.ENOMEM: _MEMORY,
    errno.EIO: "check the disk and the messages of the system (dmesg)",
    errno.ESTALE: "mount the network folder again",
    errno.EPIPE: "the reader of the output has ended; write to a file instead",
    errno.ECONNREFUSED: _NETWORK,
    errno.ECONNRESET: _NETWORK,
    errno.ETIMEDOUT: _NETWORK,
    errno.EHOSTUNREACH: _NETWORK,
    errno.ENETUNREACH: _NETWORK,
}
_OUT_OF_MEMORY = re.compile(
    "can't allocate memory|CUDA out of memory|bad_alloc|can't start new thread"
)
_REFUSALS = {401, 403, 429, 500, 502, 503, 504}  # HTTP statuses
_REVISION = "Can't locate revision"  # alembic: a newer library has migrated the database


def as_external_failure(error: BaseException) -> KinemillError | None:
    """Return the KinemillError for an error with a known external cause, or None.

    The outermost error of the chain that the table lists is described: it knows the address.
    """
    for cause in causes(error):
        for kind in type(cause).__mro__:
            describe = _TABLE.get(f"{kind.__module__}.{kind.__qualname__}")
            if describe and (failure := describe(cause)):
                return failure
    return None


def _of_object_store(error: BaseException) -> KinemillError:
    address = os.environ.get(object_store.VARIABLE, "").partition("?")[0]
    return Unreachable(
        object_store.endpoint() or address or "S3",
        f"the request to the object store failed ({_reason(error)})",
        fix=f"check that it runs and accepts the credentials ({object_store.VARIABLE})",
    )


def _of_ray(error: BaseException) -> KinemillError:
    where = os.environ.get("RAY_ADDRESS", "the Ray cluster")
    fix = "check that it runs (ray status), and compute.address or RAY_ADDRESS"
    return Unreachable(where, f"the cluster failed ({_reason(error)})", fix=fix)


def _of_request(error: BaseException) -> KinemillError:
    """Describe a failed request over HTTP; only host and port of its address are printed."""
    try:  # httpx raises an error for the missing request of an error
        url = getattr(getattr(error, "request", None), "url", None)
    except RuntimeError:
        url = None
    where = urlsplit(str(url)).netloc.rpartition("@")[2] if url else "the network"
    return Unreachable(where, f"the request failed ({_reason(error)})", fix=_NETWORK)


def _of_mlflow(error: BaseException) -> KinemillError | None:
    """Describe an MLflow server that does not respond or refuses; other errors of it are bugs."""
    text = str(error)
    if "database schema" in text:
        fix = "mlflow db upgrade sqlite:///HOME/mlflow.db, after a backup"
        return KinemillError("MLflow", f"cannot use its database ({_reason(error)})", fix=fix)
    is_answer = type(error).__name__ == "RestException"
    is_refusal = is_answer and getattr(error, "get_http_status_code")() in _REFUSALS  # noqa: B009
    if not text.startswith("API request to") and not is_refusal:
        return None
    address = os.environ.get("MLFLOW_TRACKING_URI", "")
    where = urlsplit(address).netloc.rpartition("@")[2] or "MLflow"
    fix = "check that the MLflow server runs and lets you in (MLFLOW_TRACKING_URI)"
    return Unreachable(where, f"the request to MLflow failed ({_reason(error)})", fix=fix)


def _of_migration(error: BaseException) -> KinemillError | None:
    if _REVISION not in str(error):
        return None
    problem = f"was written by newer versions of Dagster or MLflow ({_reason(error)})"
    return KinemillError("the database", problem, fix="update kinemill and its packages")


def _of_yaml(error: BaseException) -> KinemillError:
    """Describe a YAML file that is no task file."""
    mark: Any = getattr(error, "problem_mark", None)
    where = f"{mark.name}:{mark.line + 1}:{mark.column + 1}" if mark else "a YAML file"
    problem = getattr(error, "problem", None) or _reason(error)
    return BadInput(where, f"is not YAML ({problem})", fix="correct the line")


def _of_memory(error: BaseException) -> KinemillError:
    return KinemillError("memory", f"there is not enough ({_reason(error)})", fix=_MEMORY)


def _of_runtime(error: BaseException) -> KinemillError | None:
    """Describe a RuntimeError of torch about memory; it has no class for that on the CPU."""
    return _of_memory(error) if _OUT_OF_MEMORY.search(str(error)) else None


def _of_encoding(error: UnicodeEncodeError) -> KinemillError | None:
    """Describe a terminal or a locale that is not UTF-8; wrong bytes of a file are a bug."""
    if error.encoding.replace("-", "").lower() == "utf8":
        return None
    problem = f"the encoding {error.encoding} of the terminal or the locale lacks a character"
    return BadInput("standard output", problem, fix="set PYTHONUTF8=1 or LANG=C.UTF-8")


def _of_system(error: OSError) -> KinemillError | None:
    fix = _ERRNO.get(error.errno or 0)
    if fix is None or error.errno is None:
        return None
    # An unreachable server is a reason to retry a training, a limit of this machine is not.
    kind = Unreachable if fix is _NETWORK else KinemillError
    return kind(error.filename or "the system", os.strerror(error.errno), fix=fix)


def _of_name(error: BaseException) -> KinemillError:
    return Unreachable("the network", f"a host name is unknown ({_reason(error)})", fix=_NETWORK)


def _of_tls(error: BaseException) -> KinemillError:
    fix = "check the clock and the certificates (SSL_CERT_FILE), and http or https in the address"
    return Unreachable("the network", f"no secure connection ({_reason(error)})", fix=fix)


def _reason(error: BaseException) -> str:
    """Return the first line of an error, without user names and passwords of addresses."""
    line = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
    hidden = re.sub(r"(?<=://)[^/\s@]+@", "", line.strip())
    return "".join(letter if letter.isprintable() else "?" for letter in hidden[:_LONGEST])


_TABLE: dict[str, Callable[[Any], KinemillError | None]] = {
    "psycopg2.OperationalError": database.unreachable,
    "psycopg2.InterfaceError": database.unreachable,
    "psycopg2.errors.InsufficientPrivilege": database.unreachable,
    "botocore.exceptions.HTTPClientError": _of_object_store,
    "botocore.exceptions.ConnectionError": _of_object_store,
    "botocore.exceptions.ClientError": _of_object_store,
    "botocore.exceptions.NoCredentialsError": _of_object_store,
    "botocore.exceptions.PartialCredentialsError": _of_object_store,
    "botocore.exceptions.ProfileNotFound": _of_object_store,
    "botocore.parsers.ResponseParserError": _of_object_store,
    "boto3.exceptions.S3UploadFailedError": _of_object_store,
    "ray.exceptions.RayError": _of_ray,
    "requests.exceptions.RequestException": _of_request,
    "urllib3.exceptions.HTTPError": _of_request,
    "httpx.TransportError": _of_request,
    "aiohttp.client_exceptions.ClientError": _of_request,
    "mlflow.exceptions.MlflowException": _of_mlflow,
    "alembic.util.exc.CommandError": _of_migration,
    "yaml.error.YAMLError": _of_yaml,
    "socket.gaierror": _of_name,
    "ssl.SSLError": _of_tls,
    "torch.OutOfMemoryError": _of_memory,
    "builtins.MemoryError": _of_memory,
    "builtins.RuntimeError": _of_runtime,
    "builtins.UnicodeEncodeError": _of_encoding,
    "builtins.ModuleNotFoundError": missing_package,
    "builtins.OSError": _of_system,
}
