"""Policies as a kind of model for verification."""

from functools import partial
from pathlib import Path
from typing import Any

from kinemill.store import Home, open_ref
from kinemill.task.document import Task
from kinemill.verify.document import Verification
from kinemill.verify.job import Job
from kinemill.verify.report_sections import Parts
from kinemill.verify.subject import KINDS, Exported, Subject


class PolicyKind:
    """See `verify.subject.Kind`."""

    def exported(self, folder: Path) -> Exported:
        """Return the exported files of a folder."""
        from kinemill.policies.verification.exported_policy import ExportedPolicy

        return ExportedPolicy(folder)

    def subject(self, job: Job, task: Task) -> Subject:
        """Open a policy with its demonstrations, or in the environment of its card."""
        from kinemill.export.policy import describe
        from kinemill.export.summary import ExportSummary
        from kinemill.policies.environments.card import open_card
        from kinemill.policies.verification.subject import PolicySubject
        from kinemill.train import load_model
        from kinemill.train.demonstrations import Demonstrations
        from kinemill.train.warm_start import described

        home = Home(job.home)
        source = open_ref(home, job.model)
        module = load_model(source)
        about = described(source)
        trained = describe(module, about["task"], about["dataset"])
        folder = open_ref(home, job.onnx_model)
        subject = partial(
            PolicySubject,
            folder=folder,
            module=module,
            trained=trained,
            source=source,
            exported_summary=ExportSummary.read_folder(folder),
        )
        if task.learn.from_logs:
            return subject(task, demonstrations=Demonstrations.open(home, job.dataset))
        return subject(open_card(home, job.dataset).task(task))

    def parts(self, subject: Any, document: Verification) -> Parts:
        """Return the parts of the report that are specific to this kind."""
        from kinemill.policies.verification.sections import policy_parts

        return policy_parts(subject, document)


KINDS.register("policy")(PolicyKind())
