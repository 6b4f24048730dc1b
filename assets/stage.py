"""Shared code of all assets: declaration, emission of artifacts or cache hits, and checks."""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.errors import BadInput
from kinemill.store import Artifact, ArtifactRef, Json, recomputed
from kinemill.store.home import Home
from kinemill.task import Task
from kinemill.task.protocols import Progress
from kinemill.validate.check_results import CheckOutcome
from kinemill.validate.refusal import refusal
from kinemill_dagster.assets import CHAIN, STAGE_OF
from kinemill_dagster.assets.code import code_references, code_version
from kinemill_dagster.assets.lineage import asset_tags, external_deps
from kinemill_dagster.assets.metadata import build_metadata, readable
from kinemill_dagster.resources.dagster_api import FreshnessPolicy
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.lines import Lines
from kinemill_dagster.resources.links import described
from kinemill_dagster.resources.partitions import joined_partitions, partitions_of
from kinemill_dagster.resources.pools import pool_of
from kinemill_dagster.resources.retryable import note_fault
from kinemill_dagster.resources.task_resource import TaskResource

Events = Iterator[dg.AssetCheckResult | dg.AssetMaterialization | dg.MaterializeResult[Any]]
_SHORTEST = timedelta(minutes=2)  # Dagster's minimum for both windows is 1 minute


@dataclass(frozen=True)
class CheckSpec:
    """Asset check: description of the passing state, and whether a failure blocks."""

    description: str
    blocking: bool = False


@dataclass(frozen=True)
class Checks:
    """Asset checks of a stage.

    Attributes:
        evaluate: returns the results for a published artifact without running the stage, for runs
            of single checks.
    """

    specs: Mapping[str, CheckSpec]
    evaluate: Callable[[TaskResource, ArtifactRef, Progress], list[CheckOutcome]]


@dataclass(frozen=True)
class ChainSettings:
    """Shared state of all assets of a task.

    Attributes:
        resources: the resources of the assets, by key.
    """

    task: Task
    resources: Mapping[str, dg.ResourceDefinition | dg.ConfigurableIOManager]


def stage(
    settings: ChainSettings,
    name: str,
    page: str | None,
    *,
    after: Sequence[str] = (),
    kinds: set[str],
    checks: Checks | None = None,
) -> Callable[[Callable[..., Events]], dg.AssetsDefinition]:
    """Declare the asset `name` of a task.

    Checks can run without the asset: Dagster then selects the checks only, and they are evaluated
    on the latest artifact.

    Args:
        settings: settings of the task; its name is the key prefix, the group and the resource name.
        name: name of the asset.
        page: the docstring of the stage's module, shown in the catalog.
        after: upstream assets, by parameter name.
        kinds: kinds, which Dagster shows as icons.
        checks: asset checks.
    """
    task = settings.task
    key = dg.AssetKey([task.name, name])
    inputs = {asset: dg.AssetKey([task.name, asset]) for asset in after}
    spec = dg.AssetSpec(
        key,
        deps=[*inputs.values(), *external_deps(task, name), *joined_partitions(task, name)],
        group_name=task.name,
        description=described(page or "", task.name),
        skippable=bool(checks),
        code_version=code_version(task, STAGE_OF[name]),
        kinds=kinds,
        owners=task.owners,
        tags=asset_tags(task),
        freshness_policy=_freshness(task, name),
        partitions_def=partitions_of(task, name),
    ).with_io_manager_key("refs")

    def declare(body: Callable[..., Events]) -> dg.AssetsDefinition:
        define = dg.multi_asset(
            name=f"{task.name}__{name}",
            specs=[spec.merge_attributes(metadata=code_references(task, body))],
            check_specs=_check_specs(key, checks),
            ins={asset: dg.AssetIn(key=upstream) for asset, upstream in inputs.items()},
            can_subset=checks is not None,
            backfill_policy=dg.BackfillPolicy.single_run(),
            required_resource_keys={task.name},
            resource_defs=settings.resources,
            pool=pool_of(task, name),
        )
        checked = _with_checks_alone(body, name, checks) if checks else body
        return define(with_run(checked, task.name, name))

    return declare


def _check_specs(key: dg.AssetKey, checks: Checks | None) -> list[dg.AssetCheckSpec]:
    """Return Dagster's specs of an asset's checks."""
    return [
        dg.AssetCheckSpec(name, asset=key, blocking=spec.blocking, description=spec.description)
        for name, spec in (checks.specs if checks else {}).items()
    ]


def with_run(body: Callable[..., Events], task: str, asset: str) -> Callable[..., Events]:
    """Return the function of an asset with the task's resource as its argument `resource`.

    It also computes a cached artifact again if the run says so, and tags a failed run for retries.
    Dagster binds a resource by the name of a parameter. The key of this one is the name of the
    task, which can be the name of another parameter, such as `model`.
    """

    @functools.wraps(body)
    def wrapper(context: dg.AssetExecutionContext, **inputs: object) -> Events:
        resource: TaskResource = getattr(context.resources, task)
        is_recomputed = asset in resource.recompute
        try:
            with recomputed(resource.home, asset, task) if is_recomputed else nullcontext():
                yield from body(context, resource=resource, **inputs)
        except Exception as error:
            note_fault(context.instance, context.run.run_id, error)
            raise

    signature = inspect.signature(body)
    visible = [item for item in signature.parameters.values() if item.name != "resource"]
    vars(wrapper)["__signature__"] = signature.replace(parameters=visible)
    return wrapper


def _with_checks_alone(
    body: Callable[..., Events], asset: str, checks: Checks
) -> Callable[..., Events]:
    """Evaluate the stored artifact instead of the body in a run of checks only."""

    @functools.wraps(body)
    def wrapper(
        context: dg.AssetExecutionContext, resource: TaskResource, **inputs: object
    ) -> Events:
        if context.selected_asset_keys:
            yield from body(context, resource=resource, **inputs)
            return
        ref = latest(resource.home, resource.task.name, asset)
        if ref is None:
            raise BadInput(
                f"{resource.task.name}/{asset}",
                "does not exist yet, so it cannot be checked",
                fix=f"materialize it first, or run: kinemill run {resource.task.name}",
            )
        yield from _results(context, checks.evaluate(resource, ref, Lines(context)))

    return wrapper


def _freshness(task: Task, name: str) -> FreshnessPolicy | None:
    """Return the freshness policy of a task's last asset, from `retrain.freshness`."""
    seconds = task.retrain.freshness
    if seconds is None or name != CHAIN["register"]:
        return None
    most = max(timedelta(seconds=seconds), _SHORTEST)
    return FreshnessPolicy.time_window(fail_window=most, warn_window=most * 0.8)


def emit(
    context: dg.AssetExecutionContext,
    artifact: Artifact,
    metadata: Json,
    results: Iterable[CheckOutcome] | None = (),
    *,
    data_version: str | None = None,
) -> Events:
    """Yield the check results, then the reference, unless a blocking check failed.

    Without `results`, no check was evaluated in this run. `data_version` defaults to the digest of
    the artifact.

    Raises:
        dagster.Failure: a blocking check failed.
    """
    checks = list(results or [])
    if results is not None:
        yield from _results(context, checks)
    blocking = {spec.name for spec in context.assets_def.check_specs if spec.blocking}
    folder = Home.resolve().root / artifact.ref.path
    common = build_metadata(
        digest=artifact.ref.digest, cached=artifact.cached, store=dg.MetadataValue.path(str(folder))
    )
    refuse_failed(
        [check for check in checks if check.name in blocking], folder, {**metadata, **common}
    )
    yield dg.MaterializeResult(
        asset_key=context.asset_key,
        value=artifact.ref,
        data_version=dg.DataVersion(data_version or artifact.ref.digest),
        metadata={**metadata, **common},
    )


def refuse_failed(blocking: Iterable[CheckOutcome], folder: Path, metadata: Json) -> None:
    """Fail the step if a blocking check failed.

    Raises:
        dagster.Failure: with all failed checks, their values and a fix.
    """
    text = refusal(blocking, folder)
    if text:
        raise dg.Failure(text, metadata=metadata, allow_retries=False)


def joined_outcome(check: str, lines: list[Json], name: str) -> list[CheckOutcome]:
    """Return the outcome of a check from its lines of a verdict; none without lines.

    `name` is the key of a line's name; the others are `passed` and `value`.
    """
    if not lines:
        return []
    text = "; ".join(f"{line[name]}: {line['value']}" for line in lines)
    return [CheckOutcome(check, all(line["passed"] for line in lines), text, {"lines": lines})]


def _results(
    context: dg.AssetExecutionContext, results: list[CheckOutcome]
) -> Iterator[dg.AssetCheckResult]:
    """Yield a result for every selected check; overrides can disable checks."""
    by_name = {result.name: result for result in results}
    selected = context.selected_asset_check_keys
    for spec in (item for item in context.assets_def.check_specs if item.key in selected):
        result = by_name.get(spec.name, CheckOutcome(spec.name, True, "not enabled in this run"))
        yield dg.AssetCheckResult(
            check_name=spec.name,
            asset_key=spec.asset_key,
            passed=result.passed,
            severity=dg.AssetCheckSeverity.ERROR if spec.blocking else dg.AssetCheckSeverity.WARN,
            description=result.description,
            metadata=readable(result.values),
        )
