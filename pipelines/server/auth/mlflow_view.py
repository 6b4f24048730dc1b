"""MLflow's pages in their machine-learning view, without the assistant and the telemetry banner.

MLflow keeps the view in the browser's local storage and has no server setting for it. Its start
page therefore loads one script that sets the defaults of a new browser, and one style sheet that
hides the assistant's buttons. The guard closes the assistant's routes; the two that every page
requests, and the account that only MLflow's own login has, are answered here, so that no page
shows an error in the browser's console. The keys are those of MLflow 3.17;
`tests/pipelines/test_browser.py` looks at the result.
"""

import json
import os
from pathlib import Path

from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kinemill.errors import KinemillError
from kinemill_dagster.resources.links import PREFIX

# Values of the browser's local storage, unless the user chose others.
_DEFAULTS = {
    "mlflow.workflowType_v1": "machine_learning",  # shows the model registry in the sidebar
    "mlflow.telemetry.info.alert.dismissed_v1": True,
    "mlflow.settings.telemetry.enabled_v1": False,
    "mlflow.home.getting-started.collapsed_v1": True,  # tutorials for language models
    "_mlflow_model_registry_promo_modal_dismissed_v1": True,
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,
}
_FORCED = {"mlflow.assistant.panelOpen_v1": False}
_SCRIPT = f"""\
for (const [key, value] of Object.entries({json.dumps(_DEFAULTS)}))
  if (localStorage.getItem(key) === null) localStorage.setItem(key, JSON.stringify(value));
for (const [key, value] of Object.entries({json.dumps(_FORCED)}))
  localStorage.setItem(key, JSON.stringify(value));
"""
_STYLE = '[data-assistant-ui="true"] { display: none !important; }\n'
_SCRIPT_PATH = "/static-files/kinemill.js"
_STYLE_PATH = "/static-files/kinemill.css"
_TAGS = (
    f'<script src="{_SCRIPT_PATH[1:]}"></script><link href="{_STYLE_PATH[1:]}" rel="stylesheet">'
)
# MLflow's components write inline styles and draw charts in workers; nothing leaves the server.
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; worker-src 'self' blob:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'"
)
_API = {
    "/ajax-api/2.0/mlflow/users/current": {"user": None},
    "/ajax-api/3.0/mlflow/assistant/config": {
        "providers": {},
        "projects": {},
        "remote_access_allowed": False,
    },
    "/ajax-api/3.0/mlflow/assistant/providers": {
        "providers": [],
        "resolved": None,
        "gateway_vendor_options": {},
    },
}


def is_answered(path: str) -> bool:
    """Return whether a path, without the slash before it, is answered here and not by MLflow."""
    return f"/{path}" in _API or path.partition("/")[0] == PREFIX[1:]


class MlflowView:
    """MLflow's app with another start page.

    Args:
        app: MLflow's app.
        index: MLflow's index.html.

    Raises:
        KinemillError: `index` has no head.
    """

    def __init__(self, app: ASGIApp, index: Path) -> None:
        page = index.read_text("utf-8")
        if "<head>" not in page:
            fix = "install the version of MLflow in constraints.txt"
            raise KinemillError(index, "has no <head>", fix=fix)
        self._app = app
        html = page.replace("<head>", f"<head>{_TAGS}", 1)
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
        self._pages: dict[str, Response] = {
            "/": Response(html, media_type="text/html", headers=headers),
            _SCRIPT_PATH: Response(_SCRIPT, media_type="text/javascript"),
            _STYLE_PATH: Response(_STYLE, media_type="text/css"),
            **{path: JSONResponse(value) for path, value in _API.items()},
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
