"""Registered model: a version in the registry, challenger, or champion if the gate passes.

Input: verification and its inputs. The version has signature, files, metrics and the digests of
task, data and code. The rules of the gate are checks that never block: after a refusal the champion
stays, and the run succeeds. Rebuilt when the verification or the task's `promote` part changes; an
earlier decision about the same model is kept.

"""

from pathlib import PurePosixPath

import dagster as dg

from kinemill.errors import BadInput
from kinemill.register import tags
from kinemill.register.gate.rules import RULES
from kinemill.register.verdict import Verdict, is_of
from kinemill.register.versions import Version, versions_of
from kinemill.store import MANIFEST, Artifact, ArtifactRef, file_digest, to_json_value
from kinemill.store.home import Home
from kinemill.store.remote_sync import bring
from kinemill.task.protocols import Progress
from kinemill.validate.check_results import CheckOutcome
from kinemill_dagster.assets.metadata import build_metadata, table
from kinemill_dagster.assets.stage import (
    ChainSettings,
    Checks,
    CheckSpec,
    Events,
    emit,
    joined_outcome,
    stage,
)
from kinemill_dagster.resources.io import LATEST, handed_on, note
from kinemill_dagster.resources.links import report_link, task_link, version_link
from kinemill_dagster.resources.task_resource import TaskResource, rules_of

_AFTER = ["dataset", "model", "onnx_model", "verification"]


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `registered_model` of a task."""
    task = settings.task
    specs = {f"gate_{rule}": CheckSpec(str(RULES[rule].__doc__)) for rule in RULES}
    checks = Checks(specs, _evaluate)

    @stage(settings, "registered_model", __doc__, after=_AFTER, kinds={"mlflow"}, checks=checks)
    def registered_model(
        context: dg.AssetExecutionContext, resource: TaskResource, **made: ArtifactRef
    ) -> Events:
        from kinemill.register import stage as register
        from kinemill_dagster.resources.training import (
            files_page,
            run_page,
            tracked_run,
            version_page,
        )

        produced = register.Produced(**made, run_id=tracked_run(resource, made["model"]))
        registration = register.run(resource.task, resource.home, produced)
        value = to_json_value(registration)
        note(resource.home, context.run.run_id, task.name, "registration", value)
        yield from emit(
            context,
            Artifact(
                _ref_of(resource.home, registration.report),
                value,
                cached=registration.status == "unchanged",
            ),
            build_metadata(
                summary=registration.headline,
                version=registration.version,
                alias=registration.alias,
                decision=registration.decision,
                gate=table([vars(line) for line in registration.gate]),
                report=report_link(resource.home, resource.home.root / registration.report),
                files=files_page(resource, made["model"], registration.logged_model),
                page=version_link(resource.home, task.name, registration.version),
                history=task_link(resource.home, task.name),
                mlflow_run=run_page(resource, made["model"]),
                registry=version_page(resource.home, task.name, registration.version),
            ),
            _check_results(registration.gate),
        )
        if handed_on(resource.home, context.run.run_id, task.name, "recordings"):  # a whole run
            note(resource.home, LATEST, task.name, "rules", rules_of(resource.task))

    return registered_model


def _evaluate(
    resource: TaskResource, registered: ArtifactRef, progress: Progress
) -> list[CheckOutcome]:
    """Return the recorded results of the gate."""
    del progress
    return _check_results(_version_of(resource.home, resource.task.name, registered).gate)


def _ref_of(home: Home, report: str) -> ArtifactRef:
    """Return the artifact with the report of a decision, constant for a version."""
    folder = PurePosixPath(report).parent
    bring(home, home.root / folder)  # another machine can have registered it
    return ArtifactRef(folder.as_posix(), file_digest(home.root / folder / MANIFEST))


def _version_of(home: Home, task: str, registered: ArtifactRef) -> Version:
    """Return the version of a published decision.

    Raises:
        BadInput: The version was deleted.
    """
    for version in versions_of(home, task):
        if PurePosixPath(version.tags.get(tags.REPORT, "")).parent.as_posix() == registered.path:
            return version
    fix = f"kinemill run {task} registers it again"
    raise BadInput(registered.path, "is the decision about a deleted version", fix=fix)


def _check_results(gate: list[Verdict]) -> list[CheckOutcome]:
    """Return the results of the gate by rule."""
    results: list[CheckOutcome] = []
    for rule in RULES:
        lines = [vars(line) for line in gate if is_of(rule, line.rule)]
        results += joined_outcome(f"gate_{rule}", lines, "rule")
    return results
