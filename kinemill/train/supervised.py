"""Base classes of the learn types that train on episodes in the training loop."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from kinemill.store import ArtifactRef, Home
from kinemill.task import Learn, Task, WarmStart
from kinemill.tracking.run_links import note_steps
from kinemill.train.context import Trained, TrainingContext
from kinemill.train.run_config import dotted
from kinemill.train.summary import LearnFacts


class Supervised(Learn):
    """Learn from a packed dataset and its training set, batch by batch."""

    def open(self, home: Home, dataset: ArtifactRef, training_set: ArtifactRef) -> object:
        """Return the packed dataset and its training set."""
        from kinemill.dataset import load_dataset

        return load_dataset(home, dataset), load_dataset(home, training_set)

    def prepare(
        self,
        task: Task,
        dataset: object,
        training_set: object,
        device: object,
        start: WarmStart | None = None,
    ) -> Any:
        """Return the module to train and its `kinemill.train.objective.Objective`.

        Args:
            task: the task with these settings as `learn`.
            dataset: first result of `open`, with the validation split.
            training_set: second result of `open`.
            device: torch device of the training.
            start: the `WarmStart` of `start_from`, if it is set.

        Raises:
            BadInput: A split is empty, its episodes are too short, the start model has another
                layout, or `freeze` matches no weight.
        """
        return self.setup_function()(self, task, (dataset, training_set), device, start)

    @abstractmethod
    def setup_function(self) -> Callable[..., object]:
        """Return the function that `prepare` calls; import it here, because it needs torch."""

    def train(self, task: Task, data: Any, bench: TrainingContext) -> Trained:
        """Train the module of `prepare`; call `eval_callback` at each evaluation.

        Raises:
            BadInput: As in `prepare`, the callback does not exist or fails, a custom network cannot
                be exported, or the batch is too large for the data or the memory.
            TrainingFailed: The loss or a gradient is not finite, or memory does not suffice.
        """
        from kinemill.models.networks.own import user_networks
        from kinemill.train.ensemble import Ensemble
        from kinemill.train.eval_callback import load_callback
        from kinemill.train.loop import fit
        from kinemill.train.memory import check_batch

        watch = load_callback(self.eval_callback, task)
        dataset, training_set = data
        module, objective = self.prepare(task, dataset, training_set, bench.device, bench.start)
        member = module.alone(0) if isinstance(module, Ensemble) else module
        for network in user_networks(member):
            network.check_export()
        parameters = sum(value.numel() for value in module.parameters())
        learn = self.with_steps(objective.windows)
        check_batch(learn, objective, bench.device)
        sizes = {"parameters": parameters, "learn.steps": learn.steps}
        bench.tracker.log_params(dotted(task.part("learn")) | sizes)
        learn._note_sizes(parameters, objective.windows, bench)
        state, best = fit(module, objective, learn, bench.folder, bench.listeners, watch)
        module.load_state_dict(best)
        fitted = _named_parameters(module, bench)
        return Trained(
            weights=best,
            history=state.history,
            step=state.step,
            best_step=state.best_step,
            best=state.best,
            monitor=objective.monitor,
            facts=LearnFacts(
                parameters=parameters,
                windows=objective.windows,
                train_loss=state.history["train/loss"][-1][1],
                epochs=round(state.step / learn.epoch_steps(objective.windows), 2),
                fitted=fitted,
            ),
        )

    def _note_sizes(self, parameters: int, windows: int, bench: TrainingContext) -> None:
        """Report the sizes of a training, and the steps that follow from `epochs`."""
        text = f"{parameters} parameters, {windows} windows, {bench.device}"
        if self.epochs is not None:
            text += f"; {self.epochs} epochs are {self.total_steps} steps"
            note_steps(bench.folder, self.total_steps)
        bench.progress.log_message(text)


def _named_parameters(module: Any, bench: TrainingContext) -> dict[str, float]:
    """Log and return the parameters of custom equations by name; empty for other models."""
    from kinemill.train.ensemble import Ensemble

    if isinstance(module, Ensemble) or not hasattr(module.network, "parameters_by_name"):
        return {}
    fitted = module.network.parameters_by_name()
    text = ", ".join(f"{name} {value:.3g}" for name, value in fitted.items())
    bench.progress.log_message(f"fitted parameters: {text}")
    return fitted


class Demonstrated(Supervised):
    """Learn a policy from demonstrations."""

    gives: ClassVar[Literal["dynamics", "policy"]] = "policy"
    parts: ClassVar[tuple[str, ...]] = ("dt", "channels", "environment")
    version: ClassVar[int] = 4

    def open(self, home: Home, dataset: ArtifactRef, training_set: ArtifactRef) -> object:
        """Return the demonstrations of the dataset, and those of its training set."""
        from kinemill.train.demonstrations import Demonstrations

        return Demonstrations.open(home, dataset), Demonstrations.open(home, training_set)
