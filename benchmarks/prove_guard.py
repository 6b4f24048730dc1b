"""No variation of a request bypasses the guard: `make prove-guard`.

Requests that a role may not make are varied (`_fuzzing`) and sent to Dagster's and MLflow's servers
behind the guard, as each role. After each batch, a digest of all databases and files is compared:
a request that a role may not make must change nothing in any variation. As a control, an admin
sends the same requests, which do change state. `--requests N` sends fewer, and writes nothing.
"""

import argparse
import json
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import _proof, replace_section
from benchmarks._fuzzing import as_message, send_message, vary
from benchmarks._guarded import MINE, ROLES, GuardedServers, guarded, state_digest
from benchmarks._payloads import Payload, Raw, payloads, upload_targets

REQUESTS, SEED = 12_000, 19
_BATCH, _AT_ONCE = 40, 4
_PATIENCE = 20.0  # s for an answer
_SOCKETS = 0.04  # share of GraphQL that is sent through a websocket
_CONTROL = 0.1  # share of the requests that the admin sends
_EXCERPT_LENGTH = 300
_NAMES = 1_000_000  # numbers of a role, so that no two requests make the same name


@dataclass
class RequestCounts:
    """What one role's requests did.

    Attributes:
        plain: payloads whose plain form the role may send.
        sent: variations.
        statuses: answers, by status; 0 for a connection that was closed.
        batches: digests that were compared.
        changes: batches after which the state differed.
        violations: what was changed, and by which requests.
    """

    plain: list[str] = field(default_factory=list[str])
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter[int])
    batches: int = 0
    changes: int = 0
    violations: list[str] = field(default_factory=list[str])

    @property
    def passed(self) -> int:
        """Return how many requests were answered with success."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 400)


def prove(
    servers: GuardedServers, requests: int, random_: random.Random
) -> dict[str, RequestCounts]:
    """Send variations as each role; return what they did."""
    counts_by_role: dict[str, RequestCounts] = {}
    control = max(_BATCH, int(requests * _CONTROL))
    others = [role for role in ROLES if role != "admin"]
    for role in ROLES:
        counts = counts_by_role[role] = RequestCounts()
        forbidden = _forbidden(servers, role, counts)
        if role == "admin":
            forbidden = payloads(servers)
        count = control if role == "admin" else (requests - control) // len(others)
        plain = ", ".join(counts.plain)
        _print_line(
            f"{role}: {len(forbidden)} payloads, {count} variations; permitted plainly: {plain}"
        )
        for batch in _batches(servers, role, forbidden, count, random_):
            _send_batch(servers, role, batch, counts)
    return counts_by_role


def _forbidden(servers: GuardedServers, role: str, counts: RequestCounts) -> list[Payload]:
    """Return the payloads whose plain form changes nothing when a role sends it."""
    refused: list[Payload] = []
    for payload in payloads(servers):
        digest_before = state_digest(servers.home)
        _send(servers, role, payload.plain(_NAMES * (20 + ROLES.index(role))))
        if state_digest(servers.home) == digest_before:
            refused.append(payload)
        else:
            counts.plain.append(payload.name)
    return refused


def _batches(
    servers: GuardedServers,
    role: str,
    payloads_: Sequence[Payload],
    count: int,
    random_: random.Random,
) -> Iterator[list[Raw]]:
    size = _BATCH if role != "admin" else 4
    for start in range(0, count, size):
        numbers = range(start, min(start + size, count))
        yield [_varied(servers, role, random_.choice(payloads_), n, random_) for n in numbers]


def _varied(
    servers: GuardedServers, role: str, payload: Payload, number: int, random_: random.Random
) -> Raw:
    unique = number + _NAMES * (1 + ROLES.index(role))
    if payload.query and random_.random() < _SOCKETS:
        return as_message(payload.plain(unique), random_)
    return vary(payload, unique, random_, _carrier(servers, role, payload))


def _carrier(servers: GuardedServers, role: str, payload: Payload) -> bytes:
    """Return a body that a role may send in a payload's place, and that changes nothing."""
    if payload.server == "dagster":
        return json.dumps({"query": "{ version }"}).encode()
    own = servers.ids["of_operator" if role in {"operator", "admin"} else "of_olga"]
    return json.dumps({"run_id": own, "max_results": 1}).encode()


def _send_batch(
    servers: GuardedServers, role: str, batch: list[Raw], counts: RequestCounts
) -> None:
    digest_before = state_digest(servers.home)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        statuses = list(pool.map(lambda one: _send(servers, role, one), batch))
    counts.sent += len(batch)
    counts.batches += 1
    counts.statuses.update(statuses)
    names = _changed(servers, counts, digest_before)
    if not names:
        return
    counts.changes += 1
    if role != "admin":
        guilty = _guilty(servers, role, batch, counts) or batch
        counts.violations += [
            f"{role}: {', '.join(names[:4])}: {_excerpt(request)}" for request in guilty[:3]
        ]
        _print_line(f"VIOLATION {counts.violations[-1]}")


def _changed(
    servers: GuardedServers, counts: RequestCounts, digest_before: dict[str, str]
) -> list[str]:
    """Return the tables and files that differ from a digest.

    A file that the role may upload may differ, because a method that is varied makes an upload of
    another request to its path. It may not vanish.
    """
    after = state_digest(servers.home)
    permitted = {
        f"artifacts/{path}"
        for name, path in upload_targets(servers).items()
        if name in counts.plain
    }
    changed = {name for name, _ in digest_before.items() ^ after.items()}
    return sorted(changed - (permitted & after.keys()))


def _guilty(
    servers: GuardedServers, role: str, batch: list[Raw], counts: RequestCounts
) -> list[Raw]:
    """Return those of a batch that change the state when they are sent again, one at a time."""
    culprits: list[Raw] = []
    for index, request in enumerate(batch):
        digest_before = state_digest(servers.home)
        _send(servers, role, request.again(request.number + _NAMES * 10 + index))
        if _changed(servers, counts, digest_before):
            culprits.append(request)
    return culprits


def _send(servers: GuardedServers, role: str, request: Raw) -> int:
    """Send a request; return the status of its answer, 0 where the connection is closed."""
    if request.tricks and request.tricks[0] == "websocket":
        return send_message(servers, role, request)
    port = servers.ports[request.server]
    sent = request.encoded(port, servers.bearer(role))
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as connection:
            connection.sendall(sent)
            response = b""
            while part := connection.recv(1 << 16):
                response = (response + part)[:64]
    except TimeoutError:
        _print_line(f"no answer within {_PATIENCE:.0f} s: {_excerpt(request)}")
        return 0
    except OSError:
        return 0
    words = response.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def _excerpt(request: Raw) -> str:
    body = request.body[:_EXCERPT_LENGTH].decode("latin-1")
    tricks = "+".join(request.tricks)
    return f"[{request.payload}; {tricks}] {request.method} {request.target[:120]} {body!r}"


def section(counts_by_role: dict[str, RequestCounts], seconds: float) -> str:
    """Return the table of docs/results-*.md."""
    head = ["role", "requests", "refused", "passed", "state compared", "changed", "violations"]
    rows = list[list[str]]()
    for role, one in counts_by_role.items():
        name = f"{role} (control)" if role == "admin" else role
        name = f"operator of {MINE} only" if role == "limited" else name
        violations = "" if role == "admin" else str(len(one.violations))
        numbers = [one.sent, one.sent - one.passed, one.passed, one.batches, one.changes]
        rows.append([name, *(f"{number:,}" for number in numbers), violations])
    total = sum(one.sent for one in counts_by_role.values())
    return f"{_proof.table(head, rows)}\n{total:,} requests in {seconds:.0f} s.\n"


def _print_line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Prove the guard; return 1 where a request did what it may not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    options = parser.parse_args()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="kinemill-guard-") as folder,
        guarded(Path(folder)) as servers,
    ):
        counts_by_role = prove(servers, options.requests, random.Random(SEED))
    text = section(counts_by_role, time.monotonic() - began)
    print(text)
    violations = [
        violation for counts in counts_by_role.values() for violation in counts.violations
    ]
    for violation in violations[:20]:
        print(violation)
    if not counts_by_role["admin"].changes:
        print("the control group changed nothing: the requests prove nothing")
        return 1
    if not violations and options.requests == REQUESTS:
        replace_section("guard", text)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
