"""ULog parsers: `kinemill.ingest.readers._ulog` against pyulog, on a whole and on damaged flights.

Run `python -m benchmarks.decide_log_parsers FILE.ulg`. The result is docs/decisions/log-parsers.md.
"""

import contextlib
import io
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pyulog import ULog

from kinemill.ingest.readers._ulog import fields_of, read_column, read_records

Values = dict[str, np.ndarray]  # timestamps (n,) us of each topic
DEFINITIONS = 90_000  # bytes at the start of the sample that define its topics
ROUNDS, DAMAGED, LIMIT = 5, 100, 10  # measurements, files of each kind, s for one file


def read_with_kinemill(path: Path) -> tuple[Values, bool]:
    """Read every field of every topic; return the timestamps and whether damage was reported."""
    data = path.read_bytes()
    contents = read_records(data)
    stamps: Values = {}
    for name, topic in contents.topics.items():
        if not topic.at:
            continue
        fields, size = fields_of(topic.name, contents.formats)
        at = np.array(topic.at, dtype=np.int64)[np.array(topic.sizes) >= size]
        columns = {key: read_column(data, at + k, kind) for key, (kind, k) in fields.items()}
        stamps[name] = columns["timestamp"]
    return stamps, bool(contents.damaged or contents.cut is not None)


def read_with_pyulog(path: Path) -> tuple[Values, bool]:
    """Read every field of every topic; return the timestamps and whether damage was reported."""
    log = ULog(str(path))
    stamps = {
        f"{one.name}[{one.multi_id}]" if one.multi_id else one.name: one.data["timestamp"]
        for one in log.data_list
    }
    return stamps, bool(log.file_corruption)


PARSERS = {"kinemill": read_with_kinemill, "pyulog": read_with_pyulog}


def main() -> None:
    """Print the times and the counts of every kind of damage."""
    path = Path(sys.argv[1])
    whole, draw = path.read_bytes(), random.Random(0)
    truth, _ = read_with_pyulog(path)
    for name, parser in PARSERS.items():
        seconds = [_seconds(parser, path) for _ in range(ROUNDS)]
        equal = all(np.array_equal(parser(path)[0][key], truth[key]) for key in truth)
        print(f"{name}: {np.median(seconds) * 1e3:.0f} ms, same timestamps as pyulog: {equal}")
    kinds: dict[str, Callable[[bytes], bytes]] = {
        "cut": lambda data: data[: draw.randrange(DEFINITIONS, len(data))],
        "one byte changed": lambda data: _overwrite(data, draw, 1),
        "64 zero bytes": lambda data: _overwrite(data, draw, 64),
        "one byte of a definition": lambda data: _overwrite(data, draw, 1, 16, DEFINITIONS),
    }
    with tempfile.TemporaryDirectory() as folder:
        for kind, damage in kinds.items():
            files = [damage(whole) for _ in range(DAMAGED)]
            for name, parser in PARSERS.items():
                print(f"{kind}, {name}: {_damage(parser, files, Path(folder) / 'a.ulg', truth)}")


def _overwrite(
    data: bytes, draw: random.Random, count: int, first: int = DEFINITIONS, last: int | None = None
) -> bytes:
    at = draw.randrange(first, (last or len(data)) - count)
    new = bytes([data[at] ^ (1 + draw.randrange(255))]) if count == 1 else bytes(count)
    return data[:at] + new + data[at + count :]


def _seconds(parser: Callable[[Path], tuple[Values, bool]], path: Path) -> float:
    start = time.perf_counter()
    parser(path)
    return time.perf_counter() - start


def _damage(
    parser: Callable[[Path], tuple[Values, bool]], files: list[bytes], path: Path, truth: Values
) -> str:
    """Count failures and reports; sum the true timestamps that were read, and the false ones."""
    failed = reported = right = wrong = 0
    for content in files:
        path.write_bytes(content)
        signal.signal(signal.SIGALRM, _expire)
        signal.alarm(LIMIT)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                stamps, damaged = parser(path)
        except Exception:  # noqa: BLE001  (each parser has its own)
            failed += 1
            continue
        finally:
            signal.alarm(0)
        reported += damaged
        for name, values in stamps.items():
            is_true_value = np.isin(values, truth.get(name, []))
            right, wrong = right + int(is_true_value.sum()), wrong + int((~is_true_value).sum())
    total = sum(map(len, truth.values())) * len(files)
    return (
        f"{failed} of {len(files)} refused, damage reported in {reported}, "
        f"{right / total:.1%} of the records read, {wrong} false timestamps"
    )


def _expire(*_: object) -> None:
    raise TimeoutError


if __name__ == "__main__":
    main()
