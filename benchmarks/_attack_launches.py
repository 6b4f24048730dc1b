"""Each way to launch a run with a looser gate, as each role."""

import json
import os
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._attacked import Row
from benchmarks._guarded import LAUNCH, MINE, OTHER, GuardedServers, guarded, selector

GATE: dict[str, dict[str, Any]] = {
    "promote.margin": {"promote": {"margin": 0.0}},
    "verify.horizon": {"verify": {"horizon": 5}},
    "dataset.test": {"dataset": {"test": ["*attack*"]}},
    "dataset.where": {"dataset": {"where": "name:attack"}},
    "validate.max_quarantined_share": {"validate": {"max_quarantined_share": 1.0}},
}
ROLES = ("anonymous", "viewer", "limited", "operator", "promoter", "admin")  # limited to OTHER
MAY = {"promoter", "admin"}
_RUNS = "{ runsOrError(limit: 5) { ... on Runs { results { runId runConfigYaml } } } }"
_UNION = "{ __typename ... on PythonError { message } }"

Path_ = Callable[[GuardedServers, str, dict[str, Any]], Any]


def _ask(servers: GuardedServers, role: str, query: str, **variables: Any) -> Any:
    return servers.graphql(query, role, **variables)


def _resources(gate: dict[str, Any]) -> dict[str, Any]:
    return {"resources": {MINE: {"config": gate}}}


def _execution(gate: dict[str, Any], *, as_text: bool = False) -> dict[str, Any]:
    config = _resources(gate)
    data = json.dumps(config) if as_text else config
    return {"selector": selector(MINE), "mode": "default", "runConfigData": data}


def _job(name: str, gate: dict[str, Any]) -> dict[str, Any]:
    where = {"repositoryLocationName": "kinemill", "repositoryName": "__repository__"}
    config = {"ops": {name: {"config": {"task": MINE, "overrides": gate}}}}
    return {"selector": {**where, "jobName": name}, "mode": "default", "runConfigData": config}


def _rest(servers: GuardedServers, role: str, overrides: dict[str, Any]) -> Any:
    body = {"task": MINE, "overrides": overrides}
    return servers.ask("dagster", "POST", "/api/v1/runs", body, role)


def _dotted(gate: dict[str, Any]) -> dict[str, Any]:
    return {f"{part}.{key}": value for part, keys in gate.items() for key, value in keys.items()}


def _again(field: str, kind: str, argument: str) -> Path_:
    def launch(servers: GuardedServers, role: str, _gate: dict[str, Any]) -> Any:
        parent = servers.ids["loose"]
        value: dict[str, Any] = {"parentRunId": parent, "strategy": "ALL_STEPS"}
        if kind == "ExecutionParams":
            ids = {"parentRunId": parent, "rootRunId": parent}
            value = {"selector": selector(MINE), "mode": "default", "executionMetadata": ids}
        query = f"mutation($p: {kind}!) {{ {field}({argument}: $p) {_UNION} }}"
        return _ask(servers, role, query, p=value)

    return launch


def _backfill(servers: GuardedServers, role: str, gate: dict[str, Any]) -> Any:
    keys = selector(MINE)["assetSelection"]
    params = {"assetSelection": keys, "allPartitions": True, "runConfigData": _resources(gate)}
    query = f"mutation($p: LaunchBackfillParams!) {{ launchPartitionBackfill(backfillParams: $p) {_UNION} }}"
    return _ask(servers, role, query, p=params)


def _named(field: str, kind: str, name: str) -> Path_:
    def start(servers: GuardedServers, role: str, _gate: dict[str, Any]) -> Any:
        where = {"repositoryLocationName": "kinemill", "repositoryName": "__repository__"}
        query = f"mutation($s: {kind.title()}Selector!) {{ {field}({kind}Selector: $s) {_UNION} }}"
        return _ask(servers, role, query, s={**where, f"{kind}Name": name})

    return start


PATHS: dict[str, Path_] = {
    "REST": lambda s, role, gate: _rest(s, role, gate),
    "REST, dotted": lambda s, role, gate: _rest(s, role, _dotted(gate)),
    "launchRun": lambda s, role, gate: _ask(s, role, LAUNCH, p=_execution(gate)),
    "launchRun, YAML": lambda s, role, gate: _ask(
        s, role, LAUNCH, p=_execution(gate, as_text=True)
    ),
    "launchMultipleRuns": lambda s, role, gate: _ask(
        s,
        role,
        "mutation($p: [ExecutionParams!]!) { launchMultipleRuns(executionParamsList: $p)"
        f" {_UNION} }}",
        p=[_execution({}), _execution(gate)],
    ),
    "launchPipelineExecution": lambda s, role, gate: _ask(
        s, role, LAUNCH.replace("launchRun(", "launchPipelineExecution("), p=_execution(gate)
    ),
    "job tune": lambda s, role, gate: _ask(s, role, LAUNCH, p=_job("tune", _dotted(gate))),
    "job backfill": lambda s, role, gate: _ask(s, role, LAUNCH, p=_job("backfill", _dotted(gate))),
    "backfill": _backfill,
    "re-execution": _again("launchRunReexecution", "ReexecutionParams", "reexecutionParams"),
    "re-execution, parameters": _again(
        "launchRunReexecution", "ExecutionParams", "executionParams"
    ),
    "re-execution, pipeline": _again(
        "launchPipelineReexecution", "ReexecutionParams", "reexecutionParams"
    ),
    "sensor": _named("startSensor", "sensor", "automation"),
    "schedule": _named("startSchedule", "schedule", "housekeeping"),
}
_REPEATS = {name for name in PATHS if name.startswith("re-execution")}
_ADMINISTERED = {"sensor", "schedule"}


def attack_launches(folder: Path, paths: list[str]) -> list[Row]:
    """Launch runs over each path as each role; compare the configuration of the new runs."""
    environment = dict(os.environ)
    try:
        with guarded(folder) as servers:
            _limit(servers)
            loose = _ask(servers, "promoter", LAUNCH, p=_execution(GATE["promote.margin"]))
            servers.ids["loose"] = loose["data"]["launchRun"]["run"]["runId"]
            rows = [Row(f"launch with a looser gate: {name}") for name in paths]
            for row, name in zip(rows, paths, strict=True):
                _attack(servers, name, row)
            return rows
    finally:
        os.environ.clear()
        os.environ.update(environment)


def _limit(servers: GuardedServers) -> None:
    """Limit one operator to the task that no launch here is of."""
    from benchmarks._guarded import PASSWORD
    from kinemill.store.home import Home
    from kinemill_dagster.pipelines.auth.users import Users

    users = Users(Home(servers.home))
    users.put("limited", "operator", PASSWORD, [OTHER])
    servers.tokens["limited"] = users.renew_token("limited")


def _attack(servers: GuardedServers, name: str, row: Row) -> None:
    settings = dict.fromkeys(["promote.margin"]) if name in _REPEATS | _ADMINISTERED else GATE
    for setting in settings:
        gained: set[str] = set()
        for role in ROLES:
            known = _runs(servers).keys()
            status, answer = _status(lambda: PATHS[name](servers, role, GATE[setting]))  # noqa: B023
            loose = [
                text
                for run, text in _runs(servers).items()
                if run not in known and setting.partition(".")[2] in text
            ]
            if loose:
                gained.add(role)
            problem = "" if role in MAY or not loose else f"{status}, a run with {setting} waits"
            if name in _ADMINISTERED and role != "admin" and status not in {401, 403}:
                problem = f"answered {status}: {str(answer)[:100]}"
            row.add(f"{role}, {setting}", problem)
        if name == "launchRun" and not gained >= MAY:  # or the paths show nothing
            row.add(f"control, {setting}", f"nobody but {gained} may set it")


def _runs(servers: GuardedServers) -> dict[str, str]:
    """Return the configuration of the latest runs, by id."""
    results = servers.graphql(_RUNS)["data"]["runsOrError"]["results"]
    return {run["runId"]: run["runConfigYaml"] for run in results}


def _status(call: Callable[[], Any]) -> tuple[int, Any]:
    try:
        return 200, call()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
