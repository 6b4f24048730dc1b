"""Set up behavior cloning: the policy, its objective, and its evaluation in the environment."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinemill.errors import BadInput
from kinemill.models._recurrent import Recurrent
from kinemill.models.networks.scaling import nonzero_std
from kinemill.models.networks.text_encoders import vocabulary
from kinemill.models.networks.weights import load_weights
from kinemill.policies.environments.evaluation import try_policy
from kinemill.policies.environments.factory import environment_of
from kinemill.policies.imitation.bc_loss import MAX_SEQUENCES, Cloning, Samples
from kinemill.policies.imitation.bc_policy import SCALES, BCPolicy, Memory
from kinemill.policies.imitation.obs_encoder import ObsEncoder
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.store import Json
from kinemill.task import Task, WarmStart
from kinemill.train.demonstrations import Demonstrations, layout_of
from kinemill.train.objective import Objective
from kinemill.train.policy_runner import as_policy
from kinemill.train.transfer import freeze, start_policy

FAILURE = "validation/missed"
FITTED = 8192  # sequences per batch of a network that is fitted
Scale = Mapping[str, Tensor]
_TIE = 1e-3  # upper bound of the loss term, which decides between equal success rates
_ENCODER_SCALES = ("observation_mean", "observation_std")


def prepare(
    learn: Any,
    task: Task,
    data: tuple[Demonstrations, Demonstrations],
    device: torch.device,
    start: WarmStart | None,
) -> tuple[BCPolicy, Objective]:
    """Return the policy to train and its objective, see `Supervised.prepare`.

    Raises:
        BadInput: The data lack a channel, a split has no episodes, or there is no environment for
            the evaluation that the settings request.
    """
    about = learn.describe(task, data)
    layout = PolicyLayout.from_json(about["layout"])
    torch.manual_seed(learn.seed)
    module = assemble(learn, about, scale_of(data[0], layout)).to(device)
    for name in layout.images:
        if learn.image.checkpoint is not None:
            where = f"learn.image.checkpoint of {name}"
            load_weights(module.encoder.encoders[name], learn.image.checkpoint, where)
    train = Samples.of(data[1], "train", module, learn.stride)
    watch = Samples.of(data[0], "validation", module, 1, MAX_SEQUENCES)
    cloning = Cloning(learn, module, train, watch)
    evaluation = (
        EnvEvaluation(cloning, task) if learn.eval_in_env or learn.checkpoint == "success" else None
    )
    if start is not None:
        start_policy(module, start)
    elif hasattr(module.network, "fit") and learn.head.type == "deterministic":
        with torch.no_grad():
            module.network.fit(cloning.fit_batches(FITTED))
    freeze(module, learn.freeze)
    return module, Objective(
        loss=cloning.loss,
        evaluate=evaluation if evaluation is not None else cloning.evaluate,
        monitor=FAILURE if learn.checkpoint == "success" else f"validation/{learn.checkpoint}",
        windows=len(train),
        weights=None if bool((train.weights == 1.0).all()) else train.weights,
        steady=cloning.steady,
        static=cloning.static,
        prefetch=cloning.prefetch,
    )


def layout_with_media(learn: Any, task: Task, data: Demonstrations) -> PolicyLayout:
    """Return the layout of a policy: observations and actions of a task.

    Raises:
        BadInput: The dataset has no pictures of an observed image.
    """
    numbers, images, texts = learn.observed(task.channels)
    shapes = data.media.media.shapes if data.media else {}
    if missing := [name for name in images if name not in shapes]:
        where = f"dataset of {task.name}"
        raise BadInput(where, f"has no pictures of {', '.join(missing)}")
    return replace(
        layout_of(task, numbers),
        images={name: _shape(shapes[name]) for name in images},
        texts={name: learn.text_bytes for name in texts},
        seeded=learn.head.seeded,
    )


def _shape(values: list[int]) -> tuple[int, int, int]:
    height, width, colors = values
    return height, width, colors


def words_in(data: Demonstrations, layout: PolicyLayout) -> tuple[str, ...]:
    """Return the words of all training texts without augmentation, sorted."""
    values = {
        text
        for name in layout.texts
        for episode in data.packed.episodes
        for text in data.texts(episode.id, name)
    }
    return vocabulary(values)


def assemble(learn: Any, about: Json, scale: Scale) -> BCPolicy:
    """Make the policy of a description, with random weights.

    Args:
        learn: settings of `objectives.imitation`.
        about: result of `Imitation.describe`.
        scale: tensors by name, see `scale_of`.
    """
    layout = PolicyLayout.from_json(about["layout"])
    vocabulary_words = tuple(about["words"])
    text_size = learn.text.size * len(layout.texts)
    encoders: dict[str, tuple[Any, int]] = {
        name: (learn.image.build(shape, text_size), learn.image.size)
        for name, shape in layout.images.items()
    }
    for name, length in layout.texts.items():
        encoders[name] = (learn.text.build(length, vocabulary_words), learn.text.size)
    encoder = ObsEncoder(layout, about["angles"], scale, encoders)
    head = learn.head.build(learn.chunk.length, len(layout.actions))
    network = learn.model.build_acting(
        layout, (encoder.features, head.condition_size, learn.seq_len)
    )
    memory = Memory(learn.seq_len, isinstance(learn.model, Recurrent))
    return BCPolicy(layout, (encoder, network, head), memory, learn.chunk, scale)


def scale_of(data: Demonstrations, layout: PolicyLayout) -> dict[str, Tensor]:
    """Return means and standard deviations of inputs and actions, from the training split only.

    They are `observation_*` (D,) and `action_*` (A,), float64 in task units. The standard deviation
    of a constant channel counts as 1.

    Raises:
        BadInput: The training split has no episodes, or the dataset lacks a channel.
    """
    rows = data.packed.window_starts("train", 1)
    if not len(rows):
        raise BadInput(f"train split of {data.packed.task}", "has no episodes")
    scale: dict[str, Tensor] = {}
    for name, values in (
        ("observation", data.observed(layout.observation)),
        ("action", data.actions),
    ):
        numbers = torch.from_numpy(np.asarray(values[rows], np.float64))
        std = numbers.std(0, correction=0)
        scale[f"{name}_mean"] = numbers.mean(0)
        scale[f"{name}_std"] = nonzero_std(std, numbers.mean(0))
    return scale


def scale_in(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the scaling tensors among trained weights."""
    present = {name: weights[name] for name in SCALES}
    return present | {name: weights[f"encoder.{name}"] for name in _ENCODER_SCALES}


class EnvEvaluation:
    """Errors on validation episodes, and return and success rate in the environment.

    Its seeds come after those of the trials, so the final evaluation uses other starts.

    Args:
        cloning: loss and errors of the policy.
        task: task with an `environment` part.

    Raises:
        BadInput: The task has no environment.
    """

    def __init__(self, cloning: Cloning, task: Task) -> None:
        trials = environment_of(task).trials
        self._cloning = cloning
        self._task = task
        first = trials.seed + trials.episodes
        self.seeds = range(first, first + trials.n_eval_episodes)

    def __call__(self) -> dict[str, float]:
        """Return the metrics; `missed` is the failure rate plus a small term of the loss.

        The term is below 0.001, so it orders policies of equal failure rate only.

        Raises:
            BadInput: `learn.checkpoint` is success, and the environment does not report it.
        """
        errors = self._cloning.evaluate()
        trials = try_policy(self._task, as_policy(self._cloning.module), self.seeds)
        errors["validation/return"] = trials.mean_return
        if trials.success is not None:
            errors["validation/success"] = trials.success
            loss = errors["validation/loss"]
            errors[FAILURE] = 1.0 - trials.success + _TIE * (0.5 + math.atan(loss) / math.pi)
        elif self._cloning.learn.checkpoint == "success":
            where = "learn.checkpoint: success"
            raise BadInput(where, "the environment does not report it (info['is_success'])")
        return errors
