"""Pulls over HTTP: a robot that installed a version asks for its checksums, with its name.

A robot has a token that may read. So it reports by a header of a read, which any MLflow server
accepts, and a page of another site cannot send. MLflow answers only for a version that exists.
"""

import re
from urllib.parse import parse_qsl, unquote

from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kinemill.register.pulls import record_pull
from kinemill.runtime.integrity import SUMS
from kinemill.runtime.registry_client import ROBOT_HEADER
from kinemill.store.home import Home
from kinemill_dagster.resources.tags import USER_HEADER

_TASK = re.compile(r"[a-z][a-z0-9_]*")


class PullRecorder:
    """MLflow's app, with a record of the robots that installed a version.

    Args:
        app: the app.
        home: where pulls are recorded.
    """

    def __init__(self, app: ASGIApp, home: Home) -> None:
        self._app, self._home = app, home

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward a request; record it if it reports an installation that MLflow confirms."""
        pull = _reported(scope)
        if pull is None:
            await self._app(scope, receive, send)
            return

        async def send_recorded(message: Message) -> None:
            # Before the response: a robot that gets one is recorded.
            if message["type"] == "http.response.start" and message["status"] == 200:
                await run_in_threadpool(record_pull, self._home, *pull)
            await send(message)

        await self._app(scope, receive, send_recorded)


def _reported(scope: Scope) -> tuple[str, str, int, str] | None:
    """Return task, robot, version and user of a request that reports an installation, or None."""
    if scope["type"] != "http" or scope["path"] != "/model-versions/get-artifact":
        return None
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
    robot, task = headers.get(ROBOT_HEADER.lower()), query.get("name", "")
    version = query.get("version", "")
    if not robot or query.get("path") != f"bundle/{SUMS}" or not version.isdecimal():
        return None
    if not _TASK.fullmatch(task):
        return None
    return task, unquote(robot), int(version), headers.get(USER_HEADER.lower(), "")
