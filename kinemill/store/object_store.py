"""Optional object store shared by several machines: whole files under keys.

`KINEMILL_REMOTE=s3://BUCKET/PREFIX` names it; `?endpoint_override=HOST:9000&scheme=http&region=X`
selects an S3-compatible store other than Amazon's. Credentials are those of any S3 client:
`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, a profile, or the machine's role. `gs://`,
`abfs://` and `file://` (a mounted folder) also work, through pyarrow.

The client retries a failed request for about 30 s, then raises an error. The first request of a
process waits at most 10 s, so that commands end soon if the store is away.
"""

import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from kinemill.errors import BadInput, Unreachable

VARIABLE = "KINEMILL_REMOTE"
_OPTIONS = ("endpoint_override", "scheme", "region")
_ATTEMPTS = 6  # per request, with exponential backoff from 0.1 s
_CONNECT = 5.0
_REQUEST = 60.0  # s
_FIRST_CONNECT = 3.0
_FIRST_REQUEST = 4.0  # s, of the first request of a process
_FIRST_TRIES = 6.0  # s after which it is not tried again: a store may be restarting
_PAUSE = 0.5  # s
_BLOCK = 8 << 20  # bytes in memory at a time

T = TypeVar("T")


class Remote:
    """An object store, and the folder in it that mirrors the home.

    Args:
        files: a `pyarrow.fs.FileSystem`.
        root: bucket and prefix.
        address: the configured address, for messages.
    """

    def __init__(self, files: Any, root: str, address: str) -> None:
        self._files, self._root, self.address = files, root.rstrip("/"), address

    def put(self, source: Path, key: str) -> None:
        """Upload a file; concurrent readers see the old one, or none."""

        def write() -> None:
            at = self._full_key(key)
            if (
                self._files.type_name == "local"
            ):  # a local store needs folders, and shows partial files
                self._files.create_dir(at.rpartition("/")[0], recursive=True)
                self._copy(source, aside := f"{at}.{uuid4().hex}.aside")
                self._files.move(aside, at)
            else:
                self._copy(source, at)

        self._ask(write, key)

    def get(self, key: str, to: Path) -> bool:
        """Download a file to a new path; return whether it exists."""

        def read() -> bool:
            try:
                stream = self._files.open_input_stream(self._full_key(key))
            except FileNotFoundError:
                return False
            with stream, to.open("wb") as file:
                while block := stream.read(_BLOCK):
                    file.write(block)
            return True

        return self._ask(read, key)

    def names(self, folder: str, *, below: bool = False) -> dict[str, int]:
        """Return relative names and bytes of the files directly in a folder, or of all below it."""
        from pyarrow.fs import FileSelector

        def read() -> dict[str, int]:
            at = self._full_key(folder)
            selector = FileSelector(at, allow_not_found=True, recursive=below)
            listed = self._files.get_file_info(selector)
            return {item.path[len(at) + 1 :]: item.size for item in listed if item.is_file}

        return self._ask(read, folder)

    def make(self) -> None:
        """Create the folder that mirrors the home, or the bucket."""
        self._ask(lambda: self._files.create_dir(self._root), "")

    def delete(self, key: str) -> None:
        """Remove a file if it exists."""

        def remove() -> None:
            try:
                self._files.delete_file(self._full_key(key))
            except FileNotFoundError:
                return

        self._ask(remove, key)

    def _full_key(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _copy(self, source: Path, to: str) -> None:
        with source.open("rb") as file, self._files.open_output_stream(to) as stream:
            while block := file.read(_BLOCK):
                stream.write(block)

    def _ask(self, work: Callable[[], T], key: str) -> T:
        try:
            return work()
        except OSError as error:
            server = endpoint() or "S3"
            reason = str(error).splitlines()[0].rpartition("Details: ")[2]
            raise Unreachable(
                f"{self.address.partition('?')[0]}/{key}",
                f"the request to the object store {server} failed ({reason})",
                fix=f"check that it runs and accepts the credentials ({VARIABLE}); a rerun "
                f"resumes from here",
            ) from error


def remote() -> Remote | None:
    """Return the shared store, or None if only the local home is used.

    Raises:
        BadInput: The address is not supported.
    """
    address = os.environ.get(VARIABLE)
    return _open(address) if address else None


def check_store(patience: float = 0.0) -> None:
    """Ask the S3 store if there is one, and repeat it for `patience` s.

    Raises:
        BadInput: The address is not supported.
        Unreachable: The store does not respond, or refuses the request.
    """
    address = os.environ.get(VARIABLE, "")
    if not address.startswith("s3://"):
        return
    from pyarrow import fs

    files = fs.S3FileSystem(
        **_s3_options(address),
        connect_timeout=_FIRST_CONNECT,
        request_timeout=_FIRST_REQUEST,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=1),
    )
    store = Remote(files, _root(address), address)
    end = time.monotonic() + patience
    while True:
        try:
            store.names("store")  # needs no right that commands do not need
            break
        except Unreachable:
            if time.monotonic() >= end:
                raise
            time.sleep(_PAUSE)


def make_bucket() -> None:
    """Create the bucket of the shared store unless it exists.

    Raises:
        BadInput: The address has no bucket.
        Unreachable: The store does not respond, or refuses the request.
    """
    address = os.environ.get(VARIABLE, "")
    if not address.startswith("s3://"):
        raise BadInput(VARIABLE, "names no bucket", expected="s3://BUCKET/PREFIX")
    from pyarrow import fs

    bucket = urlsplit(address).netloc
    files = fs.S3FileSystem(**_s3_options(address), allow_bucket_creation=True)
    Remote(files, bucket, address).make()


def endpoint() -> str | None:
    """Return the address of an S3 server other than Amazon's, `http://HOST:9000`, or None."""
    address = os.environ.get(VARIABLE, "")
    options = _s3_options(address) if address.startswith("s3://") else {}
    override = options.get("endpoint_override")
    return f"{options.get('scheme', 'https')}://{override}" if override else None


def artifacts_of(address: str) -> str:
    """Return the location of MLflow's artifacts in the store."""
    return f"{address.partition('?')[0].rstrip('/')}/artifacts"


def limit_boto3() -> None:
    """Give the clients of boto3, such as MLflow's, the same timeouts; they wait for 10 min else."""
    if not os.environ.get(VARIABLE, "").startswith("s3://"):
        return
    import boto3
    from botocore.config import Config
    from botocore.session import get_session

    session = get_session()
    retries = {"mode": "standard", "total_max_attempts": _ATTEMPTS}
    session.set_default_client_config(
        Config(connect_timeout=_CONNECT, read_timeout=_REQUEST, retries=retries)
    )
    boto3.setup_default_session(botocore_session=session)


def _root(address: str) -> str:
    """Return bucket and prefix of an S3 address."""
    parts = urlsplit(address)
    return f"{parts.netloc}{parts.path}"


def _s3_options(address: str) -> dict[str, str]:
    options = {key: values[-1] for key, values in parse_qs(urlsplit(address).query).items()}
    if unknown := sorted(set(options) - set(_OPTIONS)):
        raise BadInput(VARIABLE, f"has {unknown[0]!r}", expected=" or ".join(_OPTIONS))
    return options


@lru_cache(maxsize=4)
def _open(address: str) -> Remote:
    from pyarrow import fs

    if address.startswith("s3://"):
        check_store(_FIRST_TRIES)
        files = fs.S3FileSystem(
            **_s3_options(address),
            allow_delayed_open=True,  # one request for a small file instead of three
            connect_timeout=_CONNECT,
            request_timeout=_REQUEST,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        )
        return Remote(files, _root(address), address)
    try:
        files, root = fs.FileSystem.from_uri(address)
    except (ValueError, OSError) as error:
        raise BadInput(VARIABLE, str(error), expected="s3://BUCKET/PREFIX") from error
    return Remote(files, root, address)
