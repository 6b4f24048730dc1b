"""Turn the clips of a robot into a policy over REST: `motion_over_rest.py NAME CLIPS POLICY.onnx`.

The server is KINEMILL_URL, the token of a promoter KINEMILL_TOKEN.
"""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

FINAL = ("SUCCESS", "FAILURE", "CANCELED")


def send(path: str, body: object = None) -> Any:
    """Send JSON, or put bytes; return the answer, bytes of a file."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    kind = {"PUT": "application/octet-stream"}.get(
        method := "PUT" if isinstance(body, bytes) else "GET" if body is None else "POST",
        "application/json",
    )
    headers = {"Authorization": f"Bearer {os.environ['KINEMILL_TOKEN']}", "Content-Type": kind}
    url = f"{os.environ['KINEMILL_URL']}/api/v1/{path}"
    with urllib.request.urlopen(
        urllib.request.Request(url, data, headers, method=method)
    ) as answer:
        content = answer.read()
    return content if path.endswith(".onnx") else json.loads(content or b"null")


def main(name: str, clips: str, to: str, overrides: dict[str, object] | None = None) -> Any:
    """Draft the task, run it, and download the policy; return the document of the run."""
    draft = send("drafts", {"name": name, "learn": "motion"})["id"]
    for clip in sorted(Path(clips).iterdir()):
        send(f"drafts/{draft}/logs/{clip.name}", clip.read_bytes())
    task = send(f"drafts/{draft}/build", {})["preview"]["task"]
    send("tasks", {"task": task, "draft": draft})
    run = send("runs", {"task": name, "overrides": overrides or {}})["id"]
    while (document := send(f"runs/{run}"))["status"] not in FINAL:
        time.sleep(2)
    Path(to).write_bytes(send(f"models/{name}/{document['version']}/files/policy.onnx"))
    return document


if __name__ == "__main__":
    print(main(*sys.argv[1:4]))
