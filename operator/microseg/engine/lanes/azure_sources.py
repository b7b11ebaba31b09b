"""Which gateway reads which subscription. The Azure lane, its polls and its looks for changes ask it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from microseg.engine.lanes.budgets import subscription_of
from microseg.gateways.ports import AzureGateway


@dataclass(frozen=True, slots=True)
class AzureSources:
    """The estate's sources of VMs."""

    gateways: Mapping[str, AzureGateway]
    """By the source's name."""
    subscriptions: Mapping[str, str]
    """Subscription in lower case -> name of the source that reads it."""

    def of(self, resource_id: str) -> AzureGateway | None:
        """The gateway that reads the subscription of an ARM id."""
        return self.gateways.get(self.subscriptions.get(subscription_of(resource_id), ""))
