"""The CRDs as templates of the chart microseg-crds, kept when the chart is uninstalled.

In `templates/`, not in `crds/`: from there Helm never upgrades a CRD, and Helm 4's install may bring back an older one.
"""

from __future__ import annotations

from pathlib import Path

from microseg.kube import schema

FOLDER = Path(__file__).resolve().parents[3] / "manifests" / "helm" / "microseg-crds" / "templates"
_HEAD = """\
  annotations:
    helm.sh/resource-policy: keep   # an uninstall must not delete every Estate and ManagedHost
  labels:
    {{- include "microseg-crds.labels" . | nindent 4 }}
"""
_LABELS = "  labels:\n    app.kubernetes.io/name: microseg\n"


class Untemplatable(RuntimeError):
    """The CRDs changed in a way that this module does not know."""


def templates() -> dict[str, str]:
    """Return file name -> template. Raises Untemplatable."""
    return {name.removeprefix("microseg.dev_"): _template(text) for name, text in schema.rendered().items()}


def write() -> None:
    """Write them into the chart."""
    for name, text in templates().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def _template(text: str) -> str:
    if "{{" in text or text.count(_LABELS) != 1:
        raise Untemplatable("a CRD has Helm's braces in it, or other labels than before")
    return text.replace(_LABELS, _HEAD)
