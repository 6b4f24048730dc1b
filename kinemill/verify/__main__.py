"""The judging process: `python -m kinemill.verify JOB.json`, started by `verify`."""

import json
import sys
from pathlib import Path

from kinemill.home import Home
from kinemill.process import die_with, quicken
from kinemill.runtime import load
from kinemill.store import Ref, open_ref, publish_json


def main(file: Path) -> None:
    """Do the job that `file` describes and write its answer."""
    job = json.loads(file.read_bytes())
    die_with(job["parent"])
    quicken()

    import torch

    from kinemill.dataset import load_dataset
    from kinemill.spec.parts import Verify
    from kinemill.train import load_model
    from kinemill.verify.curves import fitting_in
    from kinemill.verify.judge import judge, summary
    from kinemill.verify.report import write

    torch.set_num_threads(1)
    home = Home(Path(job["home"]))
    onnx_model, model, dataset = (
        Ref.from_json(job[name]) for name in ("onnx_model", "model", "dataset")
    )
    folder, rows = open_ref(home, onnx_model), load_dataset(home, dataset)
    simulator = load(folder, non_finite="pass")
    trained = open_ref(home, model)
    settings = Verify.model_validate(job["verify"])
    fitting = fitting_in(trained)
    verdict = judge(simulator, folder, load_model(trained), rows, settings, fitting)
    write(verdict, rows, Path(job["folder"]))
    publish_json(Path(job["answer"]), summary(verdict.document))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
