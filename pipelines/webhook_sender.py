"""Messages of kinemill's own registry changes to MLflow's webhooks, sent by a separate process.

MLflow's server sends a message when a client changes the registry over HTTP. kinemill writes
versions and aliases to the database itself, so the sensor `registry_events` reads its changes from
the ledger, and this module sends them as MLflow does: same payload, signature and retries.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kinemill.errors import KinemillError
from kinemill.register.ledger import Change, Ledger
from kinemill.register.mlflow_tables import connected
from kinemill.store import Json
from kinemill.store.database import database
from kinemill.store.home import Home
from kinemill.store.project import project_root
from kinemill.tracking.database import prepare_mlflow, tracking_uri
from kinemill_dagster.resources.alerts import folder

_OLD = 2 * 86400.0  # s; changes that are older when a server starts are not sent
_ACTIVE = "SELECT 1 FROM webhooks WHERE status = 'ACTIVE' AND deleted_timestamp IS NULL LIMIT 1"


@dataclass(frozen=True)
class Message:
    """An event of MLflow's registry.

    Attributes:
        entity: what changed, such as `model_version`.
        action: how it changed, such as `created`.
        data: MLflow's payload of this event.
    """

    entity: str
    action: str
    data: Json


def is_recent(record: Path) -> bool:
    """Return whether a record of a ledger is new enough to be sent."""
    return time.time() - record.stat().st_mtime < _OLD


def messages_of(ledger: Ledger, change: Change) -> Iterator[Message]:
    """Yield the messages of one record."""
    task, created = ledger.task, change.created
    if created is not None:
        if len(ledger.versions) == 1:
            model = {"name": task, "tags": {"kinemill.task": task}, "description": None}
            yield Message("registered_model", "created", model)
        number = created.number
        version = {
            "name": task,
            "version": str(number),
            "source": created.source,
            "run_id": created.run_id,
            "tags": dict(change.tags.get(number, {})),
            "description": change.descriptions.get(number),
        }
        yield Message("model_version", "created", version)
    for alias, number in change.aliases.items():
        if number is None:
            yield Message("model_version_alias", "deleted", {"name": task, "alias": alias})
        else:
            data = {"name": task, "alias": alias, "version": str(number)}
            yield Message("model_version_alias", "created", data)


def send(home: Home, messages: Sequence[Message]) -> None:
    """Start the process that sends messages, if there are any and a webhook; do not wait."""
    if not messages or not _has_webhook(home):
        return
    folder(home).mkdir(exist_ok=True)
    log = folder(home) / "alerts.log"
    with tempfile.TemporaryFile() as file, log.open("ab") as out:
        file.write(json.dumps([asdict(one) for one in messages]).encode())
        file.seek(0)
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "kinemill_dagster.pipelines.webhook_sender"],
            cwd=project_root(),
            env={**os.environ, "KINEMILL_HOME": str(home.root)},
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=out,
            start_new_session=True,
        )


def _has_webhook(home: Home) -> bool:
    from sqlalchemy import text

    if database() is None and not home.mlflow_db.is_file():
        return False  # SQLite would create the file
    with connected(home) as connection:
        return connection.execute(text(_ACTIVE)).first() is not None


def send_now(home: Home, messages: Sequence[Message]) -> None:
    """Send messages to the webhooks that subscribe to them.

    MLflow's threads send them, with up to three retries; the process ends after the last one. Each
    failure is a line on stderr, which `send` appends to `alerts/alerts.log`.

    Raises:
        BadInput: The key of webhook secrets is invalid.
    """
    # Every server of this module's sensor would import `requests` with it.
    from kinemill_dagster.resources.webhooks import limit_deliveries, prepare_webhooks

    prepare_mlflow()
    prepare_webhooks(home)
    from mlflow.entities.webhook import WebhookEvent
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore
    from mlflow.webhooks.delivery import deliver_webhook

    limit_deliveries()
    store: Any = SqlAlchemyStore(tracking_uri(home))
    for one in messages:
        payload: Any = one.data
        deliver_webhook(event=WebhookEvent(one.entity, one.action), payload=payload, store=store)


if __name__ == "__main__":
    try:
        send_now(Home.resolve(), [Message(**one) for one in json.load(sys.stdin)])
    except KinemillError as error:
        sys.exit(f"webhooks: {error}")
