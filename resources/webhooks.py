"""Rules for MLflow's webhooks: allowed addresses, and the key of their secrets.

An admin of the web pages can be another user than the operator of the server. Only the operator
can edit `alerts.yaml` with the allowed origins of webhooks:

    webhooks:
      origins: ["https://hooks.example.org", "http://10.0.0.7:8080"]
      private: ["10.0.0.0/24"]       # allowed networks that are not public

The guard checks the address of a webhook when it is saved. Each request checks it again, and checks
the peer of the connected socket, because a name can resolve to another address later (DNS
rebinding). Redirects are not followed.
"""

import ipaddress
import logging
import os
import re
import socket
import sqlite3
from contextlib import closing
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from kinemill.errors import BadInput
from kinemill.store.atomic_write import write_secret
from kinemill.store.database import database
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill_dagster.resources.alerts import Webhooks, settings

KEY = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
_TIMEOUT = "10"  # s for one request; MLflow's default of 30 s blocks a thread for two minutes
_LOGGER = "mlflow.webhooks.delivery"
_PATH = re.compile(r"(https?://[^/\s'\"]+|with url: )/[^\s'\")]*")
_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: IPv4 behind a translator


def allowed_webhooks(home: Home) -> Webhooks:
    """Return the allowed addresses of webhooks, read on each call: no restart after a change.

    Raises:
        BadInput: `alerts.yaml` is invalid, or machines share the database without a shared key.
    """
    if not os.environ.get(KEY):
        fix = f"set {KEY} to the same key on every machine that shares the database"
        raise BadInput("webhooks", "lack a key for their secrets", fix=fix)
    alerts = settings(home)
    return alerts.webhooks if alerts else Webhooks()


def prepare_webhooks(home: Home) -> None:
    """Set MLflow's variables with the key of the home; call it before importing MLflow.

    The first use creates the key. Machines with a shared database need a shared key from the
    operator.

    Raises:
        BadInput: The key in the environment is invalid.
    """
    # MLflow allows public https addresses only, or every address. `limit_deliveries` replaces this
    # by the rules of this module.
    os.environ["MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS"] = "true"
    os.environ["MLFLOW_WEBHOOK_ALLOWED_SCHEMES"] = "https,http"
    os.environ.setdefault("MLFLOW_WEBHOOK_REQUEST_TIMEOUT", _TIMEOUT)
    if key := os.environ.get(KEY):
        _check_key(key)
        return
    if database() is not None:
        return
    path = home.dagster / "servers" / "webhook_key"
    if not path.is_file():
        from cryptography.fernet import Fernet

        with lock(home, "users"):
            if not path.is_file():
                _disable_unreadable(home)
                write_secret(path, Fernet.generate_key().decode())
    os.environ[KEY] = path.read_text(encoding="ascii")


def _check_key(key: str) -> None:
    from cryptography.fernet import Fernet

    try:
        Fernet(key)
    except ValueError as error:
        generate = "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"
        fix = f'create one: python -c "{generate}"'
        raise BadInput(KEY, "is not a key", expected=str(error).rstrip("."), fix=fix) from error


def _disable_unreadable(home: Home) -> None:
    """Disable webhooks with secrets of a lost key: MLflow could not list any webhook.

    A backup contains the database without the key.
    """
    if not home.mlflow_db.is_file():
        return
    with closing(sqlite3.connect(home.mlflow_db)) as connection, connection:
        update = (
            "UPDATE webhooks SET secret = NULL, status = 'DISABLED'"
            " WHERE secret IS NOT NULL AND deleted_timestamp IS NULL"
        )
        count = connection.execute(update).rowcount
    if count:
        message = "%d webhooks are disabled: the key of their secrets is lost; set new secrets"
        logging.getLogger("kinemill.guard").warning(message, count)


def check_peer(address: str, webhooks: Webhooks) -> None:
    """Check the connected address of a webhook.

    Raises:
        BadInput: The address is neither public nor in an allowed network.
    """
    peer = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(peer, ipaddress.IPv6Address):
        peer = peer.ipv4_mapped or peer
    hides_ipv4 = isinstance(peer, ipaddress.IPv6Address) and (
        peer.sixtofour is not None or peer.teredo is not None or peer in _TRANSLATED
    )
    is_public = peer.is_global and not peer.is_multicast and not hides_ipv4
    if not is_public and not any(peer in network for network in webhooks.private):
        fix = "the user who runs the server adds its network to webhooks.private in alerts.yaml"
        raise BadInput("webhook", f"resolves to {peer}, which is not public", fix=fix)


class _HttpConnection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn())


class _HttpsConnection(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _checked(super()._new_conn())  # before the TLS handshake


def _checked(connection: socket.socket) -> socket.socket:
    try:
        check_peer(str(connection.getpeername()[0]), allowed_webhooks(Home.resolve()))
    except BaseException:
        connection.close()
        raise
    return connection


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _HttpConnection  # pyright: ignore[reportAssignmentType]


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _HttpsConnection  # pyright: ignore[reportAssignmentType]


class CheckedAdapter(HTTPAdapter):
    """Adapter of requests that allows only the permitted origins and addresses."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Create a pool of connections that check their peer."""
        super().init_poolmanager(*args, **kwargs)
        classes: dict[str, type[HTTPConnectionPool] | type[HTTPSConnectionPool]]
        classes = {"http": _HttpPool, "https": _HttpsPool}
        self.poolmanager.pool_classes_by_scheme = classes

    def send(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        """Send a request.

        Raises:
            BadInput: The origin or the address is not allowed.
        """
        allowed_webhooks(Home.resolve()).canonical(request.url or "")
        return super().send(request, *args, **kwargs)


def limit_deliveries() -> None:
    """Apply the rules of this module to MLflow's deliveries in this process."""
    from mlflow.webhooks.delivery import _get_or_create_webhook_session  # pyright: ignore[reportPrivateUsage]

    session = _get_or_create_webhook_session()
    retries: Any = session.get_adapter("https://").max_retries  # pyright: ignore
    for scheme in ("http://", "https://"):
        session.mount(scheme, CheckedAdapter(max_retries=retries))
    session.max_redirects = 0
    session.trust_env = False
    logging.getLogger(_LOGGER).addFilter(_hide_addresses)


def _hide_addresses(record: logging.LogRecord) -> bool:
    """Remove paths and queries of webhooks from logs: many contain a secret."""
    record.msg = _PATH.sub(r"\1/...", record.getMessage())
    record.args, record.exc_info = (), None
    return True
