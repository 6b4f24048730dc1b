"""History buffer: one thread writes, other threads read."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from kinemill.runtime.history_buffer import HistoryBuffer


def test_a_reader_sees_the_rows_of_one_moment_while_another_thread_writes():
    history, rounds = 50, 3000
    stored = HistoryBuffer(history, 1)
    for step in range(history):
        stored.add(np.full(1, step, np.float32), np.full(1, step, np.float32))
    done = threading.Event()

    def write():
        for step in range(history, history + rounds):
            stored.add(np.full(1, step, np.float32), None)
            stored.apply(np.full(1, step, np.float32))
        done.set()

    def read():
        while not done.is_set():
            states, actions = stored.repeat(2)
            assert (np.diff(states[0, :, 0]) == 1.0).all()  # consecutive rows
            assert (actions[0] == states[0, :-1]).all()  # each with its own action

    with ThreadPoolExecutor(3) as pool:
        for future in [pool.submit(job) for job in (write, read, read)]:
            future.result(timeout=60.0)
    assert stored.repeat(1)[0][0, -1, 0] == history + rounds - 1


def test_threads_that_write_lose_no_row():
    stored = HistoryBuffer(4000, 1)
    action = np.zeros(1, np.float32)

    def write(number):
        for step in range(1000):
            stored.add(np.array([number, step], np.float32), action)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert len({tuple(state) for state, _ in stored.rows}) == 4000
