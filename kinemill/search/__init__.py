"""Search over the recordings of a task: a columnar view, queries, tags, and the rule of a dataset.

    from kinemill.search import search

    frame = search(task, home, "robot = 'r7' and max(elbow_velocity) > 20").collect()

The view, one row per recording, is a cache below `store/index/<task>/search/`. A search brings it
up to date first, and rebuilds it if it is missing.
"""

from kinemill.search.run import SearchResult, search

__all__ = ["SearchResult", "search"]
