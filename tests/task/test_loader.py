"""Task files: every mistake is answered with file, line, key and the nearest name."""

import pytest

from kinemill.errors import BadInput, TaskError
from kinemill.task import list_tasks, load_task, parse_overrides


def test_a_task_says_its_channels_in_order(load):
    task = load()
    assert (task.states, task.actions, task.columns) == (["q", "qd"], ["tau"], ["q", "qd", "tau"])
    assert task.channels["q"].source[1].unit == "deg"
    assert (task.dt, task.max_gap, task.path.name) == (0.01, 0.05, "arm.yaml")
    assert task.notes == []


def test_states_come_before_actions_however_they_are_listed(load):
    tau = "  tau: {role: action, unit: N*m}\n"
    task = load("channels:\n", "channels:\n" + tau.replace("tau", "first"))
    assert task.columns == ["q", "qd", "first", "tau"]


@pytest.mark.parametrize(
    ("old", "new", "claims"),
    [
        ("dt: 0.01", "dt: 0.01\nlern: 3", "arm.yaml:3: lern: unknown key; did you mean 'learn'?"),
        ("dt: 0.01\n", "", "arm.yaml:1: dt: is missing"),
        (
            "dt: 0.01",
            "dt: -1",
            "arm.yaml:2: dt: Input should be greater than or equal to 0.000000001; found -1",
        ),
        ("dt: 0.01", "dt: .inf", "arm.yaml:2: dt: Input should be a finite number; found inf"),
        ("dt: 0.01", "dt: on", "arm.yaml:2: dt: Input should be a valid number"),
        ("task: arm", "task: leg", "arm.yaml:1: task: 'leg' is in a file called arm.yaml"),
        ("task: arm", "task: Arm", "arm.yaml:1: task: 'Arm' is not a valid task name"),
        ("task: arm", "task: pass", "arm.yaml:1: task: 'pass' is a Python keyword"),
        ("limits:", "limit:", "channels.qd.limit: unknown key; did you mean 'limits'?"),
        ("unit: deg}", "unt: deg}", "channels.q.source.1.unt: unknown key; did you mean 'unit'?"),
        (
            "role: action",
            "role: acton",
            "arm.yaml:6: channels.tau.role: found 'acton'; expected 'state', 'action', "
            "'output', 'observation', 'reward', 'image' or 'text'; did you mean 'action'?",
        ),
        ("[-30, 30]", "[30, -30]", "channels.qd.limits: the lower limit 30 is not below"),
        ("[-30, 30]", "[-30]", "arm.yaml:5: channels.qd.limits.1: is missing"),
        ("unit: N*m", "unit: Nmm", "arm.yaml:6: channels.tau.unit: unit 'Nmm': is not known"),
        ("unit: N*m", "unit: rad/)", "arm.yaml:6: channels.tau.unit: unit 'rad/)': is not known"),
        ("unit: deg", "unit: m", "arm.yaml:4: channels.q: unit 'm': cannot be converted to 'rad'"),
        (
            "unit: rad,",
            "unit: deg,",
            "arm.yaml:4: channels.q: an angle has the unit rad, not 'deg'",
        ),
        (
            "unit: rad/s",
            "unit: rad",
            "arm.yaml:5: channels.qd.derivative_of: rad is not rad per time ('q')",
        ),
        (
            "derivative_of: q,",
            "derivative_of: qq,",
            "channels.qd.derivative_of: unknown channel 'qq'; did you mean 'q'?",
        ),
        (
            "derivative_of: q,",
            "derivative_of: qd,",
            "arm.yaml:5: channels.qd.derivative_of: 'qd' is indirectly the derivative of itself",
        ),
        ("type: mlp", "type: mpl", "learn.model: model 'mpl': unknown name; did you mean 'mlp'?"),
        (
            "type: mlp",
            "typ: mlp",
            "arm.yaml:9: learn.model: needs a `type`, one of arx, composed, ",
        ),
        (
            "hidden_sizes",
            "hiden_sizes",
            "arm.yaml:9: learn.model.hiden_sizes: unknown key; did you mean 'hidden_sizes'?",
        ),
        (
            "type: dynamics",
            "type: dynamics\n  histroy: 3",
            "arm.yaml:9: learn.histroy: unknown key; did you mean 'history'?",
        ),
    ],
)
def test_a_mistake_is_answered_with_line_key_and_nearest_name(problems, old, new, claims):
    assert any(claims in problem for problem in problems(old, new))


@pytest.mark.parametrize(
    ("more", "claims"),
    [
        ("ingest: {format: csvv}", "ingest.format: unknown log format; did you mean 'csv'?"),
        ("ingest: {time_unit: sec}", "ingest.time_unit: found 'sec'; expected 's', 'ms', 'us'"),
        ("validate: {max_jump: {qq: 1}}", "max_jump.qq: unknown channel; did you mean 'q'?"),
        ("augment: [{type: miror}]", "augment.0: augmentation 'miror': unknown name; did you mean"),
        ("dataset: {validation: {tial: 0.1}}", "validation.tial: unknown key; did you mean 'tail'"),
        (
            "validate: {stuck: off}",
            "validate.stuck: Input should be a valid dictionary; found 'off'",
        ),
        (
            "retrain: {cron: every day}",
            "retrain.cron: is not a cron line of minute, hour, day, month",
        ),
        ("retrain: {cron: 0 24 * * *}", "retrain.cron: is not a cron line"),
        ("dataset: {test: 2}", "arm.yaml:10: dataset.test: Input should be less than 1; found 2"),
    ],
)
def test_mistakes_in_the_parts_of_other_stages(problems, more, claims):
    actual = problems(more=more + "\n")
    assert any(claims in problem for problem in actual), actual
    assert all("arm.yaml:10: " in problem for problem in actual)


@pytest.mark.parametrize("line", ["0 3 * * *", "*/15 8-18 1,15 * 1-5", "5 4 * * 0/2"])
def test_a_cron_line_of_five_fields_is_one(load, line):
    assert load(more=f"retrain: {{cron: '{line}'}}\n").retrain.cron == line


@pytest.mark.parametrize("more", ["dataset: {validation: {tail: 2}}", "dataset: {test: 2}"])
def test_a_mistake_in_one_of_several_forms_is_told_once(problems, more):
    assert len(problems(more=more + "\n")) == 1


@pytest.mark.parametrize("name", ["learn", "model", "augment"])
def test_a_channel_or_output_called_like_a_family_is_one_like_others(problems, name):
    (actual,) = problems("  tau: {role", f"  {name}: {{kid: linear, role")
    assert actual == f"arm.yaml:6: channels.{name}.kid: unknown key; did you mean 'kind'?"
    outputs = f"type: dynamics\n  outputs: {{{name}: {{relation: delta, of: q, fo: 1}}}}"
    (actual,) = problems("type: dynamics", outputs)
    assert actual.startswith(f"arm.yaml:9: learn.outputs.{name}.fo: unknown key")


@pytest.mark.parametrize("name", ["time_s", "episode", "nrmse", "joint 1", "joint.1", "a:min", "1"])
def test_a_channel_that_would_be_taken_for_something_else_is_refused(problems, name):
    (actual,) = problems("  tau: {role", f'  "{name}": {{role')
    assert actual.startswith(f"arm.yaml:6: channels.{name}: '{name}' ")
    assert actual.endswith("column at `source`")


def test_a_cycle_of_derivatives_names_each_channel_in_it_and_no_other(problems):
    more = "  a: {role: state, unit: 1/s, derivative_of: b}\n"
    more += "  b: {role: state, unit: '1', derivative_of: c}\n"
    more += "  c: {role: state, unit: s, derivative_of: b}\n"
    actual = problems("channels:\n", "channels:\n" + more)
    cycle = [problem.split(":")[2].strip() for problem in actual if "itself" in problem]
    assert cycle == ["channels.b.derivative_of", "channels.c.derivative_of"]


def test_all_mistakes_are_told_at_once(problems):
    actual = problems("dt: 0.01", "dt: fast\nfoo: 1\nbar: 2")
    assert len(actual) == 3


@pytest.mark.parametrize("content", ["", "- 1\n", "just text\n"])
def test_a_file_without_a_task_says_what_is_expected(tmp_path, content):
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(TaskError, match="is not a task; expected keys such as `task`"):
        load_task(tmp_path / "a.yaml")


def test_an_unknown_task_names_the_nearest(tmp_path, monkeypatch):
    monkeypatch.setenv("KINEMILL_TASKS", str(tmp_path))
    (tmp_path / "double_pendulum.yaml").touch()
    with pytest.raises(BadInput, match=r"did you mean 'double_pendulum'\?"):
        load_task("duble_pendulum")
    assert list(list_tasks()) == ["double_pendulum"]


def test_overrides_are_spelled_as_in_the_file(load):
    sets = ("learn.history=12", "dt=1e-3", "ingest.exclude=[a, b]", "validate.min_steps=7")
    task = load(sets=sets)
    assert (task.learn.history, task.dt, task.ingest.exclude) == (12, 0.001, ["a", "b"])
    assert task.validation.min_steps == 7


def test_a_changed_type_drops_the_keys_the_new_one_lacks_and_says_so(load):
    task = load(sets=("learn.model.type=gru", "learn.model.hidden_size=16"))
    assert (task.learn.model.type, task.learn.model.hidden_size) == ("gru", 16)
    assert task.notes == ["--set learn.model.type=gru: dropped hidden_sizes, which gru lacks"]


def test_a_changed_type_in_a_list_drops_keys_too(load):
    more = "augment: [{type: gaussian_noise, std: {qd: 0.1}}]\n"
    task = load(more=more, sets=("augment.0.type=mirror", "augment.0.flip=[q, qd, tau]"))
    assert task.augment[0].type == "mirror"
    assert task.notes == ["--set augment.0.type=mirror: dropped std, which mirror lacks"]


@pytest.mark.parametrize(
    ("item", "claims"),
    [
        ("learn.histroy=3", "--set learn.histroy: unknown key; did you mean 'history'?"),
        ("lern.history=3", "--set lern.history: lern: unknown key; did you mean 'learn'?"),
        ("dt=fast", "--set dt: Input should be a valid number"),
        ("learn.history=-1", "--set learn.history: Input should be greater than 0; found -1"),
        ("channels.zz.unit=m", "--set channels.zz.unit: channels.zz.role: is missing"),
        ("learn.model.type=grru", "did you mean 'gru'? (after --set learn.model.type)"),
        ("channels.q.unit=m", "an angle has the unit rad, not 'm'"),
        ("task=leg", "--set task: 'leg' is in a file called arm.yaml"),
    ],
)
def test_a_mistake_in_an_override_names_the_override(problems, item, claims):
    actual = problems(sets=(item,))
    assert any(claims in problem for problem in actual), actual


@pytest.mark.parametrize(
    ("item", "claims"),
    [
        ("dt", "is not key=value"),
        ("=3", "is not key=value"),
        ("dt=[1", r"--set dt: '\[1' is not YAML"),
        ("dt.x=3", r"dt: Input should be a valid number \(after --set dt\.x\)"),
        ("learn.model.hidden_sizes.4=3", "no item '4'; expected 0 to 0"),
    ],
)
def test_overrides_that_lead_nowhere(load, item, claims):
    with pytest.raises(BadInput, match=claims):
        load(sets=(item,))


def test_values_are_parsed_once():
    assert parse_overrides(["a.b=1e-3", "c= on", "d=x=y"]) == {"a.b": 0.001, "c": "on", "d": "x=y"}


def test_a_part_for_a_digest_is_plain_json_and_knows_its_names(load):
    part = load().part("dt", "channels")
    assert part["dt"] == 0.01
    assert part["channels"]["tau"]["unit"] == "N*m"
    with pytest.raises(BadInput, match="has no part"):
        load().part("lern")
