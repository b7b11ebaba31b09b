"""Namespaces for tests that share an API server."""

from __future__ import annotations

import uuid

from lab.controlplane import ControlPlane


def new_namespace(plane: ControlPlane) -> str:
    """Make one that no other test uses. It is not deleted: without a controller manager deletion never ends."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    plane.kubectl("create", "namespace", name)
    return name
