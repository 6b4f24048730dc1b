"""References and champion for the comparison with an evaluated dynamics model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from kinemill.api.models import LoadedModel
from kinemill.errors import BadInput, CorruptArtifact
from kinemill.runtime import Simulator, load

if TYPE_CHECKING:
    from kinemill.dataset import PackedDataset
    from kinemill.runtime.window_metrics import Predictor
    from kinemill.store import ArtifactRef
    from kinemill.verify.logs import Logs

Predictors = dict[str, "Predictor"]


@dataclass(frozen=True)
class ComparedModels:
    """The models of a comparison by name.

    Attributes:
        windows: models compared over windows.
        episodes: models compared over whole episodes.
        notes: reasons for omitted models.
        scale: standard deviation of the training rows by channel, or None if these are unknown.
        training: the training rows, or None.
    """

    windows: Predictors
    episodes: Predictors
    notes: list[str]
    scale: Any
    training: "PackedDataset | None"


def compared_models(loaded: LoadedModel[Simulator], logs: "Logs", horizon: int) -> ComparedModels:
    """Return the references and the champion for a comparison on logs.

    Args:
        loaded: the model.
        logs: the logs of the comparison.
        horizon: steps ahead at which errors are compared.
    """
    from kinemill.dataset.scale import training_scale
    from kinemill.selection.references import Persistence
    from kinemill.verify.evaluation import references_for

    notes = list[str]()
    training, why = _training_rows(loaded)
    if training is None:
        windows: Predictors = {"persistence": Persistence()}
        episodes = dict(windows)
        notes.append(f"linear models are omitted, because they are fitted to training rows: {why}")
    else:
        references = references_for(loaded.task, loaded.home, training[0], logs, horizon)
        windows = references.predictors()
        episodes = references.free_run()
    champion, why = _champion(loaded)
    if champion is not None:
        windows["champion"] = episodes["champion"] = champion
    elif why:
        notes.append(f"no comparison with the champion: {why}")
    scale = training_scale(training[1]) if training is not None else _stated_scale(loaded)
    if scale is None:
        notes.append(
            "errors are relative to the standard deviation of these logs, not of the training rows"
        )
    return ComparedModels(windows, episodes, notes, scale, training[1] if training else None)


def _stated_scale(loaded: LoadedModel[Simulator]) -> Any:
    """Return the scale of errors in the bundle of a model, or None."""
    from kinemill.verify.analysis import stated_scale
    from kinemill.verify.document import VERIFICATION, read_verification

    if not (loaded.folder / VERIFICATION).is_file():
        return None
    accuracy = read_verification(loaded.folder).accuracy
    return stated_scale(accuracy, loaded.model.interface.states)


def _training_rows(
    loaded: LoadedModel[Simulator],
) -> "tuple[tuple[ArtifactRef, PackedDataset] | None, str]":
    """Return the training dataset of the model, ref and rows; or None and the reason."""
    from kinemill.dataset import find_version, load_dataset
    from kinemill.verify.files import unlike

    interface = loaded.model.interface
    try:
        version = find_version(loaded.home, loaded.task.name, interface.dataset)
        rows = load_dataset(loaded.home, version.ref)
    except (BadInput, CorruptArtifact) as error:
        return None, str(error)
    if differing := unlike(interface, rows):
        return None, f"the dataset has other {'; '.join(differing)}"
    return (version.ref, rows), ""


def _champion(loaded: LoadedModel[Simulator]) -> tuple[Simulator | None, str]:
    """Return the champion, unless it is the model itself."""
    from kinemill.register.bundle import model_digest
    from kinemill.register.champion import load_champion

    try:
        champion = load_champion(loaded.home, loaded.task.name)
    except CorruptArtifact as error:
        return None, str(error)
    if champion is None or champion.version == loaded.version:
        return None, ""
    if loaded.version is None and champion.model == model_digest(loaded.folder):
        return None, ""
    simulator = load(champion.folder, non_finite="pass")
    interface = loaded.model.interface
    champion_interface = simulator.interface
    if (interface.states, interface.actions, interface.dt) != (
        champion_interface.states,
        champion_interface.actions,
        champion_interface.dt,
    ):
        return None, f"version {champion.version} has other channels or another time step"
    return simulator, ""
