"""Near-duplicates: pairs among real runs and planted repeats, never among independent ones."""

import hashlib
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select

from kinemill import catalog
from kinemill.catalog.sketches import ROOM, read_notes
from kinemill.catalog.tables import sketch_keys
from kinemill.store import publish_json
from kinemill.validate.duplicates import registry
from kinemill.validate.duplicates.index import Sketched, open_index
from kinemill.validate.duplicates.registry import (
    duplicate_groups,
    find_pairs,
    forget_duplicates,
    register_duplicates,
    restore_duplicates,
)
from kinemill.validate.duplicates.similarity import (
    course,
    distances,
    duplicate_distances,
    hashed,
    keys,
    sketch,
)
from tests.validate.conftest import logs_at, make_swing, make_task

ROOT = Path(__file__).resolve().parents[3]


def hash_of(name):
    return hashlib.sha256(name.encode()).hexdigest()


def sketched(task, name, values, part=""):
    return Sketched(hash_of(name), name, sketch([values], task), part)


def add(task, home, items, removed=()):
    register_duplicates(task, home, items, removed)
    return find_pairs(task, home)


def independent(number, rows=500):
    """Random smooth motion: eight sines of 0.2 to 2 Hz of random phase, with its derivative."""
    random = np.random.default_rng(number)
    time = 0.01 * np.arange(rows)
    rate = 2 * np.pi * random.uniform(0.2, 2.0, 8)
    size, phase = random.uniform(0.1, 0.5, 8), random.uniform(0, 2 * np.pi, 8)
    turned = np.outer(time, rate) + phase
    return {
        "angle": np.sin(turned) @ size,
        "velocity": np.cos(turned) @ (size * rate),
        "torque": random.standard_normal(rows),
    }


def noisy(values, share, seed=0):
    random = np.random.default_rng(seed)
    return {
        name: column + share * column.std() * random.standard_normal(len(column))
        for name, column in values.items()
    }


def cut(values, first=0, last=0):
    return {name: column[first : len(column) - last] for name, column in values.items()}


def test_near_repeats_among_real_logs_are_named(shared_data, home):
    # README: the twelve 33 Hz runs are near-repeats of each other.
    task, logs = logs_at(shared_data, "acrobot_pendubot_33hz", 0.03)
    items = [sketched(task, name, values) for name, values in logs.items()]
    pairs = add(task, home, items)
    assert pairs.total >= 20
    assert {name for item in pairs.nearest for name in item.pair} == set(logs)
    assert all(
        one.split("_")[0] == two.split("_")[0] for one, two in (item.pair for item in pairs.nearest)
    )


def test_the_repeats_among_the_identification_runs_are_all(shared_data, home, double_pendulum):
    """At full rate traj12 is within 0.115 deviations of traj00, two rows later."""
    task, logs = double_pendulum
    pairs = add(task, home, [sketched(task, name, values) for name, values in logs.items()])
    assert [item.pair for item in pairs.nearest] == [
        ("A0_20220812_055640_7col.csv", "A0_20220815_traj01.csv"),
        ("A0_20220812_055032_7col.csv", "A0_20220815_traj00.csv"),
        ("A0_20220815_traj00.csv", "A0_20220815_traj12.csv"),
        ("A0_20220812_055032_7col.csv", "A0_20220815_traj12.csv"),
    ]


@pytest.mark.parametrize("folder", [("pendubot_400hz", 0.005), ("acrobot_pendubot_33hz", 0.03)])
@pytest.mark.parametrize("share", [0.01, 0.05])
def test_planted_repeats_of_real_runs_are_found(shared_data, home, folder, share):
    """With noise, three steps later, or ended 2 % earlier: each with its own original."""
    task, logs = logs_at(shared_data, *folder)
    with open_index(home, task) as index:
        index.add([sketched(task, name, values) for name, values in logs.items()])
        for name, values in logs.items():
            rows = len(values["shoulder_angle"])
            for first, last in ((0, 0), (3, 0), (0, rows // 50)):
                again = noisy(cut(values, first, last), share)
                planted = sketched(task, f"{name} {first} {last}", again)
                pairs = index.add([planted]).get(planted.unit, [])
                repeated = {duplicate.recording for duplicate in pairs}
                assert hash_of(name) in repeated, (name, first, last)
                index.remove([planted.recording])


def test_independent_runs_are_no_repeats_by_index_and_by_brute_force(home):
    task = make_task()
    items = [sketched(task, f"run {k}", independent(k)) for k in range(200)]
    assert add(task, home, items).total == 0
    courses = [course(item.sketch, task) for item in items[:60]]
    assert min(distances(one, [two])[0] for one, two in combinations(courses, 2)) > 0.3
    assert duplicate_groups(home, task.name) == {}


def test_near_repeats_are_paired_and_other_runs_are_not(home):
    task, random = make_task(), np.random.default_rng(0)
    runs = {
        "a": make_swing(),
        "again": {key: x + 0.02 * random.standard_normal(1000) for key, x in make_swing().items()},
        "other": independent(3, 1000),
        "short": cut(make_swing(), 1, 200),
    }
    pairs = add(task, home, [sketched(task, name, values) for name, values in runs.items()])
    assert [item.pair for item in pairs.nearest] == [("a", "again")]
    assert pairs.nearest[0].distance < 0.05


def test_the_distance_is_that_of_the_pair_and_the_same_both_ways():
    task = make_task()
    one, two = (
        course(sketch([values], task), task)
        for values in (independent(1), noisy(independent(1), 0.1))
    )
    # White noise of 10 % of which each point is the mean of 500 / 64 rows.
    (there,), (back,) = distances(one, [two]), distances(two, [one])
    assert there == pytest.approx(0.1 / np.sqrt(500 / 64), rel=0.2)
    assert there == pytest.approx(back, rel=1e-9)
    assert set(keys([one])[0]) <= set(hashed([one])[0].probes)


@pytest.mark.parametrize("encoder", [0.0, 1e-3])
def test_robots_at_rest_are_no_repeats_of_each_other(home, encoder):
    task = make_task()

    def rest(seed):
        random = np.random.default_rng(seed)
        angle = 0.7 + 4e-4 * random.standard_normal(500)
        if encoder:
            angle = encoder * np.round(angle / encoder)
        velocity = 0.01 * random.standard_normal(500)
        return {"angle": angle, "velocity": velocity, "torque": np.zeros(500)}

    assert add(task, home, [sketched(task, f"rest {k}", rest(k)) for k in range(30)]).total == 0
    still = {"angle": np.full(500, 0.7), "velocity": np.zeros(500), "torque": np.zeros(500)}
    assert add(task, home, [sketched(task, f"still {k}", still) for k in range(3)]).total == 0


def test_a_log_that_goes_on_belongs_to_what_it_began_with(home):
    """The first half and the whole differ in length by half, but begin number by number alike."""
    task, values = make_task(), independent(5, 1000)
    half, whole = sketched(task, "half", cut(values, 0, 500)), sketched(task, "whole", values)
    add(task, home, [half])
    add(task, home, [whole])
    assert duplicate_groups(home, task.name) == {whole.recording: half.recording}


def test_a_beginning_at_rest_is_nobodys_own(home):
    task = make_task()
    runs = [independent(1), independent(2)]
    for values in runs:
        for column in values.values():
            column[:30] = 0.0
    assert add(task, home, [sketched(task, str(k), run) for k, run in enumerate(runs)]).total == 0


def test_a_note_names_the_root_of_the_earliest_and_never_changes(home):
    task, values = make_task(), make_swing(500)
    first, second, third = (
        sketched(task, name, noisy(values, 0.02, seed)) for seed, name in enumerate("abc")
    )
    add(task, home, [third])
    add(task, home, [first])
    assert duplicate_groups(home, task.name) == {first.recording: third.recording}
    previous = {path: path.read_bytes() for path in home.store.glob("duplicates/*/*.json")}
    pairs = add(task, home, [second])
    expected = (3, third.recording)
    assert (pairs.total, duplicate_groups(home, task.name)[second.recording]) == expected
    add(task, home, [first, second, third])  # asked again, as after a crash
    assert {path: path.read_bytes() for path in previous} == previous
    assert third.recording not in duplicate_groups(home, task.name)


def test_in_one_batch_the_order_is_that_of_the_hashes(home):
    task = make_task()
    items = [sketched(task, name, noisy(make_swing(500), 0.02, k)) for k, name in enumerate("abcd")]
    add(task, home, items)
    root, *others = sorted(item.recording for item in items)
    assert duplicate_groups(home, task.name) == dict.fromkeys(others, root)


@pytest.mark.parametrize("damage", ["gone", "of other rules"])
def test_a_lost_index_is_made_again_and_moves_nobody(home, damage):
    """Runs a, b, c: c repeats both others, which are no repeats; entered anew, b would follow c."""
    task, middle, away = make_task(), independent(9), independent(10)
    items = {
        name: sketched(task, name, {key: middle[key] + weight * away[key] for key in middle})
        for name, weight in (("a", 0.1), ("b", -0.1), ("c", 0.0))
    }
    for name in "abc":
        add(task, home, [items[name]])
    previous = duplicate_groups(home, task.name)
    assert previous == {items["c"].recording: items["a"].recording}
    if damage == "gone":
        catalog.discard(home)
    else:
        task = make_task()
        task.channels["velocity"] = task.channels["velocity"].model_copy(
            update={"limits": (-21.0, 21.0)}
        )
    one = sketched(task, "d", independent(11))
    assert restore_duplicates(task, home, items.values)
    assert not restore_duplicates(task, home, items.values)
    assert add(task, home, [one]).total == 2
    assert duplicate_groups(home, task.name) == previous


def test_a_crash_before_the_index_is_written_repeats_the_note(home, monkeypatch):
    task, values = make_task(), make_swing(500)
    one, two = (sketched(task, name, noisy(values, 0.02, k)) for k, name in enumerate("ab"))
    add(task, home, [one])

    def die(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(registry, "fault_point", die)
        with pytest.raises(KeyboardInterrupt):
            add(task, home, [two])
    recorded = duplicate_groups(home, task.name)
    assert recorded == {two.recording: one.recording}
    assert add(task, home, [two]).total == 1
    assert duplicate_groups(home, task.name) == recorded


def test_what_is_gone_is_in_no_pair_and_what_is_forgotten_has_no_note(home):
    task, values = make_task(), make_swing(500)
    items = [sketched(task, name, noisy(values, 0.02, k)) for k, name in enumerate("abc")]
    items.sort(key=lambda item: item.recording)
    assert add(task, home, items).total == 3
    assert add(task, home, [], removed=[items[1].recording]).total == 1
    forget_duplicates(home, task, items[2].recording)
    assert add(task, home, []).total == 0
    assert duplicate_groups(home, task.name) == {items[1].recording: items[0].recording}


def test_the_catalog_holds_a_copy_of_all_notes(home, monkeypatch):
    task, values = make_task(), make_swing(500)
    items = [sketched(task, name, noisy(values, 0.02, k)) for k, name in enumerate("abcd")]
    items.sort(key=lambda item: item.recording)
    root, other, late, later = (item.recording for item in items)
    add(task, home, items[:2])
    publish_json(  # of another machine
        home.store / "duplicates" / task.name / f"{late}.json",
        {"format": 1, "recording": late, "root": root, "parts": {"left": f"{root}/right"}},
    )
    groups = {other: root, late: root, f"{late}/left": f"{root}/right"}
    assert duplicate_groups(home, task.name) == groups
    catalog.discard(home)
    restore_duplicates(task, home, lambda: items[:2])
    add(task, home, items[3:])
    with monkeypatch.context() as patched:
        patched.setattr(registry, "_read", None)
        assert duplicate_groups(home, task.name) == {**groups, later: root}
    forget_duplicates(home, task, late)
    assert duplicate_groups(home, task.name) == {other: root, later: root}
    assert set(read_notes(home, task.name)) == {other, later}


def test_parts_of_a_file_are_compared_each_by_itself(home):
    """Demo 1 of a file repeats demo 0 of the same file; demo 0 of a later file repeats demo 1."""
    task, values = make_task(), make_swing(500)
    first, later = sorted(("x", "y"), key=hash_of)

    def part(name, number, run):
        item = sketched(task, name, run, f"demo_{number}")
        return Sketched(item.recording, f"{name}/{item.part}", item.sketch, item.part)

    add(
        task,
        home,
        [
            part(first, 0, noisy(values, 0.02, 0)),
            part(first, 1, noisy(values, 0.02, 1)),
            part(later, 0, noisy(values, 0.02, 2)),
            part(later, 1, independent(3)),
        ],
    )
    x, y = hash_of(first), hash_of(later)
    expected = {y: x, f"{x}/demo_1": f"{x}/demo_0", f"{y}/demo_0": f"{x}/demo_0"}
    assert duplicate_groups(home, task.name) == expected


def test_where_all_runs_are_alike_no_key_holds_more_than_its_room(home):
    task, values = make_task(), make_swing(300)
    items = [sketched(task, f"run {k}", noisy(values, 0.01, k)) for k in range(2 * ROOM)]
    add(task, home, items)
    with catalog.transaction(home) as connection:
        longest = connection.execute(select(func.max(sketch_keys.c.rank))).scalar()
    assert longest == ROOM - 1
    root = min(item.recording for item in items)
    assert set(duplicate_groups(home, task.name).values()) == {root}
    assert len(duplicate_groups(home, task.name)) == len(items) - 1
    one, other = (course(item.sketch, task) for item in items[-2:])
    assert duplicate_distances(one, [other])[0] < 0.05
