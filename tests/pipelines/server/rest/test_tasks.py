"""Tasks over REST."""


def test_tasks_are_listed_with_their_errors(site):
    run = site.dagster.add("tiny")
    broken, tiny = site.get("tasks")["tasks"]
    assert "did you mean 'channels'" in broken["problem"]
    assert (tiny["name"], tiny["problem"], tiny["learn"]) == ("tiny", None, "dynamics")
    assert (tiny["versions"], tiny["champion"], tiny["last_run"]["id"]) == (0, None, run)


def test_task_document_has_all_settings(site):
    settings = site.get("tasks/tiny")["settings"]
    assert settings["learn"]["history"] == 3
    assert settings["channels"]["cart_force"]["unit"] == "N"
    assert "did you mean 'tiny'" in site.get("tasks/tine", status=404)["message"]
    assert "chanels" in site.get("tasks/broken", status=400)["message"]


def test_task_with_a_champion_names_it(trained):
    tiny = trained.get("tasks/tiny")
    assert (tiny["versions"], tiny["champion"]) == (1, 1)
    assert tiny["last_run"]["model"] == "models:/tiny/1"
