"""Connection to a Ray cluster, which fails soon if no cluster responds."""

import os
from urllib.parse import urlsplit

from kinemill.errors import Unreachable

VARIABLE = "RAY_ADDRESS"
_PATIENCE = 5.0  # s for the connection to the head


def connect_ray(address: str | None = None, **options: bool | str) -> None:
    """Connect this process to the cluster at `address` or RAY_ADDRESS, with options of `ray.init`.

    Raises:
        Unreachable: No cluster responds.
    """
    import ray

    where = address or os.environ.get(VARIABLE)
    check_cluster(address)
    try:
        ray.init(address=where, **options)
    except ConnectionError as error:
        reason = (str(error).strip().splitlines() or ["no cluster"])[0]
        raise _unreachable(where or "this machine", reason) from error


def check_cluster(address: str | None = None) -> None:
    """Connect to the head of the cluster at `address` or RAY_ADDRESS, if that is `host:port`.

    `ray.init` itself waits for a silent head without limit.

    Raises:
        Unreachable: It does not respond.
    """
    address = address or os.environ.get(VARIABLE) or ""
    where = urlsplit(address).netloc or address  # `ray://` is the address of its client
    # The certificates of Ray's TLS are known to Ray alone.
    if ":" not in where or os.environ.get("RAY_USE_TLS", "0") == "1":
        return
    import grpc

    with grpc.insecure_channel(where) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=_PATIENCE)
        except grpc.FutureTimeoutError as error:
            raise _unreachable(where, f"no response within {_PATIENCE:g} s") from error


def _unreachable(where: str, reason: str) -> Unreachable:
    return Unreachable(
        where,
        f"the Ray cluster does not respond ({reason})",
        fix=f"start it (ray start), or correct compute.address or {VARIABLE}",
    )
