"""Learn on a robot behind a TCP socket: both sides, with a watchdog on the robot's.

    python socket_plant.py serve                 # on the robot; here a simulated one, in real time
    python socket_plant.py learn                 # on the computer with kinemill

Messages are lines of JSON: `reset`, `act`, `observe`, `heartbeat`. The robot rests when no message
came for `PATIENCE`, so a controller that died, or a cable that broke, does not keep its motors on.
"""

import contextlib
import json
import socket
import socketserver
import sys
import threading
import time

import numpy as np

from kinemill.api import learn_in_loop
from kinemill.control import ControlledPlant, EpisodeFailed, Robot
from kinemill.task import load_task

TASK = "cart_pole_swing_up_loop"
ADDRESS = ("127.0.0.1", 5555)
PATIENCE = 0.25  # s without a message until the motors rest
TIMEOUT = 1.0  # s until the computer considers the robot lost


class SocketPlant:
    """The computer's side: a `ControlledPlant` that talks to the robot over a socket.

    Args:
        address: host and port of the robot.
        limits: lowest and highest action, (2, A).
        timeout: s until an answer is late.
    """

    def __init__(self, address, limits, timeout=TIMEOUT):
        self.limits = np.asarray(limits, dtype=float)
        self.address, self._timeout = address, timeout
        self._file = None

    def reset(self, start):
        """Move the robot close to `start` (S,), and return its actual state (S,)."""
        return self._state(self._ask({"reset": list(map(float, start))}))

    def observe(self):
        """Wait for the measurement after the last action, (S,)."""
        return self._state(self._ask({"observe": True}))

    def act(self, action):
        """Send an action (A,)."""
        self._ask({"act": list(map(float, action))})

    def heartbeat(self):
        """Keep the robot's watchdog from resting its motors."""
        self._ask({"heartbeat": True})

    def close(self):
        """Close the connection; the robot rests."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _ask(self, message):
        try:
            if self._file is None:
                connection = socket.create_connection(self.address, self._timeout)
                with connection:  # the file keeps the connection open
                    self._file = connection.makefile("rw", encoding="utf-8")
            self._file.write(json.dumps(message) + "\n")
            self._file.flush()
            line = self._file.readline()
            if not line:
                raise ConnectionError("the robot closed the connection")
            return json.loads(line)
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError):  # unsent data cannot be flushed
                self.close()
            self._file = None
            host, port = self.address
            raise EpisodeFailed(
                f"robot at {host}:{port}",
                f"does not answer: {error}",
                expected=f"an answer within {self._timeout:g} s",
                fix="check the robot and the cable, then run the loop again",
            ) from error

    def _state(self, reply):
        return np.array(reply["state"], dtype=float)


class RobotSide:
    """The robot's side: a clock that holds the last action, and a watchdog.

    Args:
        plant: the robot: here `kinemill.control.Robot`, on hardware its drivers.
        dt: s between two measurements.
        patience: s without a message until the action is zero.
    """

    def __init__(self, plant: ControlledPlant, dt: float, patience: float = PATIENCE) -> None:
        self._plant, self._dt, self._patience = plant, dt, patience
        self._rest = np.clip(np.zeros(plant.limits.shape[1]), *plant.limits)
        self._action, self._state, self._last_message = self._rest, None, 0.0
        self._ticks = self._due_tick = 0
        self._changed = threading.Condition()
        self.applied = []  # actions, newest last
        threading.Thread(target=self._run, daemon=True).start()

    def handle(self, message):
        """Return the answer to one message."""
        with self._changed:
            self._last_message = time.monotonic()
            if "reset" in message:
                self._action = self._rest
                self._state = self._plant.reset(np.array(message["reset"]))
                self._due_tick = self._ticks
            elif "act" in message:
                self._action, self._due_tick = np.array(message["act"]), self._ticks + 1
            elif "observe" in message:
                self._changed.wait_for(lambda: self._ticks >= self._due_tick, timeout=10 * self._dt)
            else:
                return {"alive": True}
            return {"state": list(map(float, self._state))}

    def _run(self):
        next_tick = time.monotonic()
        while True:
            next_tick += self._dt
            time.sleep(max(0.0, next_tick - time.monotonic()))
            with self._changed:
                if self._state is None:
                    continue
                is_alive = time.monotonic() - self._last_message < self._patience
                applied = self._action if is_alive else self._rest
                self._plant.act(applied)
                self._state = self._plant.observe()
                self.applied.append(applied)
                self._ticks += 1
                self._changed.notify_all()


def serve(robot, address=ADDRESS):
    """Return a server that answers for a `RobotSide`; `serve_forever` runs it."""

    class Lines(socketserver.StreamRequestHandler):
        def handle(self):
            for line in self.rfile:
                self.wfile.write((json.dumps(robot.handle(json.loads(line))) + "\n").encode())

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    return socketserver.ThreadingTCPServer(address, Lines)


def main():
    """Run one of the two sides."""
    task = load_task(TASK)
    robot = Robot(task)
    if sys.argv[1:] == ["serve"]:
        serve(RobotSide(robot, task.dt)).serve_forever()
    elif sys.argv[1:] == ["learn"]:
        learn_in_loop(TASK, plant=SocketPlant(ADDRESS, robot.limits))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
