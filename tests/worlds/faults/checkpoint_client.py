"""Calls of the vendor's own client (`cp-mgmt-api-sdk`) that the tests of faults share."""

from __future__ import annotations

from typing import Any

from cpapi import APIClient

from .conftest import Management


def hosts(client: APIClient) -> list[str]:
    """The names of all hosts, by the SDK's own paging of 50."""
    answer = client.api_query("show-hosts", details_level="standard")
    assert answer.success, answer.error_message
    return [host["name"] for host in answer.data]


def call(client: APIClient, command: str, **parameters: object) -> Any:
    return client.api_call(command, {name.replace("_", "-"): value for name, value in parameters.items()})


def add(client: APIClient, number: int = 1) -> Any:
    return call(client, "add-host", name=f"h{number}", ip_address=f"10.0.0.{number}")


def hosts_in(management: Management) -> list[str]:
    return [cp_object.name for cp_object in management.world.published.listing("host")]
