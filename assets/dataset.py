"""Dataset: an immutable version of the accepted episodes, split and packed, with statistics.

Input: episodes. Rows are float32 in the task's units at the task's time step, ordered by episode.
The split is by recording, from a stable hash or the patterns of the task file, so recordings keep
their split as data grows. Mean and standard deviation are from the training split only. Rebuilt
when an episode is accepted or the task's `dataset` part changes.
"""

import dagster as dg

from kinemill.store import ArtifactRef
from kinemill_dagster.assets.metadata import build_metadata, table
from kinemill_dagster.assets.stage import ChainSettings, Events, emit, refuse_failed, stage
from kinemill_dagster.resources.io import handed_on, pass_on
from kinemill_dagster.resources.lines import Lines
from kinemill_dagster.resources.partitions import is_partitioned
from kinemill_dagster.resources.task_resource import TaskResource

_CARD = """Dataset: the card of the policy's environment, without logs.

It records settings, sources and library versions, names, units and limits of observations and
actions, and the return of random actions. Rebuilt when one of them changes.
"""


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `dataset` of a task."""
    from_logs = settings.task.learn.from_logs
    return _from_episodes(settings) if from_logs else _from_environment(settings)


def _from_episodes(settings: ChainSettings) -> dg.AssetsDefinition:
    after = [] if is_partitioned(settings.task) else ["episodes"]

    @stage(settings, "dataset", __doc__, after=after, kinds={"numpy"})
    def dataset(
        context: dg.AssetExecutionContext, resource: TaskResource, **made: ArtifactRef
    ) -> Events:
        from kinemill.dataset import DatasetSummary
        from kinemill.dataset import stage as dataset_stage

        episodes = made["episodes"] if made else _all_episodes(context, resource)
        artifact = dataset_stage.run(resource.task, resource.home, episodes)
        summary = DatasetSummary.of(artifact)
        for warning in summary.warnings:
            context.log.warning(warning)
        splits = [
            {"split": split, "episodes": number, "rows": summary.rows.get(split)}
            for split, number in summary.episodes.items()
        ]
        statistics = [
            {"channel": name, "unit": channel.unit, "mean": channel.mean, "std": channel.std}
            for name, channel in summary.statistics.items()
        ]
        yield from emit(
            context,
            artifact,
            build_metadata(
                episodes=sum(summary.episodes.values()),
                rows=sum(summary.rows.values()),
                splits=table(splits),
                statistics=table(statistics),
            ),
        )

    return dataset


def _all_episodes(context: dg.AssetExecutionContext, resource: TaskResource) -> ArtifactRef:
    """Return the episodes of all partitions.

    In a run of one partition the dataset joins the partitions; unchanged recordings are cached.

    Raises:
        dagster.Failure: a blocking check failed.
    """
    from kinemill.ingest.stage import publish_members
    from kinemill.validate import stage as validate

    task = resource.task
    home = resource.home
    run = context.run.run_id
    if made := handed_on(home, run, task.name, "episodes"):
        return made
    recordings = publish_members(task, home, Lines(context)).ref
    episodes = validate.run(task, home, recordings, Lines(context)).ref
    blocking = [check for check in validate.load_checks(home, episodes) if check.blocking]
    refuse_failed(blocking, home.root / episodes.path, {})
    for asset, ref in (("recordings", recordings), ("episodes", episodes)):
        pass_on(home, run, task.name, asset, ref)
    return episodes


def _from_environment(settings: ChainSettings) -> dg.AssetsDefinition:
    @stage(settings, "dataset", _CARD, kinds={"gymnasium"})
    def dataset(context: dg.AssetExecutionContext, resource: TaskResource) -> Events:
        from kinemill.policies.environments.card import make_card, open_card

        artifact = make_card(resource.task, resource.home)
        document = open_card(resource.home, artifact.ref).document
        layout = document.layout
        random = document.random
        yield from emit(
            context,
            artifact,
            build_metadata(
                episodes=document.trials.episodes,
                environment=table(
                    [
                        {
                            "name": name,
                            "role": "action" if name in layout.actions else "observation",
                            "unit": layout.units[name],
                            "limits": layout.limits.get(name),
                        }
                        for name in (*layout.observation, *layout.actions)
                    ]
                ),
                random_return=table(
                    [
                        {"of": name, "mean": mean, "95 %": interval}
                        for name, mean, interval in (
                            ("return", random.mean_return, random.return_interval),
                            ("success", random.success, random.success_interval),
                        )
                        if mean is not None
                    ]
                ),
            ),
        )

    return dataset
