"""Azure's own SDK meets every fault that alters a list or falls between two pages of it."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import requests
from aiohttp import web
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from azure.mgmt.compute import ComputeManagementClient

from simulators import certificates
from simulators.environment import Environment
from simulators.server import build_app

from .azure_client import names
from .conftest import Azure
from .fault_coverage import covers, inject

GROUP = "microseg-rg"


@covers("azure", "expire")
def test_a_token_that_ends_between_two_pages_ends_the_list(azure: Azure, compute: ComputeManagementClient) -> None:
    azure.add(*({"name": f"more{number}"} for number in range(60)))
    inject(azure.control, "azure", "vms.list", "expire", nth=2)
    seen: list[str | None] = []
    with pytest.raises(ClientAuthenticationError) as caught:
        seen.extend(vm.name for vm in compute.virtual_machines.list_all())
    assert caught.value.status_code == 401
    with azure.compute() as fresh:
        assert len(names(fresh)) == 63


@covers("azure", "stale")
def test_a_stale_list_shows_a_vm_that_is_gone_and_none_that_came(
    azure: Azure, compute: ComputeManagementClient
) -> None:
    inject(azure.control, "azure", "vms.list", "stale", seconds=60)
    assert names(compute) == ["vm0", "vm1", "vm2"]
    azure.background.call(lambda: azure.world.delete(azure.world.named("vm1")))
    azure.add({"name": "vm3"})
    assert names(compute) == ["vm0", "vm1", "vm2"]
    with pytest.raises(ResourceNotFoundError):
        compute.virtual_machines.get(GROUP, "vm1")
    assert compute.virtual_machines.get(GROUP, "vm3").name == "vm3"


@covers("azure", "stale")
def test_a_stale_list_is_true_again_after_its_time(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "vms.list", "stale", seconds=0.2)
    names(compute)
    azure.add({"name": "vm3"})
    azure.wait(lambda: len(azure.world.fleet(azure.world.subscriptions[0]).vms) == 4)
    assert names(compute) == ["vm0", "vm1", "vm2", "vm3"]


@covers("azure", "item-duplicated")
def test_an_item_comes_twice(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "vms.list", "item-duplicated")
    assert names(compute) == ["vm0", "vm1", "vm2", "vm0"]


@covers("azure", "page-missing")
def test_a_page_is_missing_and_nothing_says_so(azure: Azure, compute: ComputeManagementClient) -> None:
    azure.add(*({"name": f"more{number}"} for number in range(60)))
    inject(azure.control, "azure", "vms.list", "page-missing", nth=2)
    seen = names(compute)
    assert seen[0] == "vm0"
    assert len(seen) == len(set(seen)) < 63


@covers("azure", "link-missing")
def test_a_list_without_its_link_is_short_and_nothing_says_so(azure: Azure, compute: ComputeManagementClient) -> None:
    azure.add(*({"name": f"more{number}"} for number in range(60)))
    inject(azure.control, "azure", "vms.list", "link-missing")
    assert len(names(compute)) == 50


@covers("azure", "page-repeated")
def test_a_page_comes_again(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "vms.list", "page-repeated")
    assert names(compute) == ["vm0", "vm1", "vm2"] * 2


@covers("azure", "link-to-itself")
def test_a_link_to_itself_leads_the_sdk_in_circles(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "vms.list", "link-to-itself", count=1000)
    seen = [vm.name for vm in itertools.islice(compute.virtual_machines.list_all(), 30)]
    assert seen == ["vm0", "vm1", "vm2"] * 10


@covers("azure", "link-elsewhere")
def test_a_link_to_another_origin_is_followed_with_the_token(
    azure: Azure, compute: ComputeManagementClient, certificate_folder: Path
) -> None:
    tokens: list[str] = []
    folder = certificate_folder

    async def take(request: web.Request) -> web.Response:
        tokens.append(request.headers.get("Authorization", ""))
        return web.json_response({"value": []})

    thief = build_app("elsewhere", Environment())
    thief.router.add_get("/{path:.*}", take)
    target = azure.background.serve(thief, certificates.ssl_context(folder / "azure.pem", folder / "azure.key")).url
    inject(azure.control, "azure", "vms.list", "link-elsewhere", target=target)
    assert names(compute) == ["vm0", "vm1", "vm2"]
    assert [token.removeprefix("Bearer ") in azure.environment.ledger.secrets for token in tokens] == [True]


@covers("azure", "link-elsewhere")
def test_a_link_to_nowhere_is_a_connection_that_fails(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "vms.list", "link-elsewhere")
    with pytest.raises(ServiceRequestError):
        names(compute)


def test_a_failure_ordered_during_a_run_meets_the_next_page(azure: Azure, compute: ComputeManagementClient) -> None:
    azure.add(*({"name": f"more{number}"} for number in range(60)))
    pages = compute.virtual_machines.list_all().by_page()
    assert len(list(next(pages))) == 50
    inject(azure.control, "azure", "*", "status", status=500)
    with pytest.raises(HttpResponseError):
        next(pages)
    assert requests.get(f"{azure.control}/faults", timeout=5).json() == {"faults": []}
