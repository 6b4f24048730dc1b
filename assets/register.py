"""Registered model: a version in the registry, challenger first, champion if the gate lets it.

From: verification and all that it stands on. The version carries signature, files, metrics and
digests of task, data and code. The gate's rules are shown as checks here and never block: a refusal
keeps the champion, and the run stays green. Refreshed when the verification or the task's `promote`
part changes; a model that was decided on before is left as it is.
"""

import dagster as dg

from assets.stage import Answer, Asked, Events, hand_on, mill_of, stage
from assets.vocabulary import say, table
from kinemill.register.rules import RULES, is_of
from kinemill.spec import Task
from kinemill.store import Json, Ref
from resources.io import LATEST, generations, handed_on, note, noted_selections
from resources.links import report_link, task_link, version_link
from resources.mill import Mill, rules_of

_AFTER = ["dataset", "model", "onnx_model", "verification"]


def make(task: Task) -> dg.AssetsDefinition:
    """Make the asset `registered_model` of a task."""
    checks = {f"gate_{rule}": Asked(str(RULES[rule].__doc__)) for rule in RULES}

    @stage(
        task,
        "registered_model",
        __doc__,
        after=_AFTER,
        kinds={"mlflow"},
        checks=checks,
    )
    def registered_model(
        context: dg.AssetExecutionContext,
        dataset: Ref,
        model: Ref,
        onnx_model: Ref,
        verification: Ref,
    ) -> Events:
        from kinemill.register import Produced, register
        from resources.registration import outcome_of
        from resources.training import files_page, run_page, tracked_run, version_page

        mill = mill_of(context)
        selection, trained = _selected(context, mill, model)
        registration = register(
            mill.task,
            mill.home,
            Produced(verification, onnx_model, model, dataset, selection),
            run_id=tracked_run(mill, trained),
        )
        note(mill.home, context.run.run_id, task.name, "registration", registration.to_json())
        yield from hand_on(
            context,
            outcome_of(mill.home, registration),
            say(
                summary=registration.summary["headline"],
                version=registration.version,
                alias=registration.alias,
                decision=registration.summary["decision"],
                gate=table(registration.gate),
                report=report_link(mill.home, mill.home.root / registration.report),
                files=files_page(mill, trained, registration.summary["logged_model"]),
                page=version_link(task.name, registration.version),
                history=task_link(task.name),
                mlflow_run=run_page(mill, trained),
                registry=version_page(task.name, registration.version),
            ),
            _answers(registration.gate),
        )
        if handed_on(mill.home, context.run.run_id, task.name, "recordings"):  # a whole run
            note(mill.home, LATEST, task.name, "rules", rules_of(mill.task))

    return registered_model


def _selected(context: dg.AssetExecutionContext, mill: Mill, model: Ref) -> tuple[Ref | None, Ref]:
    """Return the comparison that chose the model, if one did, and the model that was trained."""
    from kinemill.verify.selection import load_selection

    runs = generations(context.instance, context.run)
    for selection in noted_selections(mill.home, runs, mill.task.name):
        found = load_selection(mill.home, selection)
        if found.model == model:
            return selection, found.trained
    return None, model


def _answers(gate: list[Json]) -> list[Answer]:
    """Gather the gate's lines by the rule that drew them."""
    answers: list[Answer] = []
    for rule in RULES:
        lines = [line for line in gate if is_of(rule, line["rule"])]
        if lines:
            told = "; ".join(f"{line['rule']}: found {line['found']}" for line in lines)
            passed = all(line["passed"] for line in lines)
            answers.append(Answer(f"gate_{rule}", passed, told, {"lines": lines}))
    return answers
