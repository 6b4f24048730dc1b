"""External edges of a task's asset graph: logs, champion, and other tasks.

Dagster does not create logs and champions. They are external assets, reported by
`pipelines/registry_events.py` and the sensor of a task in `pipelines/automation`.
"""

import re
from collections.abc import Iterator

import dagster as dg

from kinemill.task import Task
from kinemill_dagster.resources.links import described

EXTERNAL = {"external": "reported"}
LOGS = "logs"
CHAMPION = "champion"
_CHAMPION_OF = re.compile(r"models:/([a-z][a-z0-9_]*)@champion")
# Assets by part of the task file that can refer to a champion.
_READERS = {"learn": "model", "environment": "dataset"}
_OTHERS = "verification"
_BY_READER = {*_READERS.values(), _OTHERS}


def external_assets(task: Task) -> dg.AssetsDefinition:
    """Return the external assets of a task.

    One definition per task: Dagster combines separate specs of all tasks into one, which would be
    part of every job.
    """
    logs = "Log files in the drop folder. Updated when complete new logs arrive."
    champion = "The version with the alias `champion`. Updated after every promotion and rollback."
    specs = [_external(task, CHAMPION, "mlflow", champion, after="registered_model")]
    if task.learn.from_logs:
        specs.insert(0, _external(task, LOGS, "file", logs))
    return dg.AssetsDefinition(specs=specs)


def _external(task: Task, name: str, kind: str, text: str, after: str = "") -> dg.AssetSpec:
    """Return the spec of an external asset, which follows the asset `after`, if any."""
    return dg.AssetSpec(
        [task.name, name],
        deps=[dg.AssetKey([task.name, after])] if after else [],
        group_name=task.name,
        kinds={kind},
        owners=task.owners,
        tags={**EXTERNAL, **asset_tags(task)},
        description=described(text, task.name),
    )


def asset_tags(task: Task) -> dict[str, str]:
    """Return the tags of a task's assets, filters of the catalog."""
    model = getattr(getattr(task.learn, "model", None), "type", None)
    tags = {"kinemill/task": task.name, "kinemill/learn": task.learn.type}
    # Dagster allows no colon or slash, as in `my_net.py:Net`, and 63 characters.
    return tags | ({"kinemill/model": re.sub(r"[^\w.-]", "_", model)[-63:]} if model else {})


def external_deps(task: Task, asset: str) -> list[dg.AssetKey]:
    """Return the upstream assets of an asset that are external or belong to other tasks."""
    keys = [dg.AssetKey([task.name, LOGS])] if asset == "recordings" else []
    if asset in _BY_READER:
        keys += [dg.AssetKey([name, CHAMPION]) for name in _upstream_champions(task).get(asset, [])]
    if asset == "dataset":
        keys += [dg.AssetKey([joined.task, "episodes"]) for joined in task.dataset.join]
    return keys


def _upstream_champions(task: Task) -> dict[str, list[str]]:
    """Return the tasks with champions that this task reads, by asset.

    A reference is a value `models:/TASK@champion` in the task file. A fixed version never changes,
    so it has no edge.
    """
    sources: dict[str, set[str]] = {}
    # Defaults refer to no champion, and most keys have defaults.
    for part, value in task.model_dump(mode="json", exclude_unset=True).items():
        for text in _texts(value):
            if (match := _CHAMPION_OF.fullmatch(text)) and match[1] != task.name:
                sources.setdefault(_READERS.get(part, _OTHERS), set()).add(match[1])
    return {asset: sorted(names) for asset, names in sources.items()}


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
