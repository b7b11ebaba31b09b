"""The image's name. Its one place is `[tool.microseg] image` of pyproject.toml; a test holds the others equal to it."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]


def project() -> tuple[str, str]:
    """Return the repository of the published image, and the version of the product."""
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(document["tool"]["microseg"]["image"]), str(document["project"]["version"])
