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
        from kinemill.selection.references import load_references
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
        """Return the parts of the report that are specific to this kind."""
        from kinemill.verify.dynamics_report import dynamics_parts

        return dynamics_parts(subject, document)


KINDS.register("dynamics")(DynamicsKind())
