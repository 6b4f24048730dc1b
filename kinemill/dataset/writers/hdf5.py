"""HDF5: one file per split, one group per episode: `episode_0/observations/*`, `actions/*`, `time`.

Each HDF5 dataset has its unit as an attribute, each group the episode's id, the file `dt` in s.
"""

from pathlib import Path
from typing import Any

from kinemill.dataset.packed import SPLITS, PackedDataset, PackedEpisode
from kinemill.dataset.writers import TIME, WRITERS, Export, frame_of

OBSERVATIONS = "observations"
ACTIONS = "actions"


@WRITERS.register("hdf5")
def write(dataset: PackedDataset, folder: Path) -> Export:
    """Write `train.h5`, `validation.h5` and `test.h5`, unless they would be empty."""
    import h5py

    sources = {name: f"{OBSERVATIONS}/{name}" for name in dataset.states}
    sources |= {name: f"{ACTIONS}/{name}" for name in dataset.actions}
    files = {split: [f"{split}.h5"] for split in SPLITS if dataset.of(split)}
    for split, (name,) in files.items():
        with h5py.File(folder / name, "w") as file:
            file.attrs["task"], file.attrs["dt"] = dataset.task, dataset.dt
            for number, episode in enumerate(dataset.of(split)):
                group = file.create_group(f"episode_{number}")
                group.attrs["id"] = episode.id
                _fill(group, dataset, episode, sources)
    return Export({"format": "hdf5", "time": [TIME]}, files, sources)


def _fill(
    group: Any, dataset: PackedDataset, episode: PackedEpisode, sources: dict[str, str]
) -> None:
    frame = frame_of(dataset, episode)
    for name, path in (sources | {TIME: TIME}).items():
        values = group.create_dataset(path, data=frame[name].to_numpy(), compression="lzf")
        values.attrs["unit"] = dataset.units.get(name, "s")
