"""Each architecture with every option changed from its default, for the conformance tests."""

ALPHA = {"alpha": {"relation": "derivative", "of": "velocity"}}
# What else a task has to say for a model.
LEARN = {name: {"outputs": ALPHA} for name in ("rigid_body", "physics", "equations")}
# The velocity is encoded plainly, so it has an offset.
EQUAL = {"outputs": {name: {"relation": "equal", "of": name} for name in ("angle", "velocity")}}
LEARN |= {"latent": EQUAL, "storages": EQUAL}

RECURRENT = {"hidden_size": 7, "layers": 2, "dropout": 0.3, "bias": False, "layer_norm": True}
OPTIONS = {
    "mlp": {
        "hidden_sizes": [9, 8, 7],
        "activation": "gelu",
        "dropout": 0.3,
        "bias": False,
        "layer_norm": True,
    },
    "gru": RECURRENT,
    "lstm": RECURRENT,
    "rnn": {**RECURRENT, "activation": "relu"},
    "transformer": {
        "size": 12,
        "heads": 3,
        "layers": 1,
        "mlp_ratio": 3,
        "activation": "leaky_relu",
        "dropout": 0.3,
        "bias": False,
        "layer_norm": False,
    },
    "composed": {
        "blocks": {
            "rows": {"type": "dense", "sizes": [6], "activation": "silu", "layer_norm": True},
            "memory": {"type": "recurrent", "cell": "lstm", "size": 5},
            "set": {"type": "attention", "of": ["rows"], "size": 8, "heads": 2, "pool": "max"},
            "joint": {"type": "concatenation", "of": ["memory", "set"]},
        }
    },
    "linear": {
        "local": True,
        "groups": ["*"],
        "residual": {"type": "gru", "hidden_size": 5, "dropout": 0.3},
    },
    "polynomial": {"degree": 2, "rows": 2, "ridge": 1e-3},
    "rigid_body": {
        "mass": "free",
        "drives": {"torque": "angle"},
        "delay": 2,
        "actuator": "filter",
        "observer": True,
        "friction": "lugre",
        "position_curve": 5,
        "residual": {"type": "gru", "hidden_size": 5},
    },
    "arx": {"ridge": 1e-3, "angles": "wrapped"},
    "narx": {"terms": 12, "degree": 2, "rows": 3, "ridge": 1e-3},
    "physics": {"ridge": 1e-3, "coupling": False, "friction": "stribeck"},
    "pnlss": {"size": 3, "degree": 2},
    "equations": {
        "parameters": {"gravity": 9.0, "drag": 0.0, "warming": 0.1},
        "hidden": {"heat": 2.0},
        "terms": {"friction": "drag * max(abs(velocity), 0.1) ** 1.5"},
        "curves": {
            "lift": {"of": "torque", "range": [-1, 1], "points": 3},
            "values": {"of": "friction", "range": [0, 2]},
        },
        "equations": {
            "heat": "heat + dt * min(warming * velocity ** 2 - heat, 5)",
            "alpha": "torque - gravity * sin(angle) - friction * tanh(velocity) "
            "- heat / 2 + lift * values",
        },
        "start_std": 0.1,
        "residual": {"type": "gru", "hidden_size": 5},
    },
    "latent": {"size": 3, "hidden_size": 5, "activation": "elu", "start": "subspace"},
    "storages": {"count": 3, "lag": 6.0, "points": 5},
}

PENDULUM = {
    "parameters": {"gravity": 9.0},
    "equations": {"alpha": "torque - gravity * sin(angle) - velocity"},
}
# Without these settings a model means nothing.
LEAST = {
    "equations": {
        "parameters": {"gravity": 9.0},
        "hidden": {"heat": 2.0},
        "equations": {
            "heat": "heat + dt * (velocity ** 2 - heat)",
            "alpha": "torque - gravity * sin(angle) - heat * velocity",
        },
    }
}

# What one choice of a model's options leaves out.
MORE = [
    ("equations", PENDULUM),
    ("rigid_body", {"friction": "viscous"}),
    ("rigid_body", {"friction": "stribeck", "residual": {"type": "mlp"}}),
]
