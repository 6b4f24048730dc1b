"""The object store that machines share, if there is one: files under keys, put and got whole.

`KINEMILL_REMOTE=s3://BUCKET/PREFIX` names it; `?endpoint_override=HOST:9000&scheme=http&region=X`
points to a store that is not Amazon's. Who may read and write is said as for any S3 client:
`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, a profile, or the machine's role. `gs://`, `abfs://`
and `file://` (a mounted folder) are opened by pyarrow likewise.

A request that fails is tried again by the client, for about half a minute, then an error says so.
"""

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from kinemill.errors import BadInput, Unreachable

VARIABLE = "KINEMILL_REMOTE"
_OPTIONS = ("endpoint_override", "scheme", "region")
_ATTEMPTS = 6  # of a request, with waits that double from 0.1 s
_CONNECT, _REQUEST = 5.0, 60.0  # s
_BLOCK = 8 << 20  # bytes in memory at a time

T = TypeVar("T")


class Remote:
    """An object store, and the folder in it that stands for the home.

    Args:
        files: a `pyarrow.fs.FileSystem`.
        root: bucket and prefix.
        address: as it was named, for messages.
    """

    def __init__(self, files: Any, root: str, address: str) -> None:
        self._files, self._root, self.address = files, root.rstrip("/"), address

    def put(self, source: Path, key: str) -> None:
        """Bring a file there; who reads meanwhile sees the old one, or none."""

        def write() -> None:
            at = self._at(key)
            if self._files.type_name == "local":  # which has folders, and shows half a file
                self._files.create_dir(at.rpartition("/")[0], recursive=True)
                self._copy(source, aside := f"{at}.{uuid4().hex}.aside")
                self._files.move(aside, at)
            else:
                self._copy(source, at)

        self._ask(write, key)

    def get(self, key: str, to: Path) -> bool:
        """Fetch a file to a new place; return whether it is there."""

        def read() -> bool:
            try:
                stream = self._files.open_input_stream(self._at(key))
            except FileNotFoundError:
                return False
            with stream, to.open("wb") as file:
                while block := stream.read(_BLOCK):
                    file.write(block)
            return True

        return self._ask(read, key)

    def names(self, folder: str, *, below: bool = False) -> dict[str, int]:
        """Return the files right in a folder, or all below it, by name in it, and their bytes."""
        from pyarrow.fs import FileSelector

        def read() -> dict[str, int]:
            at = self._at(folder)
            chosen = FileSelector(at, allow_not_found=True, recursive=below)
            listed = self._files.get_file_info(chosen)
            return {item.path[len(at) + 1 :]: item.size for item in listed if item.is_file}

        return self._ask(read, folder)

    def make(self) -> None:
        """Make the folder that stands for the home, or the bucket."""
        self._ask(lambda: self._files.create_dir(self._root), "")

    def delete(self, key: str) -> None:
        """Remove a file, if it is there."""

        def remove() -> None:
            try:
                self._files.delete_file(self._at(key))
            except FileNotFoundError:
                return

        self._ask(remove, key)

    def _at(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _copy(self, source: Path, to: str) -> None:
        with source.open("rb") as file, self._files.open_output_stream(to) as stream:
            while block := file.read(_BLOCK):
                stream.write(block)

    def _ask(self, work: Callable[[], T], key: str) -> T:
        try:
            return work()
        except OSError as error:
            raise Unreachable(
                f"{self.address.partition('?')[0]}/{key}",
                f"the object store did not do it ({str(error).splitlines()[0]})",
                fix=f"see that it runs and lets us in ({VARIABLE}); a rerun goes on from here",
            ) from error


def remote() -> Remote | None:
    """Return the shared store; None where the home is all there is.

    Raises:
        BadInput: its address is none that we know.
    """
    address = os.environ.get(VARIABLE)
    return _open(address) if address else None


def make_bucket() -> None:
    """Make the bucket of the shared store, unless it is there.

    Raises:
        BadInput: no bucket is named.
        Unreachable: the store does not answer, or refuses.
    """
    address = os.environ.get(VARIABLE, "")
    if not address.startswith("s3://"):
        raise BadInput(VARIABLE, "names no bucket", expected="s3://BUCKET/PREFIX")
    from pyarrow import fs

    bucket = urlsplit(address).netloc
    files = fs.S3FileSystem(**_s3_options(address), allow_bucket_creation=True)
    Remote(files, bucket, address).make()


def endpoint() -> str | None:
    """Return the address of an S3 server that is not Amazon's, `http://HOST:9000`, or None."""
    address = os.environ.get(VARIABLE, "")
    options = _s3_options(address) if address.startswith("s3://") else {}
    override = options.get("endpoint_override")
    return f"{options.get('scheme', 'https')}://{override}" if override else None


def artifacts_of(address: str) -> str:
    """Return where MLflow keeps the artifacts of a store's home."""
    return f"{address.partition('?')[0].rstrip('/')}/artifacts"


def _s3_options(address: str) -> dict[str, str]:
    given = {key: values[-1] for key, values in parse_qs(urlsplit(address).query).items()}
    if unknown := sorted(set(given) - set(_OPTIONS)):
        raise BadInput(VARIABLE, f"has {unknown[0]!r}", expected=" or ".join(_OPTIONS))
    return given


@lru_cache(maxsize=4)
def _open(address: str) -> Remote:
    from pyarrow import fs

    if address.startswith("s3://"):
        parts = urlsplit(address)
        files = fs.S3FileSystem(
            **_s3_options(address),
            allow_delayed_open=True,  # one request for a small file instead of three
            connect_timeout=_CONNECT,
            request_timeout=_REQUEST,
            retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=_ATTEMPTS),
        )
        return Remote(files, f"{parts.netloc}{parts.path}", address)
    try:
        files, root = fs.FileSystem.from_uri(address)
    except (ValueError, OSError) as error:
        raise BadInput(VARIABLE, str(error), expected="s3://BUCKET/PREFIX") from error
    return Remote(files, root, address)
