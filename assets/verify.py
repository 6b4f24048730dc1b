"""Verification: the quality of the exported model, measured on its files in a new process.

Inputs: the ONNX model, the trained model for parity, the references and the dataset's test split.
For dynamics models: the error of every channel in its unit over the horizon, compared with the
references. For policies: return and success rate in the environment, and actions compared with
logs. Also parity with the trained network, latency in ms, and validity of the files and their
metadata. The report is an offline HTML file. Rebuilt when the model or the task's `verify` part
changes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import dagster as dg

from kinemill.store import ArtifactRef, Json, open_ref, to_json_value
from kinemill.task.protocols import Progress
from kinemill.validate.check_results import CheckOutcome
from kinemill.verify.checklist import Gate
from kinemill.verify.document import Verification, read_verification
from kinemill.verify.results import Metrics
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
from kinemill_dagster.resources.lines import Lines
from kinemill_dagster.resources.links import report_link
from kinemill_dagster.resources.task_resource import TaskResource

_CHECKS = {
    "parity": CheckSpec("the files reproduce the trained network's outputs on all test inputs"),
    "files": CheckSpec("the files are valid and complete, and their metadata match the dataset"),
    "nan": CheckSpec("NaN in an input gives NaN in every output of that row only"),
    "finite": CheckSpec("every prediction or return on the test split and test inputs is finite"),
    "behavior": CheckSpec(
        "outputs are deterministic, within limits and plausible; invalid inputs are rejected"
    ),
    "latency": CheckSpec("the time of one call is within the task's limit, in ms"),
}
_OF_POLICIES = {"closed_loop": CheckSpec("in the environment the files act as the trained network")}
# Lines of the verification by check, selected by words in their names.
_NAME_PARTS = {
    "files": ["valid", "complete", "operators", "versions", "interface", "metadata"],
    "nan": ["NaN"],
    "behavior": [
        *("repeatable", "angles", "invalid input", "energy", "symmetry"),
        *("limits of actions", "out of range", "reset"),
    ],
    "closed_loop": ["closed loop", "same return"],
}


def make(settings: ChainSettings) -> dg.AssetsDefinition:
    """Return the asset `verification` of a task."""
    task = settings.task
    policy = task.learn.gives == "policy"
    after = ["onnx_model", "model", "dataset", *([] if policy else ["references"])]
    specs = {**_CHECKS, **(_OF_POLICIES if policy else {})}

    def evaluate(
        resource: TaskResource, verification: ArtifactRef, progress: Progress
    ) -> list[CheckOutcome]:
        """Return the results of the checks."""
        del progress
        document = read_verification(open_ref(resource.home, verification))
        return _check_results(document.gates, specs)

    checks = Checks(specs, evaluate)

    @stage(settings, "verification", __doc__, after=after, kinds={"onnx"}, checks=checks)
    def verification(
        context: dg.AssetExecutionContext, resource: TaskResource, **made: ArtifactRef
    ) -> Events:
        from kinemill.verify import stage as verify_stage
        from kinemill.verify.headline import headline

        made.pop("references", None)  # the stage reads the references from the store
        artifact = verify_stage.run(resource.task, resource.home, **made, progress=Lines(context))
        folder = open_ref(resource.home, artifact.ref)
        document = read_verification(folder)
        yield from emit(
            context,
            artifact,
            build_metadata(
                summary=headline(document).text,
                **(_trials(document) if policy else _predicted(document)),
                gates=table([asdict(gate) for gate in document.gates]),
                report=report_link(resource.home, folder / "report.html"),
                latency=table(
                    [{"what": k, **asdict(times)} for k, times in document.latency_ms.items()]
                ),
                parity=table([to_json_value(row) for row in document.parity]),
            ),
            _check_results(document.gates, specs),
        )

    return verification


def _predicted(document: Verification) -> Json:
    """Return metadata of a dynamics model: errors, and episodes in closed loop."""
    loop = document.closed_loop
    return build_metadata(
        errors=table(_lines(document.metrics)),
        closed_loop=table([asdict(episode) for episode in loop.episodes]) if loop else None,
    )


def _trials(document: Verification) -> Json:
    """Return metadata of a policy: returns in its environment, and errors to logged actions."""
    lines = [
        {
            "who": who,
            "return": trials.mean_return,
            **({"success": trials.success} if trials.success is not None else {}),
            "95 % of the return": list(trials.return_interval),
        }
        for who, trials in document.trials.items()
    ]
    errors = table(_lines(document.metrics)) if document.metrics.test else None
    return build_metadata(trials=table(lines) if lines else None, errors=errors)


def _lines(metrics: Metrics) -> list[Json]:
    """Return one row per channel, and a last row for the mean."""
    values: Json = to_json_value(metrics)
    test = [
        {"channel": name, "unit": line["unit"], **line["rmse"]}
        | ({"note": line["note"]} if line["note"] else {})
        for name, line in values["test"].items()
    ]
    return [*test, {"channel": "nrmse", "unit": "", **values["nrmse"]}]


def _check_results(gates: Sequence[Gate], checks: Iterable[str]) -> list[CheckOutcome]:
    results: list[CheckOutcome] = []
    for check in checks:
        parts = _NAME_PARTS.get(check, [check])
        lines = [asdict(gate) for gate in gates if any(part in gate.name for part in parts)]
        results += joined_outcome(check, lines, "name")
    return results
