"""Which variables of the environment the product reads at its start: asked of `load`, not of a list."""

from __future__ import annotations

from microseg.settings import load


def variables_read() -> list[str]:
    """Their names, in the order in which they are read."""
    asked: list[str] = []

    class Recorded(dict[str, str]):
        def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
            asked.append(key)
            return default

    load(Recorded())
    return asked
