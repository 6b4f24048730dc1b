"""Rollouts: logs of the next round of the learning loop, collected with the champion.

Tasks with `loop.automatic` have this asset. Each run records the round of the last registered
version, then runs the episodes of the next round on the simulated plant: with the champion, without
one with the newest version, without a version with random actions. Every episode is a log in the
drop folder, which the pipeline processes like any other log. The next version triggers the next
rollouts, until the loop reaches its target or its number of rounds.
"""

import warnings
from dataclasses import asdict
from functools import partial

import dagster as dg

from kinemill_dagster.assets.lineage import CHAMPION, ROLLOUTS, asset_tags
from kinemill_dagster.assets.metadata import build_metadata, table
from kinemill_dagster.assets.stage import ChainSettings, Events, Lines, with_run
from kinemill_dagster.resources.links import described, report_link
from kinemill_dagster.resources.task_resource import TaskResource


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `rollouts` of a task with a `loop` part."""
    task = settings.task
    with warnings.catch_warnings():  # resources of an asset are a beta feature
        warnings.simplefilter("ignore", dg.BetaWarning)

        @dg.asset(
            name=ROLLOUTS,
            key_prefix=[task.name],
            deps=[dg.AssetKey([task.name, name]) for name in ("registered_model", CHAMPION)],
            group_name=task.name,
            kinds={"robot"},
            owners=task.owners,
            tags=asset_tags(task),
            description=described(__doc__ or "", task.name),
            required_resource_keys={task.name},
            resource_defs=settings.resources,
        )
        @partial(with_run, task=task.name, asset=ROLLOUTS)
        def rollouts(context: dg.AssetExecutionContext, resource: TaskResource) -> Events:
            from kinemill.control.loop_round import REPORT, continue_loop, journal_of

            state = continue_loop(resource.task, resource.home, Lines(context).log_message)
            page = journal_of(resource.task, resource.home).folder / REPORT
            metadata = build_metadata(
                summary=state.summary,
                episodes=table([asdict(episode) for episode in state.episodes]),
                report=report_link(resource.home, page) if state.rounds else None,
            )
            yield dg.MaterializeResult(metadata=metadata, data_version=dg.DataVersion(state.key))

    return rollouts
