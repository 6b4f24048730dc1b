"""Records of MLflow for tests without a server."""

from kinemill_dagster.pipelines.auth.mlflow_records import Run


class FewRecords:
    """One open run of each of two users, a finished one, and one that kinemill made."""

    runs = {
        "open": Run("open", "otto", "1", is_finished=False),
        "done": Run("done", "otto", "1", is_finished=True),
        "olgas": Run("olgas", "olga", "1", is_finished=False),
        "mill": Run("mill", None, "2", is_finished=False),
    }

    def run(self, name):
        return self.runs.get(name)

    def model(self, name):
        return self.runs.get(name.removeprefix("m-"))

    def experiment(self, name):
        return {"1": "notes", "2": "tiny", "3": "tiny/notes"}.get(name)

    def owner_of(self, path):
        parts = path.split("/")
        return self.runs.get(parts[1]) if parts[2:3] == ["artifacts"] and parts[3:] else None

    def holds(self, source, run, model):
        return source == f"runs:/{run}/model"

    def is_task(self, name):
        return name == "tiny"
