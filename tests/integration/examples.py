"""The examples of `manifests/examples`, as a person fills them in: the API server refuses their placeholders."""

from __future__ import annotations

import uuid

from lab.cluster import ROOT
from microseg.kube.schema_rules import EXAMPLE_IDS

EXAMPLES = ROOT / "manifests" / "examples"


def filled_in(text: str) -> str:
    """The text with ids and addresses of somebody's own."""
    for placeholder in EXAMPLE_IDS:
        text = text.replace(placeholder, str(uuid.uuid4()))
    return text.replace("example.com", "corp.internal")


def estate_text() -> str:
    """The example Estate and the ConfigMap beside it."""
    return filled_in((EXAMPLES / "estate.yaml").read_text(encoding="utf-8"))
