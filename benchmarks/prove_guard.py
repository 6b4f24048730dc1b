"""No variation of a request does what its plain form may not: `make prove-guard`.

Requests that a role may not make are varied (`_fuzzing`) and sent to Dagster's and MLflow's servers
behind the guard, as each role. After each batch, a digest of all databases and files is compared:
what a role may not ask for plainly must change nothing in any variation. An admin sends the same as
the control group, whose requests do change state. `--requests N` sends fewer; `--guard FOLDER`
proves the guard of another checkout; `--table` writes nothing.
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

from benchmarks import ROOT, replace_section
from benchmarks._fuzzing import vary
from benchmarks._guarded import MINE, ROLES, Place, digest, guarded
from benchmarks._payloads import Payload, Raw, payloads
from benchmarks._websockets import as_message, send_message

REQUESTS, SEED = 12_000, 19
_BATCH, _AT_ONCE = 40, 4
_PATIENCE = 20.0  # s for an answer
_SOCKETS = 0.04  # share of GraphQL that is sent through a websocket
_CONTROL = 0.1  # share of the requests that the admin sends
_SHOWN = 300
_NAMES = 1_000_000  # numbers of a role, so that no two requests make the same name


@dataclass
class Tally:
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


def prove(place: Place, requests: int, chance: random.Random) -> dict[str, Tally]:
    """Send variations as each role; return what they did."""
    found: dict[str, Tally] = {}
    control = max(_BATCH, int(requests * _CONTROL))
    others = [role for role in ROLES if role != "admin"]
    for role in ROLES:
        tally = found[role] = Tally()
        forbidden = _forbidden(place, role, tally)
        if role == "admin":
            forbidden = payloads(place)
        count = control if role == "admin" else (requests - control) // len(others)
        plain = ", ".join(tally.plain)
        _say(f"{role}: {len(forbidden)} payloads, {count} variations; permitted plainly: {plain}")
        for batch in _batches(place, role, forbidden, count, chance):
            _send_batch(place, role, batch, tally)
    return found


def _forbidden(place: Place, role: str, tally: Tally) -> list[Payload]:
    """Return the payloads whose plain form changes nothing when a role sends it."""
    refused: list[Payload] = []
    for payload in payloads(place):
        before = digest(place)
        _send(place, role, payload.plain(_NAMES * (20 + ROLES.index(role))))
        if digest(place) == before:
            refused.append(payload)
        else:
            tally.plain.append(payload.name)
    return refused


def _batches(
    place: Place, role: str, known: Sequence[Payload], count: int, chance: random.Random
) -> Iterator[list[Raw]]:
    size = _BATCH if role != "admin" else 4
    for start in range(0, count, size):
        numbers = range(start, min(start + size, count))
        yield [_varied(place, role, chance.choice(known), n, chance) for n in numbers]


def _varied(place: Place, role: str, payload: Payload, number: int, chance: random.Random) -> Raw:
    unique = number + _NAMES * (1 + ROLES.index(role))
    if payload.query and chance.random() < _SOCKETS:
        return as_message(payload.plain(unique), chance)
    return vary(payload, unique, chance, _carrier(place, role, payload))


def _carrier(place: Place, role: str, payload: Payload) -> bytes:
    """Return a body that a role may send in a payload's place, and that changes nothing."""
    if payload.server == "dagster":
        return json.dumps({"query": "{ version }"}).encode()
    own = place.known["of_operator" if role in {"operator", "admin"} else "of_olga"]
    return json.dumps({"run_id": own, "max_results": 1}).encode()


def _send_batch(place: Place, role: str, batch: list[Raw], tally: Tally) -> None:
    before = digest(place)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        statuses = list(pool.map(lambda one: _send(place, role, one), batch))
    tally.sent += len(batch)
    tally.batches += 1
    tally.statuses.update(statuses)
    after = digest(place)
    if after == before:
        return
    tally.changes += 1
    if role != "admin":
        changed = sorted({*before.items()} ^ {*after.items()})
        names = sorted({name for name, _ in changed})
        guilty = _guilty(place, role, batch) or batch
        tally.violations += [f"{role}: {', '.join(names[:4])}: {_shown(one)}" for one in guilty[:3]]
        _say(f"VIOLATION {tally.violations[-1]}")


def _guilty(place: Place, role: str, batch: list[Raw]) -> list[Raw]:
    """Return those of a batch that change the state when they are sent again, one at a time."""
    found: list[Raw] = []
    for index, one in enumerate(batch):
        before = digest(place)
        _send(place, role, one.again(one.number + _NAMES * 10 + index))
        if digest(place) != before:
            found.append(one)
    return found


def _send(place: Place, role: str, request: Raw) -> int:
    """Send a request; return the status of its answer, 0 where the connection is closed."""
    if request.tricks and request.tricks[0] == "websocket":
        return send_message(place, role, request)
    port = place.ports[request.server]
    sent = request.encoded(port, place.bearer(role))
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as connection:
            connection.sendall(sent)
            answer = b""
            while part := connection.recv(1 << 16):
                answer = (answer + part)[:64]
    except TimeoutError:
        _say(f"no answer within {_PATIENCE:.0f} s: {_shown(request)}")
        return 0
    except OSError:
        return 0
    words = answer.split(b" ", 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


def _shown(request: Raw) -> str:
    body = request.body[:_SHOWN].decode("latin-1")
    tricks = "+".join(request.tricks)
    return f"[{request.payload}; {tricks}] {request.method} {request.target[:120]} {body!r}"


def section(found: dict[str, Tally], seconds: float) -> str:
    """Return the table of docs/results.md."""
    lines = ["| role | requests | refused | passed | state compared | changed | violations |"]
    lines.append("|---|---|---|---|---|---|---|")
    for role, one in found.items():
        name = f"{role} (control)" if role == "admin" else role
        name = f"operator of {MINE} only" if role == "limited" else name
        violations = "" if role == "admin" else str(len(one.violations))
        numbers = [one.sent, one.sent - one.passed, one.passed, one.batches, one.changes]
        cells = " | ".join(f"{number:,}" for number in numbers)
        lines.append(f"| {name} | {cells} | {violations} |")
    lines.append(f"\n{sum(one.sent for one in found.values()):,} requests in {seconds:.0f} s.\n")
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> int:
    """Prove the guard; return 1 where a request did what it may not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prove_guard")
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--guard", type=Path, default=ROOT, help="checkout whose guard is proved")
    parser.add_argument("--table", action="store_true", help="write nothing into docs/results.md")
    wanted = parser.parse_args()
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="kinemill-guard-") as folder,
        guarded(Path(folder), wanted.guard.resolve()) as place,
    ):
        found = prove(place, wanted.requests, random.Random(wanted.seed))
    text = section(found, time.monotonic() - began)
    print(text)
    violations = [one for tally in found.values() for one in tally.violations]
    for one in violations[:20]:
        print(one)
    if not found["admin"].changes:
        print("the control group changed nothing: the requests prove nothing")
        return 1
    if not violations and not wanted.table:
        replace_section("guard", text)
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
