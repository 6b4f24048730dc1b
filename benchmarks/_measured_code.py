"""Code that the tables of docs/results-*.md measure, and a hook of MkDocs that marks old tables.

A table carries the digest of its code from the time it was written, see
`benchmarks.replace_section`. The site has a note above each table whose code has changed since.
"""

import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MEASURED = {  # section: folders
    "accuracy": ("kinemill/models", "kinemill/train", "kinemill/selection"),
    "attack": ("pipelines/server",),
    "control": ("kinemill/control",),
    "drafts-corpus": ("kinemill/draft",),
    "first_hour": ("kinemill/cli", "pipelines"),
    "gate": ("kinemill/register/gate",),
    "gpu": ("kinemill/models", "kinemill/train"),
    "imitation": ("kinemill/policies/imitation",),
    "ingest": ("kinemill/ingest", "kinemill/validate"),
    "league": ("kinemill/draft", "kinemill/selection", "kinemill/train"),
    "loop": ("kinemill/control", "kinemill/train"),
    "motion": ("kinemill/policies/motion",),
    "motion_physics": ("kinemill/policies/motion",),
    "mutations": ("kinemill/export", "kinemill/verify"),
    "readers": ("kinemill/ingest",),
    "reinforcement": ("kinemill/policies/rl",),
    "rollout": ("kinemill/export/c99", "kinemill/runtime"),
    "scale": ("kinemill/catalog", "kinemill/ingest", "kinemill/validate"),
    "suite": ("kinemill/policies/rl",),
    "systems": ("kinemill/draft", "kinemill/register/gate", "kinemill/selection"),
    "train": ("kinemill/models", "kinemill/train"),
}
TABLE = re.compile(r"^<!-- (?P<section>[\w-]+)(?: (?P<digest>[0-9a-f]+))? -->$", re.MULTILINE)


def digest(section: str, root: Path = ROOT) -> str:
    """Return the digest of the code that a section measures."""
    hash_ = hashlib.sha256()
    for folder in MEASURED[section]:
        for path in sorted((root / folder).rglob("*.py")):
            hash_.update(path.read_bytes())
    return hash_.hexdigest()[:12]


def on_page_markdown(markdown: str, **_: object) -> str:
    """Return a page with a note above each table that is older than the code that it measures."""
    return TABLE.sub(_marked, markdown)


def _marked(marker: re.Match[str]) -> str:
    section = marker["section"]
    if section not in MEASURED or marker["digest"] == digest(section):
        return marker[0]
    folders = ", ".join(f"`{folder}`" for folder in MEASURED[section])
    return f"*Measured before the last change of {folders}.*\n\n{marker[0]}"
