"""Set up behavior cloning: the policy, its objective, and its evaluation in the environment.

Symbols: B batch, K rows of a window, R trained rows, T actions of a chunk, A actions.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kinemill.dataset.windows import make_sequences
from kinemill.errors import BadInput
from kinemill.models._recurrent import Recurrent
from kinemill.models.networks.graph_noise import GraphNoise
from kinemill.models.networks.scaling import nonzero_std
from kinemill.models.networks.text_encoders import vocabulary
from kinemill.models.networks.weights import load_weights
from kinemill.policies.environments.evaluation import try_policy
from kinemill.policies.environments.factory import environment_of
from kinemill.policies.imitation.bc_policy import SCALES, BCPolicy, Memory
from kinemill.policies.imitation.obs_encoder import ObsEncoder
from kinemill.runtime.json_values import from_json
from kinemill.runtime.policy_layout import PolicyLayout
from kinemill.runtime.window_metrics import evenly_spaced
from kinemill.store import Json
from kinemill.task import Task, WarmStart
from kinemill.train.batches import Part, Prefetch
from kinemill.train.demonstrations import Demonstrations, Feed, layout_of
from kinemill.train.noise import KeyedNoise
from kinemill.train.objective import Objective
from kinemill.train.policy_runner import as_policy
from kinemill.train.transfer import freeze, start_policy

MAX_SEQUENCES = 2048  # validation sequences, evenly spaced
CHUNK = 256  # sequences per evaluation batch


@dataclass(frozen=True, eq=False)
class Samples:
    """The sequences of one split as tensors on a device.

    Attributes:
        feed: inputs at each row.
        actions: (N, A) float32 in task units.
        last: (N,) int64, last row of each row's episode.
        rows: (W, K) int64, observed rows of each sequence.
        there: mask of `rows`, (W, K): 1, or 0 before the first row of the episode.
        weights: (W,) float64, sampling weights.
    """

    feed: Feed
    actions: Tensor
    last: Tensor
    rows: Tensor
    there: Tensor
    weights: Tensor

    @classmethod
    def of(
        cls,
        data: Demonstrations,
        split: str,
        module: BCPolicy,
        stride: int,
        most: int | None = None,
    ) -> "Samples":
        """Return the sequences of a split, every `stride` rows; with `most`, evenly spaced ones."""
        device = module.action_std.device
        packed = data.packed
        lengths = {"history": module.memory.rows, "seq_len": module.chunk.length}
        sequences = make_sequences(packed, split, stride=stride, **lengths)
        which = evenly_spaced(np.arange(len(sequences)), most or len(sequences))
        return cls(
            feed=Feed(data, module.layout, device, np.unique(sequences.observed[which])),
            actions=torch.from_numpy(np.array(data.actions)).to(device),
            last=torch.from_numpy(data.last_rows).to(device),
            rows=torch.from_numpy(sequences.observed[which]).to(device),
            there=torch.from_numpy(sequences.observed_mask[which].astype(np.float32)).to(device),
            weights=torch.from_numpy(sequences.weights[which]),
        )

    def __len__(self) -> int:
        return len(self.rows)

    def rows_learned(self, module: BCPolicy) -> float:
        """Return the mean number of trained rows per sequence: 1, or up to K with a carry."""
        rows = self.there[:, -(module.memory.rows if module.memory.carried else 1) :].sum(dim=1)
        return float((rows.cpu().double() * self.weights).sum() / self.weights.sum())

    def future_actions(self, rows: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Return the next actions at rows (B,) and their mask: (B, T, A), (B, T) 1 or 0."""
        row_numbers = rows.unsqueeze(1) + torch.arange(length, device=rows.device)
        last = self.last.index_select(0, rows).unsqueeze(1)
        clipped = torch.minimum(row_numbers, last)
        chunk = self.actions.index_select(0, clipped.flatten()).view(*clipped.shape, -1)
        return chunk, (row_numbers <= last).to(chunk.dtype)


class Cloning:
    """The loss of `objectives.imitation` on training sequences, and errors on validation ones.

    Args:
        learn: settings of `objectives.imitation`.
        module: the policy to train.
        train: training sequences.
        watch: validation sequences.
    """

    def __init__(self, learn: Any, module: BCPolicy, train: Samples, watch: Samples) -> None:
        self.learn = learn
        self.module = module
        self.train = train
        self.watch = watch
        size = min(learn.batch_size * learn.accumulate, len(train))
        self._epoch_steps = len(train) // size
        self._usual_rows = train.rows_learned(module)
        self._prefetcher = Prefetch(module.action_std.device) if train.feed.is_read else None
        self._rows = train.rows.cpu().numpy() if train.feed.is_read else None

    @property
    def steady(self) -> bool:
        """Whether the loss of a sequence does not depend on the training step."""
        return not self.learn.head.seeded and self.static

    @property
    def static(self) -> bool:
        """Whether all steps run the same operations on the device."""
        return self.train.feed.steady

    def loss(self, which: Tensor, step: int, part: Part | None = None) -> Tensor:
        """Return the mean loss on sequences with numbers `which` (1, B) at a training step, ()."""
        keyed = None if part is None else (1, part)
        noise = KeyedNoise(self.learn.seed, step, which.device, keyed)
        read = (
            self._prefetcher.take(step, which.numel(), part)
            if self._prefetcher is not None
            else None
        )
        about = (noise, step // self._epoch_steps, read)
        total, _ = self._losses(self.train, which.flatten(), *about)
        # A constant divisor instead of the number of recorded rows: the losses of micro-batches
        # add up to the loss of the batch.
        return total / (which.numel() * self._usual_rows)

    @property
    def prefetch(self) -> Callable[[Tensor, int], None] | None:
        """Function that begins to read the images of the next step; None if all are in memory."""
        return self._prefetch if self._prefetcher is not None else None

    def _prefetch(self, which: Tensor, step: int) -> None:
        assert self._prefetcher is not None
        assert self._rows is not None
        rows = self._rows[which.flatten().numpy()].reshape(-1)
        epoch = step // self._epoch_steps
        self._prefetcher.request(step, which.numel(), lambda: self.train.feed.read(rows, epoch))

    def _losses(
        self,
        samples: Samples,
        which: Tensor,
        noise: KeyedNoise,
        epoch: int,
        read: dict[str, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return the sum of losses over recorded rows, and their number."""
        conditions, rows, there = self._conditions(samples, which, epoch, read)
        targets, mask = samples.future_actions(rows, self.module.chunk.length)
        losses = self.module.head.loss(conditions, self.module.scaled(targets), mask, noise)
        return (losses * there).sum(), there.sum()

    def _conditions(
        self, samples: Samples, which: Tensor, epoch: int, read: dict[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return conditions of the head (B R, E), their rows (B R,), and their mask (B R,)."""
        observed = samples.rows.index_select(0, which)
        there = samples.there.index_select(0, which)
        features = self.module.see(samples.feed.at(observed.flatten(), epoch, read))
        conditions = self.module.conditions(features.view(*observed.shape, -1), there)
        count = conditions.shape[1]
        rows = observed[:, -count:].flatten()
        there = there[:, -count:].flatten()
        return conditions.flatten(0, 1), rows, there

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Return the validation loss, and the RMS error of each chunk's first action.

        The error is in standard deviations of training.
        """
        losses = list[float]()
        squares = list[Tensor]()
        samples = torch.arange(len(self.watch), device=self.module.action_std.device)
        for number, part in enumerate(samples.split(CHUNK)):
            noise = KeyedNoise(self.learn.seed, number, part.device)
            total, rows = self._losses(self.watch, part, noise, 0)
            losses.append(float(total / rows) * len(part))
            squares.append(self._missed(part).square())
        return {
            "validation/loss": sum(losses) / len(samples),
            "validation/action": torch.cat(squares).mean().sqrt().item(),
        }

    def _missed(self, which: Tensor) -> Tensor:
        """Return the error of the current action, (B, A), in standard deviations of training."""
        conditions, rows, _ = self._conditions(self.watch, which, 0)
        rows_per_sample = len(conditions) // len(which)
        present = conditions[rows_per_sample - 1 :: rows_per_sample]
        rows = rows[rows_per_sample - 1 :: rows_per_sample]
        draws = GraphNoise(rows.unsqueeze(1), torch.zeros_like(rows.unsqueeze(1)))
        truth = self.module.scaled(self.watch.actions.index_select(0, rows))
        return self.module.head(present, draws)[:, 0] - truth

    def fit_batches(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield features (n, K, F) and scaled target chunks (n, T A) for closed-form fits."""
        with torch.no_grad():
            for part in torch.arange(len(self.train)).split(count):
                observed = self.train.rows[part.to(self.train.rows.device)]
                features = self.module.see(self.train.feed.at(observed.flatten()))
                targets, _ = self.train.future_actions(observed[:, -1], self.module.chunk.length)
                yield features.view(*observed.shape, -1), self.module.scaled(targets).flatten(1)


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
    layout = from_json(PolicyLayout, about["layout"])
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
    layout = from_json(PolicyLayout, about["layout"])
    vocabulary_words = tuple(about["words"])
    text_size = learn.text.size * len(layout.texts)
    encoders: dict[str, tuple[torch.nn.Module, int]] = {
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
