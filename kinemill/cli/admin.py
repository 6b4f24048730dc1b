"""`kinemill admin rebuild-registry`: rebuild the MLflow registry from the store."""

from kinemill.cli.output import Json, document, notify, table


def rebuild_registry(as_json: Json = False) -> None:
    """Rebuild the MLflow registry from the store.

    Example: kinemill admin rebuild-registry
    """
    from kinemill.register.rebuild import rebuild_registry as rebuild
    from kinemill.store.home import Home

    summary = rebuild(Home.resolve())
    if as_json:
        document(summary)
        return
    rows = [[task, line["versions"], line["champion"]] for task, line in summary["tasks"].items()]
    table(f"registry of {summary['home']}", ["task", "versions", "champion"], rows)
    if summary["backup"]:
        notify(f"the database as it was is in {summary['backup']}")
