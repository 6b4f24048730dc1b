"""Documents of exported models, written without an export."""

from kinemill.export.io_document import IoDocument


def io_of(task: str) -> IoDocument:
    """Return the io.yaml of a model without files and channels."""
    return IoDocument(
        producer="kinemill 0",
        form="dynamics",
        task=task,
        dt=0.02,
        channels=[],
        safe_action={},
        lineage={},
        opset=20,
        versions={},
        files={},
    )
