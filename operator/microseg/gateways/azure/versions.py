"""The api-versions of what is read in more than one place."""

from __future__ import annotations

COMPUTE = "api-version=2024-07-01"
NETWORK = "api-version=2024-05-01"
