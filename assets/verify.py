"""Verification: how good the exported model is, judged from its files alone in a fresh process.

From: the ONNX model, the trained model for parity, and the dataset's test split. Error of every
channel in its unit over the horizon, against persistence and linear models on the same history;
parity with the trained network; latency in ms; the files and what they say of themselves. One
report that opens without a network. Refreshed with the model or the task's `verify` part.
"""

import dagster as dg

from assets.stage import Answer, Asked, Events, Lines, hand_on, mill_of, stage
from assets.vocabulary import picture, say, table
from kinemill.spec import Task
from kinemill.store import Json, Ref, open_ref, read_json
from resources.links import report_link

_CHECKS = {
    "parity": Asked("the files give the numbers of the trained network, on all probes"),
    "files": Asked("the files are valid and whole, and say what the dataset says"),
    "nan": Asked("NaN in an input is NaN in every output of that row, and in no other"),
    "finite": Asked("every prediction on the test split and the probes is finite"),
    "behaviour": Asked("same in, same out; angles end at π; nonsense is refused; physical sense"),
    "latency": Asked("one rollout is as quick as the task wants, in ms"),
}
# Which lines of the verification each check gathers, by words in their names.
_WORDS = {
    "files": ["valid", "whole", "operators", "versions", "interface", "metadata"],
    "nan": ["NaN"],
    "behaviour": ["repeatable", "behaves", "angles", "nonsense", "energy", "symmetry"],
}


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `verification` of a task."""
    after = ["onnx_model", "model", "dataset"]

    @stage(task, "verification", __doc__, after=after, kinds={"onnx"}, checks=_CHECKS)
    def verification(
        context: dg.AssetExecutionContext, onnx_model: Ref, model: Ref, dataset: Ref
    ) -> Events:
        from kinemill.verify import verify
        from resources.pictures import error_growth

        mill = mill_of(context)
        outcome = verify(mill.task, mill.home, onnx_model, model, dataset, Lines(context))
        folder = open_ref(mill.home, outcome.ref)
        found = read_json(folder / "verification.json")
        yield from hand_on(
            context,
            outcome,
            say(
                errors=table(_lines(found["metrics"])),
                error_growth=picture(error_growth(mill.home, task.name, outcome.ref)),
                parity=table(found["parity"]),
                latency=table([{"what": k, **v} for k, v in found["latency_ms"].items()]),
                gates=table(found["gates"]),
                report=report_link(mill.home, folder / "report.html"),
            ),
            _answers(found["gates"]),
        )

    return verification


def _lines(metrics: Json) -> list[Json]:
    """Return one line for each channel, the last for all of them together."""
    test = [{"channel": name, **line} for name, line in metrics["test"].items()]
    return [*test, {"channel": "nrmse", "unit": "", **metrics["nrmse"]}]


def _answers(gates: list[Json]) -> list[Answer]:
    answers: list[Answer] = []
    for check in _CHECKS:
        words = _WORDS.get(check, [check])
        lines = [gate for gate in gates if any(word in gate["name"] for word in words)]
        if lines:
            told = "; ".join(f"{gate['name']}: {gate['found']}" for gate in lines)
            passed = all(gate["passed"] for gate in lines)
            answers.append(Answer(check, passed, told, {"lines": lines}))
    return answers
