"""Records of MLflow for tests without a server."""

EXPERIMENTS = {"1": "notes", "2": "tiny", "3": "tiny/notes"}
RUNS = {"open": "1", "mill": "2"}


class FewRecords:
    """Three experiments, and a run in each of two."""

    def experiment(self, kind, name):
        return EXPERIMENTS.get(name if kind == "experiments" else RUNS.get(name))

    def experiment_at(self, path):
        parts = path.split("/")
        is_below = parts[2:3] == ["artifacts"] and parts[3:]
        return self.experiment("runs", parts[1]) if is_below else None

    def holds(self, source, run, model):
        return source == f"runs:/{run}/model"
