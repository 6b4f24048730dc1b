"""A training in several processes: `python -m resources.torchrun_job JOB PARENT_PID PROCESSES`.

This process is torchrun's agent. It polls the processes ten times per second, and terminates all
when one has ended. It does not restart them: the run is retried and resumes from the checkpoint.
The processes end with this one, and this one with its parent.
"""

import os
import signal
import sys
from collections.abc import Mapping

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.run import main as torchrun

from kinemill.process import exit_with_parent

_POLL = 0.1  # s


def run(job: str, processes: int) -> int:
    """Run the processes until all have ended; return the exit code.

    EX_TEMPFAIL stands for a killed process: a retry can succeed.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # suppress long messages of torchrun
    try:
        torchrun(
            [
                "--standalone",
                f"--nproc-per-node={processes}",
                "--max-restarts=0",
                f"--monitor-interval={_POLL}",
                "--module",
                "kinemill_dagster.resources.training_process",
                job,
                str(os.getpid()),
            ]
        )
    except ChildFailedError as error:
        return report_failures(error.failures, processes)
    return 0


def report_failures(failures: Mapping[int, ProcessFailure], processes: int) -> int:
    """Log the ends of processes, and return the exit code."""
    codes = {rank: failure.exitcode for rank, failure in sorted(failures.items())}
    # torchrun ends the others by SIGTERM
    first = {rank: code for rank, code in codes.items() if code != -signal.SIGTERM} or codes
    for rank, code in first.items():
        if code < 0:
            how = f"was killed by signal {-code}"
            sys.stderr.write(f"process {rank} of {processes} {how}; the others were ended\n")
            return os.EX_TEMPFAIL
    return first[min(first)]  # failures of others follow from one of rank 0


def main() -> int:
    """Run the job on the command line."""
    job, parent, processes = sys.argv[1:]
    exit_with_parent(int(parent))
    return run(job, int(processes))


if __name__ == "__main__":
    sys.exit(main())
