"""Each way to launch a run with a looser gate, as each role."""

import json
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks._attacked import Row, changed_environment
from benchmarks._guarded import LAUNCH, MINE, OTHER, PASSWORD, GuardedServers, guarded, selector

GATE: dict[str, Any] = {  # settings that decide what the gate measures
    "promote.margin": 0.0,
    "verify.horizon": 5,
    "dataset.test": ["*attack*"],
    "dataset.where": "duration > 0.01",
    "validate.max_quarantined_share": 1.0,
}
ROLES = ("anonymous", "viewer", "limited", "operator", "promoter", "admin")  # limited to OTHER
_MAY = {"promoter", "admin"}
_RUNS = "{ runsOrError(limit: 5) { ... on Runs { results { runId runConfigYaml } } } }"
_WHERE = {"repositoryLocationName": "kinemill", "repositoryName": "__repository__"}

Config = dict[str, Any]
Send = Callable[[GuardedServers, str, Config], Any]


def _mutation(field: str, argument: str, kind: str, value: Callable[[str, Config], Any]) -> Send:
    """Return a GraphQL mutation; its one argument follows from a parent run and the settings."""
    text = f"mutation($p: {kind}) {{ {field}({argument}: $p) {{ __typename }} }}"
    return lambda servers, role, gate: servers.graphql(
        text, role, p=value(servers.ids["loose"], gate)
    )


def _nested(gate: Config) -> Config:
    (setting, value), *_ = gate.items()
    part, _, key = setting.partition(".")
    return {part: {key: value}}


def _resources(gate: Config) -> Config:
    return {"resources": {MINE: {"config": _nested(gate)}}}


def _execution(config: object, **more: object) -> Config:
    return {"selector": selector(MINE), "mode": "default", "runConfigData": config, **more}


def _repeat(parent: str, _gate: Config) -> Config:
    return {"parentRunId": parent, "strategy": "ALL_STEPS"}


def _rest(spell: Callable[[Config], Config]) -> Send:
    return lambda servers, role, gate: servers.ask(
        "dagster", "POST", "/api/v1/runs", {"task": MINE, "overrides": spell(gate)}, role
    )


_ONE = ("executionParams", "ExecutionParams!")
_AGAIN = ("reexecutionParams", "ReexecutionParams")
PATHS: dict[str, Send] = {
    "REST": _rest(_nested),
    "REST, dotted": _rest(dict),
    "launchRun": _mutation("launchRun", *_ONE, lambda _, gate: _execution(_resources(gate))),
    "launchRun, YAML": _mutation(
        "launchRun", *_ONE, lambda _, gate: _execution(json.dumps(_resources(gate)))
    ),
    "launchPipelineExecution": _mutation(
        "launchPipelineExecution", *_ONE, lambda _, gate: _execution(_resources(gate))
    ),
    "launchMultipleRuns": _mutation(
        "launchMultipleRuns",
        *("executionParamsList", "[ExecutionParams!]!"),
        lambda _, gate: [_execution({}), _execution(_resources(gate))],
    ),
    "backfill": _mutation(
        "launchPartitionBackfill",
        *("backfillParams", "LaunchBackfillParams!"),
        lambda _, gate: {
            "assetSelection": selector(MINE)["assetSelection"],
            "allPartitions": True,
            "runConfigData": _resources(gate),
        },
    ),
    "re-execution": _mutation("launchRunReexecution", *_AGAIN, _repeat),
    "re-execution, pipeline": _mutation("launchPipelineReexecution", *_AGAIN, _repeat),
    "re-execution, from failure": _mutation(
        "launchRunReexecution",
        *_AGAIN,
        lambda run, _: {**_repeat(run, _), "strategy": "FROM_FAILURE"},
    ),
    "retry by parameters": _mutation(
        "launchRunReexecution",
        *("executionParams", "ExecutionParams"),
        lambda run, gate: _execution(
            _resources(gate), executionMetadata={"parentRunId": run, "rootRunId": run}
        ),
    ),
    "sensor": _mutation(
        "startSensor",
        *("sensorSelector", "SensorSelector!"),
        lambda *_: {**_WHERE, "sensorName": "retraining"},
    ),
    "schedule": _mutation(
        "startSchedule",
        *("scheduleSelector", "ScheduleSelector!"),
        lambda *_: {**_WHERE, "scheduleName": f"{MINE}_schedule"},
    ),
}
_CONTROLS = {"REST", "launchRun"}  # tried with all settings; promoters must succeed
_ADMINISTERED = {"sensor", "schedule"}


def attack_launches(folder: Path, paths: list[str]) -> list[Row]:
    """Launch runs over each path as each role; compare the configuration of the new runs."""
    with changed_environment(), guarded(folder) as servers:
        _limit(servers)
        launch = _execution(_resources({"promote.margin": 0.0}))
        loose = servers.graphql(LAUNCH, "promoter", p=launch)
        servers.ids["loose"] = loose["data"]["launchRun"]["run"]["runId"]
        return [_attack(servers, name) for name in paths]


def _limit(servers: GuardedServers) -> None:
    """Limit an operator to the task that no launch here is of."""
    from kinemill.store.home import Home
    from kinemill_dagster.pipelines.server.auth.users import Users

    users = Users(Home(servers.home))
    users.put("limited", "operator", PASSWORD, [OTHER])
    servers.tokens["limited"] = users.renew_token("limited")


def _attack(servers: GuardedServers, name: str) -> Row:
    row, earlier = Row(f"launch with a looser gate: {name}"), _runs(servers)
    for setting in GATE if name in _CONTROLS else ["promote.margin"]:
        gained: set[str] = set()
        for role in ROLES:
            status = _status(lambda: PATHS[name](servers, role, {setting: GATE[setting]}))  # noqa: B023
            runs = _runs(servers)
            new = [text for run, text in runs.items() if run not in earlier]
            earlier |= runs
            if any(setting.partition(".")[2] in text for text in new):
                gained.add(role)
            is_served = name in _ADMINISTERED and status not in {401, 403}
            problem = f"answered with {status}" if is_served and role != "admin" else ""
            if role in gained - _MAY:
                problem = f"a run with {setting} waits"
            row.add(f"{role}, {setting}", problem)
        if name in _CONTROLS and not gained >= _MAY:
            row.add(f"control: {setting}", f"only {gained or 'nobody'} may set it")
    return row


def _runs(servers: GuardedServers) -> dict[str, str]:
    """Return the configuration of the latest runs, by id."""
    results = servers.graphql(_RUNS)["data"]["runsOrError"]["results"]
    return {run["runId"]: run["runConfigYaml"] for run in results}


def _status(call: Callable[[], Any]) -> int:
    try:
        call()
    except urllib.error.HTTPError as error:
        return error.code
    return 200
