"""Third-party packages that benchmarks compare with, in a separate environment.

`python -m benchmarks._peers` installs them into `.venv/peers`: they pin older versions of
kinemill's dependencies, so they need a separate environment. They are installed without their
dependencies, except those that kinemill's environment lacks or has in too new a version.
"""

import importlib
import subprocess
import sys

from benchmarks import ROOT

FOLDER = ROOT / ".venv" / "peers"
PACKAGES = [
    *("onyxengine==0.1.15", "requests-toolbelt==1.0.0", "websockets==14.2", "python-dotenv"),
    *("jax==0.10.2", "jaxlib==0.10.2", "opt-einsum==3.4.0"),
]


def peer(module: str):
    """Import a module of a peer, or say on stderr how to install it and return None."""
    if str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        print(f"{error}; python -m benchmarks._peers installs it, left out now", file=sys.stderr)
        return None


if __name__ == "__main__":
    command = [sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(FOLDER)]
    subprocess.run([*command, *PACKAGES], check=True)
