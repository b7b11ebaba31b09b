"""The error of this package."""

from __future__ import annotations


class ImageFailed(RuntimeError):
    """The image cannot be built; `str()` says why, and what to do."""
