"""`kinemill admin rebuild-registry`: rebuild the MLflow registry from the store."""

from kinemill.cli.output import Json, document, news, table


def rebuild_registry(as_json: Json = False) -> None:
    """Rebuild the MLflow registry from the store.

    Example: kinemill admin rebuild-registry
    """
    from kinemill.register.rebuild import rebuild_registry as rebuild
    from kinemill.store.home import Home

    found = rebuild(Home.resolve())
    if as_json:
        document(found)
        return
    rows = [[task, line["versions"], line["champion"]] for task, line in found["tasks"].items()]
    table(f"registry of {found['home']}", ["task", "versions", "champion"], rows)
    if found["backup"]:
        news(f"the database as it was is in {found['backup']}")
