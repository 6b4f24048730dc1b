"""Fit candidates: train each for some seconds, write it as a trained model, and measure it."""

import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from kinemill.dataset import PackedDataset
from kinemill.errors import BadInput
from kinemill.selection.constants import (
    EVALUATIONS,
    FEWEST,
    NEWTON,
    PROBE_SHARE,
)
from kinemill.selection.cross_validation import Fold
from kinemill.selection.validation_errors import (
    CandidateErrors,
    ValidationRows,
    measured,
    step_seconds,
)
from kinemill.store import digest, publish_json, read_json, to_json_value
from kinemill.task import NullReporter, Task, WarmStart
from kinemill.task.portfolio import Candidate, CandidateResult
from kinemill.train.loop import fit
from kinemill.train.time_limit import time_limit
from kinemill.train.warm_start import WEIGHTS, description_of, load_model, write_trained

NOISE = "noise.json"  # names of states
_MODEL = "model"  # folder of a fit's weights


@dataclass(frozen=True)
class CandidateFits:
    """Fit, train and measure the candidates of a portfolio.

    Attributes:
        learn: settings of `objectives.dynamics`, without a model.
        task: the task with these settings as `learn`.
        data: the packed dataset and its training set.
        rows: rows of the validation split for the measurement.
        folder: folder of the portfolio; each fit has a folder in it.
        device: device of the trainings.
    """

    learn: Any
    task: Task
    data: tuple[PackedDataset, PackedDataset]
    rows: ValidationRows
    folder: Path
    device: Any

    def result_of(
        self, candidate: Candidate, empty: CandidateResult, seconds: float
    ) -> CandidateResult:
        """Fit a candidate, or train it for about `seconds`, and measure it.

        Args:
            candidate: candidate to fit.
            empty: result with the name and the round of the candidate, without errors.
            seconds: time of the training, s.

        Raises:
            KinemillError: The settings do not fit the task or the data, or the training diverged.
        """
        task = self.task_of(candidate, FEWEST, seconds)
        if problems := task.learn.problems(task.channels):
            raise BadInput(f"candidate {candidate.name}", "; ".join(text for _, text in problems))
        began = time.monotonic()
        # Later rounds start from the weights of the previous round.
        start = self.start_of(candidate, empty.round - 1) if empty.round > 1 else None
        module, objective = self.prepare(task, self.data, start)
        steps = 0
        per_step = 0.0
        if candidate.trains:
            per_step = step_seconds(module, objective, task.learn, PROBE_SHARE * seconds)
            steps = max(FEWEST, gradient_steps(task.learn, seconds, per_step))
            task = self.task_of(candidate, steps, seconds)
            folder = self._folder_of(candidate, empty.round)
            rest = seconds - (time.monotonic() - began)
            steps = _train(module, objective, task.learn, folder, rest)
        module = module.to("cpu").eval()
        written = self._folder_of(candidate, empty.round) / _MODEL  # the next round starts from it
        write_trained(written, description_of(task, self.data, ""), module.state_dict())
        result = self._measured(candidate, empty, module)
        return replace(result, steps=steps, step_seconds=per_step)

    def published_result(
        self, candidate: Candidate, empty: CandidateResult, published: Path
    ) -> CandidateResult:
        """Measure the model of a published reference, so that what is compared is what is served.

        Args:
            candidate: its settings.
            empty: result with its name, without errors.
            published: its folder.
        """
        written = self._folder_of(candidate, empty.round) / _MODEL
        shutil.copytree(published, written, dirs_exist_ok=True)
        return self._measured(candidate, empty, load_model(written).eval())

    def _measured(
        self, candidate: Candidate, empty: CandidateResult, module: nn.Module
    ) -> CandidateResult:
        if not candidate.trains and not (self.folder / NOISE).is_file():
            publish_json(self.folder / NOISE, self.rows.find_noise(module))
        self.restore_noise()
        return measured(empty, module, self.rows.errors_of(module))

    def restore_noise(self) -> None:
        """Give the small noise weight to the states that were noise to the first simple model.

        Without a stored list of such states, nothing changes.
        """
        if (path := self.folder / NOISE).is_file():
            self.rows.set_noise(read_json(path))

    def errors_on(
        self, fold: Fold, candidate: Candidate, step: float, seconds: float, number: int
    ) -> list[CandidateErrors]:
        """Return errors by recording of a candidate that is fitted without those of a fold.

        Args:
            fold: recordings that are left out, and the rest.
            candidate: candidate to fit.
            step: time of one training step, s.
            seconds: time of the training, s.
            number: number of the fold.

        Raises:
            KinemillError: The training diverged, or a time limit is over.
        """
        assert fold.training_set is not None
        began = time.monotonic()
        steps = FEWEST
        if candidate.trains:
            learn = self.task_of(candidate, FEWEST, seconds).learn
            steps = max(FEWEST, gradient_steps(learn, seconds, step))
        task = self.task_of(candidate, steps, seconds)
        module, objective = self.prepare(task, (fold.dataset, fold.training_set), None)
        if candidate.trains:
            folder = self._folder_of(candidate, f"fold-{number}")
            rest = seconds - (time.monotonic() - began)
            _train(module, objective, task.learn, folder, rest)
        fold.rows.set_noise(self.rows.noise)
        return fold.rows.errors_by_recording(module.to("cpu").eval())

    def task_of(self, candidate: Candidate, steps: int, seconds: float, windows: int = 1) -> Task:
        """Return the task with the settings of a candidate, see `learn_of`."""
        learn = learn_of(self.learn, candidate, steps, seconds, windows)
        return self.task.model_copy(update={"learn": learn})

    def prepare(
        self, task: Task, data: tuple[PackedDataset, PackedDataset], start: WarmStart | None
    ) -> tuple[Any, Any]:
        """Return module and objective of a training; the initial weights are evaluated too."""
        learn: Any = task.learn
        module, objective = learn.prepare(task, *data, self.device, start)
        return module, replace(objective, evaluate_start=True)

    def start_of(self, candidate: Candidate, number: int) -> WarmStart:
        """Return the weights of a round as the start of the next training."""
        folder = self._folder_of(candidate, number) / _MODEL
        return WarmStart(str(folder), digest(candidate.name), str(folder))

    def model_of(self, candidate: Candidate, number: int) -> nn.Module:
        """Return the model of a round."""
        return load_model(self._folder_of(candidate, number) / _MODEL)

    def weights_of(self, candidate: Candidate, number: int) -> dict[str, torch.Tensor]:
        """Return the weights of a round."""
        return load_file(self._folder_of(candidate, number) / _MODEL / WEIGHTS)

    def _folder_of(self, candidate: Candidate, number: int | str) -> Path:
        return self.folder / f"{digest(to_json_value(candidate))[:16]}-{number}"


def _train(module: nn.Module, objective: Any, learn: Any, folder: Path, seconds: float) -> int:
    """Train a module to its best weights within a time limit, s; return the number of steps."""
    silent = NullReporter()
    with time_limit(seconds):
        state, best = fit(module, objective, learn, folder, (silent, silent))
    module.load_state_dict(best)
    return state.step


def learn_of(learn: Any, candidate: Candidate, steps: int, seconds: float, windows: int = 1) -> Any:
    """Return the settings of a candidate.

    Args:
        learn: settings of `objectives.dynamics`, without a model.
        candidate: its settings take precedence.
        steps: number of training steps.
        seconds: time limit of the candidate, s; 0: no limit.
        windows: factor of the windows of a Gauss-Newton fit.
    """
    settings = {
        **learn.model_dump(mode="json", exclude={"budget"}),
        "schedule": {"type": "cosine_warmup", "warmup_steps": max(1, steps // 20)},
        **candidate.settings,
        "steps": steps,
        "eval_every": max(1, steps // EVALUATIONS),
        "patience": None,
    }
    result = type(learn).model_validate(settings)
    if (newton := result.gauss_newton) is None:
        return result
    changes: dict[str, Any] = {"windows": windows * newton.windows}
    if seconds:
        changes["seconds"] = NEWTON * seconds
    return result.model_copy(update={"gauss_newton": newton.model_copy(update=changes)})


def gradient_steps(learn: Any, seconds: float, per_step: float) -> int:
    """Return how many training steps of `per_step` s fit into `seconds` of a candidate."""
    share = 1.0 if learn.gauss_newton is None else 1.0 - NEWTON
    return int(share * seconds / max(per_step, 1e-6))
