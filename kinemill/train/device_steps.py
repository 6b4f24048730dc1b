"""Training steps that never wait for a GPU, optionally as a CUDA graph.

The host only launches work. Window numbers go to the device once per epoch, and losses stay there
until the loop collects them. After a step whose loss or gradient is not finite, the device freezes
the weights. The host may detect this many steps later, and the NaN diagnosis still has the weights
from before that step.

Symbols: M members of an ensemble (1 without), B windows of a batch.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from kinemill.errors import TrainingFailed
from kinemill.task.learn import Learn
from kinemill.train.amp import MIN_SCALE
from kinemill.train.batches import Batches
from kinemill.train.compiled import CompiledStep, compiled
from kinemill.train.gradients import clip, gradient_of, max_norm
from kinemill.train.nan_diagnosis import NotFinite
from kinemill.train.objective import Objective
from kinemill.train.training_state import Training

SPAN = 1024  # steps whose losses the device keeps
SETTING = "learn.cuda_graph"
WARM_UP = 3  # calls before the capture, in which libraries choose kernels and allocate


class DeviceSteps:
    """The updates of a training on its device.

    The optimizer has to be fused: a fused kernel skips its update where `found_inf` is 1, the
    mechanism of torch's `GradScaler`.

    Args:
        training: state that changes from step to step.
        objective: objective of the training, see `objective.Objective`.
        learn: settings.
        batches: window numbers of each step.
    """

    def __init__(
        self, training: Training, objective: Objective, learn: Learn, batches: Batches
    ) -> None:
        self._training, self._objective, self._learn = training, objective, learn
        device = next(training.module.parameters()).device
        self._gradient = gradient_of(training, objective)
        self._batches = _DeviceBatches(batches, device)
        self._batch = torch.zeros(objective.members, batches.size, dtype=torch.int64, device=device)
        # Fused CUDA kernels read a rate in float32; on a CPU the rate is a Python float (float64).
        exact = torch.float32 if device.type == "cuda" else torch.float64
        self._rate = torch.zeros((), dtype=exact, device=device)
        self._failed = torch.zeros((), device=device)
        self._latest = torch.zeros(3, device=device)  # loss, norm, whether a step has failed
        self._records = torch.zeros(SPAN, 3, device=device)
        self._step, self._first, self._count = 0, 0, 0
        self._collected = list[float]()
        self._scalars = torch.zeros(3, device=device)  # see `CompiledStep.scalars`
        self._compiled: CompiledStep | None = None
        if training.state.compiled:
            assert isinstance(training.optimizer, torch.optim.AdamW)
            most = max_norm(learn)
            self._compiled = compiled(
                training.module, lambda some: objective.loss(some, 0), training.optimizer, most
            )
        self._is_graph = learn.cuda_graph == "on" and device.type == "cuda"
        for group in training.optimizer.param_groups:
            group["lr"] = self._rate
            if self._is_graph and "capturable" in group:
                group["capturable"] = True
        update = self._update if self._compiled is None else self._update_compiled
        self._work = CudaGraph(update, SETTING) if self._is_graph else update

    def __call__(self, step: int) -> None:
        """Launch one step; steps are made in order.

        Raises:
            NotFinite: An earlier step was not finite; checked here once every SPAN steps.
        """
        if self._count == SPAN:
            self._fetch()
        if self._count == 0:
            self._first = step
        learn = self._learn
        self._step = step
        torch.manual_seed((learn.seed * 1_000_003 + step) % 2**63)  # of drop-out
        self._batch.copy_(self._batches.at(step))
        rate = learn.schedule.rate(step, learn.optimizer.lr, learn.total_steps)
        self._rate.fill_(rate)
        if self._compiled is not None:
            for scalar, value in zip(self._scalars, self._compiled.scalars(rate), strict=True):
                scalar.fill_(value)
        self._work()
        self._records[self._count].copy_(self._latest)
        self._count += 1

    def collect(self) -> list[float]:
        """Wait for all steps, and return the losses of those not collected yet, in order.

        Raises:
            NotFinite: A loss or gradient was not finite; the weights are as before that step.
        """
        self._fetch()
        losses, self._collected = self._collected, []
        return losses

    def _fetch(self) -> None:
        if not self._count:
            return
        rows: list[list[float]] = self._records[: self._count].tolist()
        self._count = 0
        for number, (loss, norm, failed) in enumerate(rows):
            if failed:
                raise NotFinite(loss, norm, self._first + number)
            self._collected.append(loss / self._objective.members)

    def _update(self) -> None:
        """Make the step of `_batch` at `_rate`, and leave loss and norm in `_latest`."""
        training, optimizer = self._training, self._training.optimizer
        optimizer.zero_grad(set_to_none=True)
        loss = self._gradient(self._batch, self._step).detach()
        scaler = training.scaler
        if scaler is not None:
            # After a failure NaN gradients make the scaler skip every further step.
            is_fine = loss.isfinite() & (self._failed == 0)
            self._add_to_gradients(torch.where(is_fine, 0.0, torch.nan))
            scaler.unscale_(optimizer)
        norm = clip(training.module, max_norm(self._learn), self._objective.members)
        is_bad = ~norm.isfinite()
        if scaler is not None:
            # An overflow of the scaled gradient skips this step only and halves the scale. At
            # MIN_SCALE it is not caused by the scaling, and counts as a failure.
            is_bad = is_bad & (scaler.scale(torch.ones_like(loss)) <= MIN_SCALE)
        is_bad = is_bad | ~loss.isfinite()
        self._failed.copy_(torch.maximum(self._failed, is_bad.to(self._failed.dtype)))
        self._latest.copy_(torch.stack([loss, norm, self._failed]))
        if scaler is not None:
            scaler.step(optimizer)
            scaler.update()
            return
        fused: object = optimizer
        # The protocol of torch.amp.GradScaler.step: attributes that the fused kernel reads.
        setattr(fused, "grad_scale", None)  # noqa: B010 - torch declares neither
        setattr(fused, "found_inf", self._failed)  # noqa: B010
        optimizer.step()
        delattr(fused, "grad_scale")
        delattr(fused, "found_inf")

    def _update_compiled(self) -> None:
        """Make the same step by the compiled program, at the rate in `_scalars`."""
        assert self._compiled is not None
        rate = torch.where(self._failed > 0, torch.nan, self._scalars[:1])
        loss, norm = self._compiled.program(self._batch, torch.cat([rate, self._scalars[1:]]))
        is_bad = ~(loss.isfinite() & norm.isfinite())
        self._failed.copy_(torch.maximum(self._failed, is_bad.to(self._failed.dtype)))
        self._latest.copy_(torch.stack([loss, norm, self._failed]))

    def _add_to_gradients(self, value: Tensor) -> None:
        for parameter in self._training.module.parameters():
            if parameter.grad is not None:
                parameter.grad.add_(value)


class _DeviceBatches:
    """Batches of the device: the order of an epoch is sent once, from pinned memory."""

    def __init__(self, batches: Batches, device: torch.device) -> None:
        self._batches, self._device = batches, device
        self._epoch, self._orders = -1, torch.empty(0, 0, dtype=torch.int64)

    def at(self, step: int) -> Tensor:
        """Return the window numbers (M, B) of a step, on the device."""
        epoch, position = self._batches.position(step)
        if epoch != self._epoch:
            orders = self._batches.orders(epoch)
            if self._device.type == "cuda":
                orders = orders.pin_memory()
            self._orders = orders.to(self._device, non_blocking=True)
            self._epoch = epoch
        return self._orders[:, position : position + self._batches.size]


class CudaGraph:
    """Call `work`: the first WARM_UP times directly, later as a CUDA graph.

    A step of a small model is some hundred kernels of a few microseconds, and launching them takes
    longer than running them. A graph replays memory addresses, so tensors that `work` reads and
    writes must not move.

    Args:
        work: function of tensors on a GPU, without synchronization and with the same operations in
            each call.
        where: name of the setting, for the error.
    """

    def __init__(self, work: Callable[[], None], where: str) -> None:
        self._work, self._where, self._calls = work, where, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._stream = torch.cuda.Stream()

    def __call__(self) -> None:
        """Run `work` once.

        Raises:
            TrainingFailed: `work` cannot be captured as a CUDA graph.
        """
        if self._graph is None and self._calls < WARM_UP:
            self._calls += 1
            self._warm_up()
            return
        if self._graph is None:
            self._graph = self._captured()
        self._graph.replay()

    def _warm_up(self) -> None:
        # A capture runs on a side stream, so the warm-up does too (torch notes on CUDA graphs).
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            self._work()
        torch.cuda.current_stream().wait_stream(self._stream)

    def _captured(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        try:
            # "thread_local": other threads sample the memory and load images during the capture.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._work()
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            fix = f"set {self._where} to off"
            message = f"a step cannot be captured as a CUDA graph: {error}"
            raise TrainingFailed(self._where, message, fix=fix) from error
        return graph
