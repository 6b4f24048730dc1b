"""Shared code of all assets: declaration, emission of artifacts or cache hits, and checks."""

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from kinemill.errors import BadInput
from kinemill.store import Artifact, ArtifactRef, Json
from kinemill.task import Task
from kinemill.task.protocols import Progress
from kinemill.validate.check_results import CheckOutcome
from kinemill.validate.refusal import refusal
from kinemill_dagster.assets import CHAIN
from kinemill_dagster.assets.code import code_references, code_version
from kinemill_dagster.assets.lineage import asset_tags, external_deps
from kinemill_dagster.assets.metadata import build_metadata, readable
from kinemill_dagster.assets.partitions import joined_partitions, partitions_of
from kinemill_dagster.assets.pools import pool_of
from kinemill_dagster.resources.dagster_api import FreshnessPolicy
from kinemill_dagster.resources.io import latest
from kinemill_dagster.resources.links import described
from kinemill_dagster.resources.retryable import note_fault
from kinemill_dagster.resources.task_resource import TaskResource

Events = Iterator[dg.AssetCheckResult | dg.AssetMaterialization | dg.Output[ArtifactRef]]
_STAGE = {asset: stage for stage, asset in CHAIN.items()}
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
        conditions: automation conditions, by name of the asset.
    """

    task: Task
    resources: Mapping[str, dg.ResourceDefinition]
    conditions: Mapping[str, dg.AutomationCondition[dg.AssetKey]]


class _SharedOut(dg.Out):
    """An output with one shared definition per name: 200 tasks have 14,000 outputs, 70 names."""

    def to_definition(self, *args: Any, **kwargs: Any) -> Any:
        """Return the definition of the output with a name, the same one for every asset."""
        return _shared(self, super().to_definition, args, kwargs)


class _SharedIn(dg.In):
    """An input with one shared definition per name."""

    def to_definition(self, *args: Any, **kwargs: Any) -> Any:
        """Return the definition of the input with a name, the same one for every asset."""
        return _shared(self, super().to_definition, args, kwargs)


def _shared(
    one: object, define: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, object]
) -> Any:
    key = (id(one), args, tuple(sorted(kwargs.items())))
    if key not in _definitions:
        _definitions[key] = define(*args, **kwargs)
    return _definitions[key]


_definitions: dict[object, Any] = {}  # names of inputs and outputs, constants of this module
_MADE, _MADE_IN_PART = (
    _SharedOut(ArtifactRef, is_required=required, io_manager_key="refs")
    for required in (True, False)
)
# `dg.Any` is a DagsterType.
_CHECKED = _SharedOut(dg.Any, is_required=False)  # pyright: ignore[reportArgumentType]
_READ, _WAITED_FOR = _SharedIn(ArtifactRef), _SharedIn(dg.Nothing)


class _StageAsset(dg.AssetsDefinition):
    """An asset definition with the resources of its task.

    Dagster would create a copy with the resources of the code location, which its jobs have anyway.
    """

    def with_resources(self, resource_defs: Mapping[str, dg.ResourceDefinition]) -> "_StageAsset":
        """Return this asset."""
        del resource_defs
        return self


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

    It replaces `dg.multi_asset`, which inspects the signature of every function and takes 0.7 ms
    per asset instead of 0.3 ms: 0.8 s for 200 tasks.

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
    unread = [*external_deps(task, name), *joined_partitions(task, name)]
    orders = {one.to_python_identifier(): one for one in unread}

    def declare(body: Callable[..., Events]) -> dg.AssetsDefinition:
        ins = dict.fromkeys(inputs, _READ) | dict.fromkeys(orders, _WAITED_FOR)
        compute = _op(task, name, body, ins, checks)
        spec = dg.AssetSpec(
            key,
            deps=[*inputs.values(), *unread],
            group_name=task.name,
            description=described(page or "", task.name),
            skippable=bool(checks),
            code_version=code_version(task, _STAGE[name]),
            metadata=code_references(task, body),
            kinds=kinds,
            owners=task.owners,
            tags=asset_tags(task),
            freshness_policy=_freshness(task, name),
            partitions_def=partitions_of(task, name),
            automation_condition=settings.conditions.get(name),
        )
        return _StageAsset(
            keys_by_input_name=inputs | orders,
            keys_by_output_name={name: key},
            node_def=compute,
            specs=[spec],
            check_specs_by_output_name=_check_specs(key, checks),
            can_subset=checks is not None,
            resource_defs=settings.resources,
        )

    return declare


def _check_specs(key: dg.AssetKey, checks: Checks | None) -> dict[str, dg.AssetCheckSpec]:
    """Return Dagster's specs of an asset's checks, by name."""
    return {
        name: dg.AssetCheckSpec(
            name, asset=key, blocking=spec.blocking, description=spec.description
        )
        for name, spec in (checks.specs if checks else {}).items()
    }


def _op(
    task: Task,
    name: str,
    body: Callable[..., Events],
    ins: Mapping[str, dg.In],
    checks: Checks | None,
) -> dg.OpDefinition:
    """Return the op of an asset, with outputs for the reference and each check."""
    config: type[dg.Config] | None = body.__annotations__.get("config")
    return dg.OpDefinition(
        _compute(_with_checks_alone(body, name, checks) if checks else body, config),
        name=f"{task.name}__{name}",
        ins=ins,
        outs={
            name: _MADE_IN_PART if checks else _MADE,
            **dict.fromkeys(checks.specs if checks else (), _CHECKED),
        },
        config_schema=_schema_of(config) if config else None,
        required_resource_keys={task.name},
        pool=pool_of(task, name),
    )


@functools.cache
def _schema_of(config: type[dg.Config]) -> Any:
    return config.to_config_schema()


def _compute(
    body: Callable[..., Events], config: type[dg.Config] | None
) -> Callable[[dg.AssetExecutionContext, Mapping[str, ArtifactRef]], Events]:
    """Return the function of an asset's op.

    It tags a failed run as transient or not, for retries.
    """

    def compute(context: dg.AssetExecutionContext, inputs: Mapping[str, ArtifactRef]) -> Events:
        settings = {"config": config(**context.op_execution_context.op_config)} if config else {}
        try:
            yield from body(context, **inputs, **settings)
        except Exception as error:
            note_fault(context.instance, context.run.run_id, error)
            raise

    return compute


def _with_checks_alone(
    body: Callable[..., Events], asset: str, checks: Checks
) -> Callable[..., Events]:
    """Evaluate the stored artifact instead of the body in a run of checks only."""

    @functools.wraps(body)
    def wrapper(context: dg.AssetExecutionContext, *args: object, **kwargs: object) -> Events:
        if context.selected_asset_keys:
            yield from body(context, *args, **kwargs)
            return
        resource = get_task_resource(context)
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
    """Return the freshness policy of a task's last asset, from `retrain.max_age`."""
    seconds = task.retrain.max_age or task.retrain.freshness
    if seconds is None or name != CHAIN["register"]:
        return None
    most = max(timedelta(seconds=seconds), _SHORTEST)
    return FreshnessPolicy.time_window(fail_window=most, warn_window=most * 0.8)


def get_task_resource(context: dg.AssetExecutionContext) -> TaskResource:
    """Return the task resource of an asset."""
    key, *_ = context.assets_def.keys or {one.asset_key for one in context.assets_def.check_specs}
    return getattr(context.resources, key.path[0])


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
    resource, checks = get_task_resource(context), list(results or [])
    if results is not None:
        yield from _results(context, checks)
    blocking = {spec.name for spec in context.assets_def.check_specs if spec.blocking}
    folder = resource.home.root / artifact.ref.path
    common = build_metadata(
        digest=artifact.ref.digest, cached=artifact.cached, store=dg.MetadataValue.path(str(folder))
    )
    refuse_failed([one for one in checks if one.name in blocking], folder, {**metadata, **common})
    yield dg.Output(
        artifact.ref,
        output_name=context.asset_key.path[1],
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


def _results(
    context: dg.AssetExecutionContext, results: list[CheckOutcome]
) -> Iterator[dg.AssetCheckResult]:
    """Yield a result for every selected check; overrides can disable checks."""
    by_name = {result.name: result for result in results}
    selected = context.selected_asset_check_keys
    for spec in (one for one in context.assets_def.check_specs if one.key in selected):
        result = by_name.get(spec.name, CheckOutcome(spec.name, True, "not enabled in this run"))
        yield dg.AssetCheckResult(
            check_name=spec.name,
            asset_key=spec.asset_key,
            passed=result.passed,
            severity=dg.AssetCheckSeverity.ERROR if spec.blocking else dg.AssetCheckSeverity.WARN,
            description=result.description,
            metadata=readable(result.values),
        )


class Lines:
    """Progress of a stage as lines of the run's log; `advance` writes at most one per second."""

    def __init__(self, context: dg.AssetExecutionContext | dg.OpExecutionContext) -> None:
        self._log, self._last = context.log, time.monotonic()

    def log_message(self, message: str) -> None:
        """Write one line."""
        self._log.info(message)

    def advance(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Write the progress of the stage, at most once a second."""
        if time.monotonic() - self._last >= 1.0:
            self._last = time.monotonic()
            self._log.info(f"{stage} {done}/{total} {note}")
