"""Workloads and VENs: the PCE's records, and their form in the API.

Shapes: the `illumio` SDK 1.1.3 (Workload, VEN, VENAgent), a recorded answer in `demisto/content` Packs/Illumio and
the Go client `brian1917/illumioapi`. Properties without a value are absent, as a PCE leaves them out.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from simulators.illumio.context import Context
from simulators.illumio.labels import Label

Interface = dict[str, object]


@dataclass(slots=True, eq=False)
class Ven:
    """The agent on a workload. `unpairing`: an unpair was accepted and the agent has not yet acknowledged it."""

    href: str
    agent_href: str
    uid: str
    managed_since: str
    last_heartbeat: str
    version: str
    name: str | None = None
    description: str | None = None
    status: str = "active"
    sync_state: str = "syncing"
    applied_at: str | None = None
    received_at: str | None = None
    last_goodbye: str | None = None
    target_pce_fqdn: str | None = None
    unpairing: bool = False
    beats: bool = True
    """Whether its machine runs and sends heartbeats."""


@dataclass(slots=True, eq=False)
class Workload:
    """One workload; managed if it has a VEN. `row` is its serialised form, None after a change."""

    uuid: str
    href: str
    created_at: str
    created_by: str
    updated_at: str
    updated_by: str
    name: str | None = None
    description: str | None = None
    hostname: str | None = None
    os_id: str | None = None
    os_detail: str | None = None
    public_ip: str | None = None
    online: bool = False
    enforcement_mode: str = "visibility_only"
    visibility_level: str = "flow_summary"
    service_provider: str | None = None
    data_center: str | None = None
    data_center_zone: str | None = None
    distinguished_name: str | None = None
    service_principal_name: str | None = None
    agent_to_pce_certificate_authentication_id: str | None = None
    external_data_set: str | None = None
    external_data_reference: str | None = None
    deleted_at: str | None = None
    interfaces: list[Interface] = field(default_factory=list)
    ignored_interface_names: list[str] = field(default_factory=list)
    labels: dict[str, Label] = field(default_factory=dict)
    ven: Ven | None = None
    row: bytes | None = None

    def serialised(self, context: Context) -> bytes:
        """Return the row of a list, rendered once per change."""
        if self.row is None:
            self.row = msgspec.json.encode(workload_row(self, context))
        return self.row


_OPTIONAL = (
    "name",
    "description",
    "hostname",
    "os_id",
    "os_detail",
    "service_provider",
    "data_center",
    "data_center_zone",
    "distinguished_name",
    "service_principal_name",
    "agent_to_pce_certificate_authentication_id",
    "external_data_set",
    "external_data_reference",
    "public_ip",
    "deleted_at",
)


def workload_row(workload: Workload, context: Context) -> dict[str, object]:
    """One workload of a list (the list leaves `services` out)."""
    row: dict[str, object] = {"href": workload.href, "deleted": workload.deleted_at is not None}
    for name in _OPTIONAL:
        value = getattr(workload, name)
        if value is not None:
            row[name] = value
    row |= {
        "interfaces": workload.interfaces,
        "ignored_interface_names": workload.ignored_interface_names,
        "labels": worn(workload.labels, context),
        "online": workload.online,
        "enforcement_mode": workload.enforcement_mode,
        "visibility_level": workload.visibility_level,
        "num_enforcement_boundaries": 0,
        "selectively_enforced_services": [],
        "firewall_coexistence": {"illumio_primary": True},
        "containers_inherit_host_policy": False,
        "created_at": workload.created_at,
        "updated_at": workload.updated_at,
        "created_by": {"href": workload.created_by},
        "updated_by": {"href": workload.updated_by},
        "caps": ["write"],
    }
    ven = workload.ven
    if ven is not None:
        row["ven"] = {"href": ven.href, "hostname": workload.hostname, "status": ven.status}
        row["agent"] = _agent(workload, ven, context)
    return row


def worn(labels: dict[str, Label], context: Context) -> list[dict[str, str]]:
    """Return the labels of an object; PCEs before 22.3 show the HREF only."""
    if not context.traits.labels_with_key_value:
        return [{"href": label.href} for label in labels.values()]
    return [{"href": label.href, "key": label.key, "value": label.value} for label in labels.values()]


def _agent(workload: Workload, ven: Ven, context: Context) -> dict[str, object]:
    status: dict[str, object] = {
        "status": ven.status,
        "uid": ven.uid,
        "last_heartbeat_on": ven.last_heartbeat,
        "uptime_seconds": 600,
        "agent_version": ven.version,
        "managed_since": ven.managed_since,
        "fw_config_current": ven.sync_state == "active",
        "firewall_rule_count": 12 if ven.sync_state == "active" else 0,
        "security_policy_sync_state": ven.sync_state,
        "agent_health": [],
        "agent_health_errors": {"errors": [], "warnings": []},
    }
    if ven.received_at is not None:
        status["security_policy_received_at"] = ven.received_at
    if ven.applied_at is not None:
        status["security_policy_applied_at"] = ven.applied_at
        status["security_policy_refresh_at"] = ven.applied_at
    return {
        "href": ven.agent_href,
        "config": {
            "mode": {"idle": "idle", "full": "enforced"}.get(workload.enforcement_mode, "illuminated"),
            "log_traffic": False,
            "visibility_level": workload.visibility_level,
            "security_policy_update_mode": "adaptive",
        },
        "status": status,
        "unpair_allowed": ven.status != "suspended",
        "active_pce_fqdn": context.fqdn,
        "type": "Host",
    }


def ven_row(workload: Workload, ven: Ven, context: Context) -> dict[str, object]:
    """One VEN; its labels and interfaces are the workload's."""
    row: dict[str, object] = {
        "href": ven.href,
        "hostname": workload.hostname,
        "uid": ven.uid,
        "os_id": workload.os_id,
        "os_detail": workload.os_detail,
        "os_platform": "windows" if (workload.os_id or "").startswith("win") else "linux",
        "version": ven.version,
        "status": ven.status,
        "activation_type": "pairing_key",
        "active_pce_fqdn": context.fqdn,
        "labels": worn(workload.labels, context),
        "interfaces": workload.interfaces,
        "workloads": [
            {
                "href": workload.href,
                "online": workload.online,
                "enforcement_mode": workload.enforcement_mode,
                "security_policy_received_at": ven.received_at,
                "security_policy_applied_at": ven.applied_at,
            }
        ],
        "last_heartbeat_at": ven.last_heartbeat,
        "unpair_allowed": ven.status != "suspended",
        "conditions": [],
        "ven_type": "server",
        "caps": ["write"],
    }
    optional = {
        "name": ven.name,
        "description": ven.description,
        "last_goodbye_at": ven.last_goodbye,
        "target_pce_fqdn": ven.target_pce_fqdn,
    }
    return row | {name: value for name, value in optional.items() if value is not None}
