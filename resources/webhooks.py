"""Settings of MLflow's webhooks: allowed origins, the key of their secrets, no redirects.

An admin of the web pages can be another user than the operator of the server. Only the operator can
edit `alerts.yaml` with the origins of webhooks, which the guard checks when a webhook is saved:

    webhooks: {origins: ["https://hooks.example.org"]}

MLflow sends them. It connects to public addresses over https only, unless the operator sets
`MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS` and `MLFLOW_WEBHOOK_ALLOWED_SCHEMES`.
"""

import logging
import os
import re

from kinemill.errors import BadInput
from kinemill.store.atomic_write import write_secret
from kinemill.store.database import database
from kinemill.store.home import Home
from kinemill.store.locks import lock
from kinemill_dagster.resources.alerts import Webhooks, settings

KEY = "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY"
_TIMEOUT = "10"  # s for one request; MLflow's default of 30 s blocks a thread for two minutes
_PATH = re.compile(r"(https?://[^/\s'\"]+|with url: )/[^\s'\")]*")


def allowed_webhooks(home: Home) -> Webhooks:
    """Return the allowed origins of webhooks, read on each call: no restart after a change.

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
    from cryptography.fernet import Fernet

    os.environ.setdefault("MLFLOW_WEBHOOK_REQUEST_TIMEOUT", _TIMEOUT)
    if not os.environ.get(KEY) and database() is None:
        path = home.dagster / "servers" / "webhook_key"
        with lock(home, "users"):
            if not path.is_file():
                write_secret(path, Fernet.generate_key().decode())
        os.environ[KEY] = path.read_text(encoding="ascii")
    try:
        if key := os.environ.get(KEY):
            Fernet(key)
    except ValueError as error:
        generate = "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"
        fix = f'create one: python -c "{generate}"'
        raise BadInput(KEY, "is not a key", expected=str(error).rstrip("."), fix=fix) from error


def limit_deliveries() -> None:
    """Let MLflow's deliveries in this process follow no redirect and log no path of a webhook."""
    from mlflow.webhooks.delivery import _get_or_create_webhook_session  # pyright: ignore[reportPrivateUsage]

    _get_or_create_webhook_session().max_redirects = 0
    logging.getLogger("mlflow.webhooks.delivery").addFilter(_hide_addresses)


def _hide_addresses(record: logging.LogRecord) -> bool:
    """Remove paths and queries of webhooks from logs: many contain a secret."""
    record.msg = _PATH.sub(r"\1/...", record.getMessage())
    record.args = ()
    record.exc_info = None
    return True
