"""Turn the clips of a robot into a policy over REST: `motion_over_rest.py NAME CLIPS POLICY.onnx`.

    pip install requests

KINEMILL_URL is the server, and KINEMILL_TOKEN the token of a promoter.
"""

import os
import sys
import time
from pathlib import Path
from typing import Any

import requests


def main(name: str, clips: str, to: str, **learn: object) -> dict[str, Any]:
    """Draft the task, run it with settings of `learn`, download the policy, return the run."""
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {os.environ['KINEMILL_TOKEN']}"

    def send(method: str, path: str, **body: Any) -> requests.Response:
        """Send a request, and return the response."""
        response = session.request(method, f"{os.environ['KINEMILL_URL']}/api/v1/{path}", **body)
        response.raise_for_status()
        return response

    draft = send("POST", "drafts", json={"name": name, "learn": "motion"}).json()["id"]
    for clip in sorted(Path(clips).iterdir()):
        send("PUT", f"drafts/{draft}/logs/{clip.name}", data=clip.read_bytes())
    task = send("POST", f"drafts/{draft}/build", json={}).json()["preview"]["task"]
    task["learn"] |= learn
    run = send("POST", "tasks", json={"task": task, "draft": draft}).json()["run"]
    while (document := send("GET", f"runs/{run}").json())["completed_at"] is None:
        time.sleep(2.0)
    if document["status"] != "completed":
        sys.exit(document["error"])
    version = document["model"].rpartition("/")[2]
    file = send("GET", f"models/{name}/{version}/files/policy.onnx")
    Path(to).write_bytes(file.content)
    return document


if __name__ == "__main__":
    print(main(*sys.argv[1:4]))
