"""A tree of bodies from a MuJoCo model: against MuJoCo, learned masses, rejected models."""

import mujoco
import numpy as np
import pytest
import torch

from kinemill.errors import BadInput
from kinemill.models._mjcf import bodies_of
from kinemill.models.networks.body_tree import Tree
from kinemill.models.networks.mechanics import solve
from kinemill.models.rigid_body import RigidBody
from kinemill.task import load_task
from kinemill.task.document import Task
from kinemill.train.layout import Output, make_layout
from kinemill.train.step import SCALES

# A slide, a shoulder with two hinges at one body, an elbow beside a link, and a fixed tool: nothing
# lies in one plane, and no frame or inertia is parallel to another.
ARM = """
<mujoco>
  <compiler angle="radian" autolimits="true"/>
  <option gravity="0.3 -0.2 -9.5"><flag contact="disable"/></option>
  <worldbody>
    <body name="rail" pos="0.1 0.2 0.3" quat="0.9 0.1 -0.3 0.2">
      <joint name="rail" type="slide" axis="1 0.2 0" stiffness="7" springref="0.1"/>
      <inertial pos="0.01 0 0" mass="2" diaginertia="0.1 0.1 0.1"/>
      <body name="upper" pos="0 0.1 0.2" quat="0.7 0.2 0.5 -0.3">
        <joint name="yaw" axis="0 0.1 1" pos="0.02 0.01 0" armature="0.02"/>
        <joint name="pitch" axis="1 1 0" pos="0 0.05 0.01" ref="0.2"/>
        <inertial pos="0.1 -0.05 0.2" quat="0.8 0.1 0.4 0.2"
                  mass="1.3" diaginertia="0.03 0.02 0.015"/>
        <body name="fore" pos="0.05 0 0.4">
          <joint name="elbow" axis="0 1 0.3" pos="0 0 0.03"/>
          <inertial pos="0.02 0.1 0.1" mass="0.8" diaginertia="0.01 0.02 0.012"/>
          <body name="tool" pos="0 0.1 0.2" quat="0.6 0.5 0.1 0">
            <inertial pos="0.05 0 0" mass="0.3" diaginertia="0.002 0.001 0.0015"/>
          </body>
        </body>
      </body>
    </body>
    <body name="post" pos="1 0 0"><geom size="0.1"/></body>
  </worldbody>
  <actuator><motor joint="elbow" gear="3"/></actuator>
</mujoco>
"""
JOINTS = ("rail", "yaw", "pitch", "elbow")


def swing(order=(0, 1, 2, 3)):
    """Yield q, v, force and the results of MuJoCo, each (1, 4), in the order of coordinates."""
    model, random = mujoco.MjModel.from_xml_string(ARM), np.random.default_rng(0)
    data, position = mujoco.MjData(model), np.argsort(order)
    for _ in range(20):
        data.qpos[:], data.qvel[:] = random.uniform(-3, 3, 4), random.uniform(-5, 5, 4)
        data.qfrc_applied[:] = random.uniform(-3, 3, 4)
        mujoco.mj_forward(model, data)
        rows = (data.qpos, data.qvel, data.qfrc_applied, data.qacc)
        yield tuple(torch.tensor(row.copy())[None, position] for row in rows)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1)])
def test_a_tree_accelerates_as_mujoco_says(order):
    tree = Tree(bodies_of(mujoco.MjModel.from_xml_string(ARM)), order).double()
    for q, v, force, reference in swing(order):
        mass, forces = tree(q, v)
        # Constants of the tree are float32.
        torch.testing.assert_close(solve(mass, force - forces), reference, rtol=1e-5, atol=1e-5)


def test_wrong_masses_are_learned_from_accelerations():
    """A tool with twice the mass of the model file is identified from M and gravity."""
    wrong = ARM.replace('mass="0.3"', 'mass="0.15"')
    tree = Tree(bodies_of(mujoco.MjModel.from_xml_string(wrong)), (0, 1, 2, 3)).double()
    inputs = [torch.cat(parts) for parts in zip(*swing(), strict=True)]

    def missed():
        mass, forces = tree(inputs[0], inputs[1])
        return ((mass @ inputs[3].unsqueeze(2)).squeeze(2) + forces - inputs[2]).square().mean()

    optimizer = torch.optim.LBFGS([tree.mass], max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = missed()
        loss.backward()
        return loss

    original = missed().item()
    optimizer.step(closure)
    assert missed().item() < 1e-6 * original
    assert torch.exp(tree.mass[3]).item() == pytest.approx(2.0, rel=1e-3)


def channels():
    names = {name: {"role": "state", "unit": "rad", "kind": "angle"} for name in JOINTS[1:]}
    names = {"rail": {"role": "state", "unit": "m"}} | names
    rates = {
        f"{name}_rate": {"role": "state", "unit": f"{one['unit']}/s", "derivative_of": name}
        for name, one in names.items()
    }
    return names | rates | {"torque": {"role": "action", "unit": "N*m"}}


TASK = {
    "task": "arm",
    "dt": 0.01,
    "channels": channels(),
    "learn": {
        "type": "dynamics",
        "outputs": {
            f"{name}_acceleration": {"relation": "derivative", "of": f"{name}_rate"}
            for name in JOINTS
        },
        "model": {
            "type": "rigid_body",
            "mass": "mjcf",
            "mjcf": ARM,
            "drives": {"torque": "elbow"},
            "delay": 0,
        },
    },
}


def build(model):
    task = Task.model_validate(TASK | {"learn": TASK["learn"] | {"model": model}})
    outputs = {
        f"{name}_acceleration": Output(relation="derivative", of=f"{name}_rate") for name in JOINTS
    }
    layout = make_layout(task, outputs, "semi_implicit", 2)
    sizes = (8, layout.features, layout.features, len(layout.outputs), len(layout.outputs))
    scale = {key: torch.ones(size).double() for key, size in zip(SCALES, sizes, strict=True)}
    return RigidBody.model_validate(model).build_for(layout, scale)


def test_a_model_begins_as_the_mjcf_says():
    network = build(TASK["learn"]["model"])
    assert network.equations.actuators.gain.tolist() == [3.0]
    state = torch.zeros(1, 8)
    rest = build(TASK["learn"]["model"] | {"mjcf": ARM.replace("0.3 -0.2 -9.5", "0 0 0")})
    messages, action = torch.zeros(1, 8), torch.tensor([[1.0]])
    pushed, *_ = rest(messages, action, torch.zeros(1, 1))
    model = mujoco.MjModel.from_xml_string(ARM.replace("0.3 -0.2 -9.5", "0 0 0"))
    data = mujoco.MjData(model)
    data.qpos[:] = 0.0
    data.ctrl[:] = 1.0
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(pushed[0].detach().numpy(), data.qacc, rtol=1e-4, atol=1e-4)
    assert network(state, action, torch.zeros(1, 1))[0].abs().max() > 1.0  # gravity pulls


def test_joints_are_found_by_name_and_refused_by_kind():
    model = TASK["learn"]["model"]
    swapped = {"yaw": "pitch", "pitch": "yaw"}
    assert build(model | {"joints": swapped}).equations.mechanics.order == (0, 2, 1, 3)
    with pytest.raises(BadInput, match=r"the slide 'rail': is 'yaw', a hinge"):
        build(model | {"joints": {"yaw": "rail", "rail": "yaw"}})
    post = '<body name="post" pos="1 0 0">'
    with pytest.raises(BadInput, match=r"the hinge 'fifth': is not a coordinate"):
        build(model | {"mjcf": ARM.replace(post, post + '<joint name="fifth"/>')})


def test_the_file_is_named_beside_the_task_and_goes_with_the_settings(tmp_path):
    model = "{type: rigid_body, mass: mjcf, mjcf: arm.xml, drives: {torque: elbow}}"
    channels = "\n".join(
        f"  {name}: {{{', '.join(f'{k}: {v}' for k, v in one.items())}}}"
        for name, one in TASK["channels"].items()
    )
    path = tmp_path / "arm.yaml"
    path.write_text(
        f"task: arm\ndt: 0.01\nchannels:\n{channels}\nlearn: {{type: dynamics, model: {model}}}\n"
    )
    with pytest.raises(BadInput, match=r"no file .*arm\.xml; expected a MuJoCo model"):
        load_task(path)
    (tmp_path / "arm.xml").write_text(ARM)
    task = load_task(path)
    settings = task.learn.model_dump(mode="json")["model"]
    assert [body["name"] for body in settings["mjcf"]["bodies"]][:2] == ["rail", "upper"]
    assert RigidBody.model_validate(settings) == task.learn.model
    (tmp_path / "arm.xml").write_text(ARM.replace("pos", "where"))
    with pytest.raises(BadInput, match="where"):
        load_task(path)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (
            ARM.replace('<joint name="elbow" axis="0 1 0.3"', '<joint type="ball" name="elbow"'),
            "'elbow' is a ball joint",
        ),
        (
            ARM.replace(
                "<actuator>", '<equality><joint joint1="yaw" joint2="elbow"/></equality><actuator>'
            ),
            "1 equality constraints",
        ),
    ],
)
def test_what_is_no_tree_of_hinges_and_slides_is_refused(broken, said):
    with pytest.raises(ValueError, match=said):
        RigidBody.model_validate(TASK["learn"]["model"] | {"mjcf": broken})
