"""Says an environment variable: what a waiting process is asked to run in tests."""

import os
import sys

if __name__ == "__main__":
    sys.stdout.write(f"{sys.argv[1]}={os.environ[sys.argv[1]]} in {__name__}\n")
