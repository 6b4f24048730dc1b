"""Dynamics models as a kind of model for verification."""

from pathlib import Path
from typing import Any

from kinemill.store import Home, open_ref
from kinemill.task.document import Task
from kinemill.verify.document import Verification
from kinemill.verify.job import Job
from kinemill.verify.report_sections import Parts
from kinemill.verify.subject import CLOSED_LOOPS, KINDS, Exported, Subject


class DynamicsKind:
    """See `verify.subject.Kind`."""

    def exported(self, folder: Path) -> Exported:
        """Return the exported files of a folder."""
        from kinemill.verify.exported_dynamics import ExportedDynamics

        return ExportedDynamics(folder)

    def subject(self, job: Job, task: Task) -> Subject:
        """Open a model, after closed-loop episodes if the task has a controller."""
        from kinemill.dataset import load_dataset
        from kinemill.export.interface import describe
        from kinemill.export.summary import ExportSummary
        from kinemill.selection.references.published import load_references
        from kinemill.train import load_model
        from kinemill.train.warm_start import described, kind_of
        from kinemill.verify.document import ModelKind
        from kinemill.verify.dynamics import DynamicsSubject
        from kinemill.verify.losses import Counted

        home = Home(job.home)
        folder = open_ref(home, job.onnx_model)
        trained = open_ref(home, job.model)
        step = load_model(trained)
        about = described(trained)
        run = CLOSED_LOOPS["control"] if task.control is not None else None
        looped, motion = (run and run(task, folder)) or (None, "")
        return DynamicsSubject(
            folder=folder,
            step=step,
            dataset=load_dataset(home, job.dataset),
            settings=task.verify,
            trained=describe(about, step),
            closed_loop=looped,
            motion=motion,
            exported_summary=ExportSummary.read_folder(folder),
            model=ModelKind(**kind_of(about)),
            references=load_references(home, job.references) if job.references else None,
            counted=Counted.of(task.promote, task.verify.horizon),
        )

    def parts(self, subject: Any, document: Verification) -> Parts:
        """Return accuracy, comparison, rollouts, stability, speed and data of a dynamics model."""
        from kinemill.reports.charts import number
        from kinemill.reports.components import card
        from kinemill.reports.templates import render
        from kinemill.verify.comparison_sections import best_card, horizons_card
        from kinemill.verify.figures import three_examples
        from kinemill.verify.output_errors import outputs_section
        from kinemill.verify.report_sections import (
            accuracy_card,
            analysis_sections,
            limits_text,
            windows_card,
        )

        analysis = subject.analysis
        interface = subject.exported.interface
        dataset = subject.dataset
        model = analysis.model
        latency = next(iter(document.latency_ms.values()))  # of a rollout
        horizon_ms = model.horizon * model.dt * 1000
        speed = f"p99 {number(latency.p99)} ms, {number(horizon_ms / latency.p50)} × real time"
        splits = {name: dataset.of(name) for name in ("train", "validation", "test")}
        text = (
            "The typical window has the median error; nine of ten windows are better than the hard."
        )
        examples = three_examples(model)
        shape = f"(1, {interface.history}, {len(interface.states)})"
        return Parts(
            kind="Model",
            cards=[
                accuracy_card(analysis),
                best_card(document),
                horizons_card(document),
                card(f"Rollout, {model.horizon} steps", number(latency.p50), "ms", speed),
                windows_card(analysis, "Held-out windows"),
            ],
            sections=[
                *analysis_sections(analysis, document, "the test split", examples, text),
                outputs_section(document.outputs, model.dt),
            ],
            details=render("verify/trials.html.j2", document=document, motion=subject.motion),
            checks_note="Accuracy is not a check; the gate compares it with the references and the "
            "champion.",
            channels=[
                [n, role, interface.units[n], limits_text(interface.limits, n)]
                for role, names in interface.roles.items()
                for n in names
            ],
            facts=[
                ["History", f"{interface.history} rows, {interface.history * interface.dt:.4g} s"],
                *[
                    [
                        name.capitalize(),
                        f"{len(items)} episodes, {sum(item.rows for item in items)} rows",
                    ]
                    for name, items in splits.items()
                ],
            ],
            code="simulator = kinemill.runtime.load(FOLDER)      # or "
            f"models:/{interface.task}@champion\n"
            f"simulator.rollout(states, past_actions, actions)  # states {shape}, float32",
        )


KINDS.register("dynamics")(DynamicsKind())
