"""Turn the clips of a robot into a policy over REST: `motion_over_rest.py NAME CLIPS POLICY.onnx`.

KINEMILL_URL is the server, and KINEMILL_TOKEN the token of a promoter.
"""

import json
import os
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

FINAL = ("completed", "failed", "canceled")


def send(method: str, path: str, body: object = None) -> bytes:
    """Send JSON or bytes, and return the response."""
    data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    headers = {"Authorization": f"Bearer {os.environ['KINEMILL_TOKEN']}"}
    headers |= {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
    url = f"{os.environ['KINEMILL_URL']}/api/v1/{path}"
    request = urllib.request.Request(url, None if method == "GET" else data, headers, method=method)
    with urllib.request.urlopen(request) as response:
        return response.read()


def main(name: str, clips: str, to: str, **learn: object) -> Any:
    """Draft the task, run it with settings of `learn`, download the policy, return the run."""
    draft = json.loads(send("POST", "drafts", {"name": name, "learn": "motion"}))["id"]
    for clip in sorted(Path(clips).iterdir()):
        send("PUT", f"drafts/{draft}/logs/{clip.name}", clip.read_bytes())
    task = json.loads(send("POST", f"drafts/{draft}/build"))["preview"]["task"]
    task["learn"] |= learn
    run = json.loads(send("POST", "tasks", {"task": task, "draft": draft}))["run"]
    while (document := json.loads(send("GET", f"runs/{run}")))["status"] not in FINAL:
        time.sleep(2.0)
    if document["status"] != "completed":
        sys.exit(document["error"])
    version = document["model"].rpartition("/")[2]
    Path(to).write_bytes(send("GET", f"models/{name}/{version}/files/policy.onnx"))
    return document


if __name__ == "__main__":
    print(main(*sys.argv[1:4]))
