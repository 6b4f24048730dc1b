"""Age of the champion, read from the database tables, because importing MLflow takes seconds."""

from dataclasses import dataclass
from typing import Any

from kinemill.register import tags
from kinemill.register.mlflow_tables import connected
from kinemill.register.versions import CHAMPION
from kinemill.store.home import Home

_CHAMPION = """
SELECT v.version, v.creation_time, t.value AS dataset
FROM registered_model_aliases a
JOIN model_versions v ON v.name = a.name AND v.version = a.version
LEFT JOIN model_version_tags t ON t.name = v.name AND t.version = v.version AND t.key = :dataset
WHERE a.name = :task AND a.alias = :alias
"""


@dataclass(frozen=True)
class ChampionTerm:
    """The champion's version, when it was registered (s since the epoch), and its dataset."""

    version: int
    since: float
    dataset: str | None


def champion_term(home: Home, task: str) -> ChampionTerm | None:
    """Return the champion of a task with its registration time and dataset, or None."""
    if not home.has_registry:
        return None
    from sqlalchemy import text

    values = {"dataset": tags.DATASET, "task": task, "alias": CHAMPION}
    with connected(home) as connection:
        row: Any = connection.execute(text(_CHAMPION), values).first()
    return ChampionTerm(int(row.version), row.creation_time / 1000.0, row.dataset) if row else None
