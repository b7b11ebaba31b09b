"""The request bodies of the PCE's API. They are strict: an unknown property or a wrong type is refused.

`read` decodes one of them, or raises the PCE's error (HTTP 406 `input_validation_error` naming property
and schema; malformed JSON is a 400). Fields: the `illumio` SDK 1.1.3, the Terraform provider illumio-core
(managed-workload update, pairing profile) and the vendor's REST manual 23.2 to 24.5.
UNSET means that the property was not sent; None that it was sent as null.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from simulators.illumio.errors import PceError, refuse_invalid

Text = Annotated[str, Meta(max_length=255)]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
LongText = Annotated[str, Meta(max_length=4096)]
Maybe = Text | None | UnsetType
Enforcement = Literal["idle", "visibility_only", "selective", "full"]
Visibility = Literal["flow_full_detail", "flow_summary", "flow_drops", "flow_off", "enhanced_data_collection"]
Count = Annotated[int, Meta(ge=1, le=2147483647)] | Literal["unlimited"]
FirewallRestore = Literal["saved", "default", "disable"]
Thousand = Meta(max_length=1000)


class Strict(Struct, forbid_unknown_fields=True, kw_only=True):
    """A body whose schema allows no other property."""


class Href(Struct, forbid_unknown_fields=True, frozen=True):
    """A reference to an object."""

    href: str


class EmptyBody(Strict):
    """An empty object."""


class Network(Strict):
    """Parts of an interface's network reference."""

    href: str


class InterfaceBody(Strict):
    """One address of one interface; the same name repeats for IPv4 and IPv6."""

    name: Name
    link_state: Literal["up", "down", "unknown"] | UnsetType = UNSET
    address: str | UnsetType = UNSET
    cidr_block: Annotated[int, Meta(ge=0, le=128)] | UnsetType | None = UNSET
    default_gateway_address: str | UnsetType | None = UNSET
    network: Network | UnsetType = UNSET
    network_detection_mode: str | UnsetType = UNSET
    friendly_name: Maybe = UNSET
    loopback: bool | UnsetType = UNSET


class WorkloadBody(Strict):
    """Create or update a workload. What a VEN owns is refused for a managed one (`workloads.py`)."""

    name: Maybe = UNSET
    description: LongText | UnsetType | None = UNSET
    enforcement_mode: Enforcement | UnsetType = UNSET
    visibility_level: Visibility | UnsetType = UNSET
    labels: list[Href] | UnsetType = UNSET
    ignored_interface_names: list[Text] | UnsetType = UNSET
    service_provider: Maybe = UNSET
    data_center: Maybe = UNSET
    data_center_zone: Maybe = UNSET
    service_principal_name: Maybe = UNSET
    agent_to_pce_certificate_authentication_id: Maybe = UNSET
    external_data_set: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType | None = UNSET
    external_data_reference: Annotated[str, Meta(min_length=1, max_length=255)] | UnsetType | None = UNSET
    hostname: Maybe = UNSET
    interfaces: list[InterfaceBody] | UnsetType = UNSET
    public_ip: Maybe = UNSET
    online: bool | UnsetType = UNSET
    os_id: Maybe = UNSET
    os_detail: Maybe = UNSET
    distinguished_name: Maybe = UNSET


class BulkItem(WorkloadBody, kw_only=True):
    """One workload of a bulk update."""

    href: str


class SetLabels(Strict):
    """Replace labels of these keys on many workloads."""

    workloads: Annotated[list[Href], Thousand]
    labels: list[Href] = []
    delete_existing_keys: list[str] = []


class RemoveLabels(Strict):
    """Remove labels of these keys from many workloads."""

    workloads: Annotated[list[Href], Thousand]
    label_keys: list[str]


class LabelCreate(Strict):
    """A new label."""

    key: Annotated[str, Meta(min_length=1, max_length=64)]
    value: Name
    external_data_set: Maybe = UNSET
    external_data_reference: Maybe = UNSET


class LabelUpdate(Strict):
    """A label's key never changes."""

    value: Name | UnsetType = UNSET
    external_data_set: Maybe = UNSET
    external_data_reference: Maybe = UNSET


class DimensionBody(Strict):
    """A label dimension; `key` is refused in an update."""

    key: Annotated[str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9_-]+$")] | UnsetType = UNSET
    display_name: Name | UnsetType = UNSET
    display_info: dict[str, object] | UnsetType = UNSET
    external_data_set: Maybe = UNSET
    external_data_reference: Maybe = UNSET


class ProfileBody(Strict):
    """A pairing profile; creating one needs `enabled`."""

    enabled: bool | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    description: LongText | UnsetType | None = UNSET
    enforcement_mode: Enforcement | UnsetType = UNSET
    enforcement_mode_lock: bool | UnsetType = UNSET
    visibility_level: Visibility | UnsetType = UNSET
    visibility_level_lock: bool | UnsetType = UNSET
    allowed_uses_per_key: Count | UnsetType = UNSET
    key_lifespan: Count | UnsetType = UNSET
    labels: list[Href] | UnsetType = UNSET
    role_label_lock: bool | UnsetType = UNSET
    app_label_lock: bool | UnsetType = UNSET
    env_label_lock: bool | UnsetType = UNSET
    loc_label_lock: bool | UnsetType = UNSET
    log_traffic: bool | UnsetType = UNSET
    log_traffic_lock: bool | UnsetType = UNSET
    agent_software_release: Maybe = UNSET
    ven_type: Literal["server", "endpoint", "specified_during_activation"] | UnsetType = UNSET
    external_data_set: Maybe = UNSET
    external_data_reference: Maybe = UNSET


class VenBody(Strict):
    """What may be changed of a VEN."""

    name: Maybe = UNSET
    description: LongText | UnsetType | None = UNSET
    status: Literal["active", "suspended"] | UnsetType = UNSET
    target_pce_fqdn: Maybe = UNSET


class UnpairVens(Strict):
    """Unpair up to 1000 VENs."""

    vens: Annotated[list[Href], Thousand]
    firewall_restore: FirewallRestore = "default"


class UnpairWorkloads(Strict):
    """Unpair by workload, the older call."""

    workloads: Annotated[list[Href], Thousand]
    ip_table_restore: FirewallRestore = "default"


class Guest(Strict, kw_only=True):
    """An agent's activation request with the facts of its machine (this simulator's own protocol)."""

    activation_code: str
    hostname: Name
    os: str = "linux"
    interfaces: list[InterfaceBody] = []


class DeactivationBody(Strict):
    """An agent's notice that it uninstalled itself (this simulator's own protocol)."""

    agent_id: int
    workload_uuid: str


B = TypeVar("B")


def read(raw: bytes | msgspec.Raw, kind: type[B], schema: str = "") -> B:
    """Decode a body; 400 if it is not JSON, 406 if the schema does not allow it."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        where = schema or getattr(kind, "__name__", "body")
        refuse_invalid(f"{error} (schema {where})")
    except msgspec.DecodeError as error:
        raise PceError(400, "invalid_json_error", f"the body is not JSON: {error}") from error
