"""Verification: how good the exported model is, judged from its files alone in a fresh process.

From: the ONNX model, the trained model for parity, the references and the dataset's test split. Of
dynamics: the error of every channel in its unit over the horizon, against the references. Of a
policy: return and success in its environment, and its actions beside those of logs. Parity with the
trained network; latency in ms; the files and what they say of themselves. One report that opens
without a network. Refreshed with the model or the task's `verify` part.
"""

from collections.abc import Iterable

import dagster as dg

from assets.metadata import build_metadata, drawing, picture, table
from assets.stage import CheckResult, CheckSpec, Events, Lines, emit, get_task_resource, stage
from kinemill.store import ArtifactRef, Json, open_ref, read_json
from kinemill.task import Task
from resources.links import report_link
from resources.task_resource import TaskResource

_CHECKS = {
    "parity": CheckSpec("the files give the numbers of the trained network, on all probes"),
    "files": CheckSpec("the files are valid and whole, and say what the dataset says"),
    "nan": CheckSpec("NaN in an input is NaN in every output of that row, and in no other"),
    "finite": CheckSpec("every prediction, or return, on the test split and the probes is finite"),
    "behavior": CheckSpec("same in, same out; limits hold; nonsense is refused; physical sense"),
    "latency": CheckSpec("one call is as quick as the task wants, in ms"),
}
_OF_POLICIES = {
    "closed_loop": CheckSpec("in its environment the files act as the trained network does"),
}
# Which lines of the verification each check gathers, by words in their names.
_WORDS = {
    "files": ["valid", "whole", "operators", "versions", "interface", "metadata"],
    "nan": ["NaN"],
    "behavior": [
        *("repeatable", "behaves", "angles", "nonsense", "energy", "symmetry"),
        *("limits of actions", "out of range", "reset"),
    ],
    "closed_loop": ["closed loop", "same return"],
}


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `verification` of a task."""
    policy = task.learn.gives == "policy"
    after = ["onnx_model", "model", "dataset", *([] if policy else ["references"])]
    checks = {**_CHECKS, **(_OF_POLICIES if policy else {})}

    @stage(task, "verification", __doc__, after=after, kinds={"onnx"}, checks=checks)
    def verification(context: dg.AssetExecutionContext, **made: ArtifactRef) -> Events:
        from kinemill.verify import verify
        from kinemill.verify.headline import headline

        mill = get_task_resource(context)
        made.pop("references", None)  # what it is compared with, which `verify` finds in the store
        outcome = verify(mill.task, mill.home, **made, progress=Lines(context))
        folder = open_ref(mill.home, outcome.ref)
        found = read_json(folder / "verification.json")
        yield from emit(
            context,
            outcome,
            build_metadata(
                summary=headline(found).text,
                **(_tried(found) if policy else _predicted(mill, outcome.ref, found)),
                gates=table(found["gates"]),
                report=report_link(mill.home, folder / "report.html"),
                latency=table([{"what": k, **v} for k, v in found["latency_ms"].items()]),
                parity=table(found["parity"]),
            ),
            _answers(found["gates"], checks),
        )

    return verification


def _predicted(mill: TaskResource, verification: ArtifactRef, found: Json) -> Json:
    """Show how far a model of dynamics is off, and how that grows over the horizon."""
    from resources.pictures import error_growth

    drawn = error_growth(mill.home, mill.task.name, verification)
    looped = found["closed_loop"]
    return build_metadata(
        errors=table(_lines(found["metrics"])),
        error_growth=picture(drawn),
        closed_loop=table(looped["episodes"]) if looped else None,
    )


def _tried(found: Json) -> Json:
    """Show what a policy brings in its environment, and how far it is from the actions of logs."""
    from resources.pictures import returns_drawn

    lines = [
        {
            "who": who,
            **{name: tried[name] for name in ("return", "success") if tried[name] is not None},
            "95 % of the return": tried["return_interval"],
        }
        for who, tried in found.get("trials", {}).items()  # without an environment there are none
    ]
    metrics = found["metrics"]
    errors = table(_lines(metrics)) if metrics["test"] else None
    drawn = drawing(returns_drawn(found["trials"])) if lines else None
    return build_metadata(trials=table(lines) if lines else None, returns=drawn, errors=errors)


def _lines(metrics: Json) -> list[Json]:
    """Return one line for each channel, the last for all of them together."""
    test = [{"channel": name, **line} for name, line in metrics["test"].items()]
    return [*test, {"channel": "nrmse", "unit": "", **metrics["nrmse"]}]


def _answers(gates: list[Json], checks: Iterable[str]) -> list[CheckResult]:
    answers: list[CheckResult] = []
    for check in checks:
        words = _WORDS.get(check, [check])
        lines = [gate for gate in gates if any(word in gate["name"] for word in words)]
        if lines:
            told = "; ".join(f"{gate['name']}: {gate['found']}" for gate in lines)
            passed = all(gate["passed"] for gate in lines)
            answers.append(CheckResult(check, passed, told, {"lines": lines}))
    return answers
