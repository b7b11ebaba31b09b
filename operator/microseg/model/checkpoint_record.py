"""The part of a host's record that Check Point confirmed: objects, groups, publish, installs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from microseg.model.fields import Frozen, Text


class FirewallObject(Frozen, frozen=True, kw_only=True):
    """One Check Point host object of the operator; there is one per private address."""

    name: Annotated[Text, Meta(description="Name of the object.")]
    uid: Annotated[Text, Meta(description="Its uid in Check Point.")] = ""
    ipv4: Annotated[str, Meta(max_length=45, description="Its IPv4 address.")] = ""
    ipv6: Annotated[str, Meta(max_length=45, description="Its IPv6 address.")] = ""

    @property
    def address(self) -> str:
        """The one address that it has."""
        return self.ipv4 or self.ipv6


class InstalledAt(Frozen, frozen=True, kw_only=True):
    """The first install on a target that covered this host."""

    target: Annotated[Text, Meta(description="Name of the gateway.")]
    at: Annotated[datetime, Meta(description="When the install ended.")]


class CheckPointRecord(Frozen, frozen=True, kw_only=True):
    """What Check Point shows for this host."""

    hosts: Annotated[
        tuple[FirewallObject, ...],
        Meta(max_length=64, description="Host objects of this VM, one for each private address."),
    ] = ()
    groups: Annotated[tuple[Text, ...], Meta(max_length=64, description="Groups that the operator put it in.")] = ()
    published_revision: Annotated[
        Text, Meta(description="Revision of the publish that first covered this host as it is.")
    ] = ""
    published_at: Annotated[datetime | None, Meta(description="When that revision was published.")] = None
    installed_at: Annotated[
        tuple[InstalledAt, ...],
        Meta(max_length=64, description="For each target, the first install that covered this host."),
    ] = ()
