"""Register the versions of the store again, after MLflow's database was lost without a backup.

Versions keep their numbers, tags, files and decisions, and get new runs. Versions whose files are
not in the store become deleted versions in MLflow. The champion is that of the audit log.
"""

from collections.abc import Iterator
from dataclasses import fields

from kinemill.errors import BadInput, CorruptArtifact
from kinemill.register import tags
from kinemill.register.audit_log import last_champion, read_events
from kinemill.register.decision import DECISION_FILE, Decision, DecisionFacts
from kinemill.register.decision_service import publish_decision
from kinemill.register.model_version import create_registered_model, create_version
from kinemill.register.saved_task import saved_task
from kinemill.register.versions import CHAMPION, find_version
from kinemill.store import ArtifactRef, Home, Json, open_ref, read_document
from kinemill.store.locks import lock, unused
from kinemill.task import Task
from kinemill.tracking import Tracking, open_tracking, start_run
from kinemill.tracking.database import create_database


def rebuild_registry(home: Home) -> Json:
    """Register the versions of all tasks again in a new database.

    Returns:
        `home`, and in `tasks` for each task the number of its versions and its champion.

    Raises:
        BadInput: There is a registry, or the home is in use.
        CorruptArtifact: A recorded task is damaged.
    """
    if home.has_registry:
        fix = "kinemill model list TASK reads it"
        raise BadInput(home.root, "has a registry, which is not replaced", fix=fix)
    with unused(home):
        with lock(home, "mlflow"):
            create_database(home)
        tracking = open_tracking(home)
        tasks = [folder.name for folder in sorted(home.audit_logs.glob("*"))]
        rebuilt = {task: _restore_task(tracking, task) for task in tasks}
    return {"home": str(home.root), "tasks": rebuilt}


def _restore_task(tracking: Tracking, task: str) -> Json:
    home = tracking.home
    client = tracking.client
    documents = {document.version: document for document in _documents(home, task)}
    recorded = {
        number: saved_task(home, task, document.tags) for number, document in documents.items()
    }
    registered = list[int]()
    for number in range(1, max(documents, default=0) + 1):
        create_registered_model(client, recorded[max(documents)])
        if number in documents and _register(tracking, recorded[number], documents[number]):
            registered.append(number)
        else:
            client.create_model_version(task, source="deleted")
            client.delete_model_version(task, str(number))
    champion = last_champion(read_events(home, task))
    if champion in registered:
        client.set_registered_model_alias(task, CHAMPION, str(champion))
    return {"versions": len(registered), "champion": champion if champion in registered else None}


def _documents(home: Home, task: str) -> Iterator[Decision]:
    """Yield the published decisions of a task, the newest of a version last."""
    folder = home.store / "decision" / task
    for path in sorted(folder.glob(f"*/{DECISION_FILE}"), key=lambda path: path.stat().st_mtime):
        yield read_document(path, Decision)


def _register(tracking: Tracking, task: Task, document: Decision) -> bool:
    """Register the version of a decision; return False if its files are not in the store."""
    home = tracking.home
    stamped = document.tags
    try:
        bundle = open_ref(home, ArtifactRef(stamped[tags.BUNDLE], stamped[tags.BUNDLE_DIGEST]))
    except CorruptArtifact:
        return False  # garbage collection or damage; MLflow's copies are unknown without it
    run_id = start_run(home, task.name, document.key, tags={"kinemill.stage": "rebuild"})
    tracking.client.set_terminated(run_id, "FINISHED")
    create_version(tracking, task, bundle, run_id, stamped)
    version = find_version(home, task.name, f":{document.version}")
    facts = DecisionFacts(
        **{part.name: getattr(document, part.name) for part in fields(DecisionFacts)}
    )
    publish_decision(tracking, version, facts, document.gate)
    number = str(document.version)
    tracking.client.set_model_version_tag(task.name, number, tags.DECISION, document.decision)
    return True
