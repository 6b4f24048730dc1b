"""Version of a shared database, the key of caches of the web pages."""

from contextlib import closing
from pathlib import Path

import psycopg2

from kinemill.store.versioned_cache import database_version


def test_each_commit_changes_the_version_of_a_shared_database(database):
    def version():
        return database_version(Path("unused.db"), "mlflow")

    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        versions = [version()]
        for statement in ("CREATE TABLE t (x int)", "INSERT INTO t VALUES (1)"):
            cursor.execute(statement)
            connection.commit()
            versions.append(version())
        cursor.execute("SELECT * FROM t")
        assert version() == versions[-1]
    assert len(set(versions)) == 3
