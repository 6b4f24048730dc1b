"""Export: the trained step becomes `step.onnx` and `rollout.onnx`, in task units, for any batch.

    from kinemill.export import stage
    artifact = stage.run(task, home, model, dataset)

Each file contains weights, scaling, angle handling and integration. Its metadata are channel names,
units, dt in s, history, limits, the digest of the dataset and versions. `io.yaml` describes the
same for readers, and `cases.npz` holds inputs with expected outputs. Optional files: `step.c` and
`step.h`, and variants in half precision or 8 bits.
"""
