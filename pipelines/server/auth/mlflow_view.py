"""MLflow's pages in their machine-learning view, without the assistant, whose routes are closed.

MLflow keeps the view in the browser's local storage and has no server setting for it: a new browser
would show traces of language models in place of runs, and no model registry. Its start page
therefore loads a script that sets the defaults. The two routes of the assistant that every page
requests, and the account that only MLflow's own login has, are answered with an empty document, so
that no page shows an error in the browser's console. The keys are those of MLflow 3.17;
`tests/pipelines/test_browser.py` looks at the result.
"""

import json
import os
from pathlib import Path

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kinemill_dagster.resources.links import PREFIX

# Values of the browser's local storage, unless the user chose others.
_DEFAULTS = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.telemetry.info.alert.dismissed_v1": True,
    "mlflow.settings.telemetry.enabled_v1": False,
    "mlflow.home.getting-started.collapsed_v1": True,  # tutorials for language models
    "_mlflow_model_registry_promo_modal_dismissed_v1": True,
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
}
_SCRIPT = f"""\
for (const [key, value] of Object.entries({json.dumps(_DEFAULTS)}))
  if (localStorage.getItem(key) === null) localStorage.setItem(key, JSON.stringify(value));
document.head.append(Object.assign(document.createElement("style"),
  {{textContent: '[data-assistant-ui="true"] {{ display: none !important; }}'}}));
"""
_SCRIPT_PATH = "/static-files/kinemill.js"
# MLflow's components write inline styles and draw charts in workers; nothing leaves the server.
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'"
)
_EMPTY = {
    "/ajax-api/2.0/mlflow/users/current",
    "/ajax-api/3.0/mlflow/assistant/config",
    "/ajax-api/3.0/mlflow/assistant/providers",
}


def is_answered(path: str) -> bool:
    """Return whether a path, without the slash before it, is answered here and not by MLflow."""
    return f"/{path}" in _EMPTY or path.partition("/")[0] == PREFIX[1:]


class MlflowView:
    """MLflow's app with another start page.

    Args:
        app: MLflow's app.
        index: MLflow's index.html.
    """

    def __init__(self, app: ASGIApp, index: Path) -> None:
        self._app = app
        tag = f'<head><script src="{_SCRIPT_PATH[1:]}"></script>'
        html = index.read_text("utf-8").replace("<head>", tag, 1)
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
        self._pages: dict[str, Response] = {
            "/": Response(html, media_type="text/html", headers=headers),
            _SCRIPT_PATH: Response(_SCRIPT, media_type="text/javascript"),
            **dict.fromkeys(_EMPTY, JSONResponse({})),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one event of the server."""
        page = self._page(scope["path"]) if scope["type"] == "http" else None
        await (page or self._app)(scope, receive, send)

    def _page(self, path: str) -> Response | None:
        """Return a page of this class, or the way to kinemill's pages, which Dagster's server has.

        Descriptions of models and versions link to these by their path, as ports may change.
        """
        if path.split("/")[1] != PREFIX[1:]:
            return self._pages.get(path)
        return RedirectResponse(f"{os.environ.get('KINEMILL_DAGSTER_URL', '')}{path}", 303)
