"""Azure's own SDK (azure-identity, azure-mgmt-compute) meets every failure that can be ordered of the Azure world."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from aiohttp import web
from azure.core.exceptions import (
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.models import (
    VirtualMachineRunCommand,
    VirtualMachineRunCommandProperties,
    VirtualMachineRunCommandScriptSource,
)

from simulators import certificates
from simulators.faults import Action
from simulators.server import Stage, build_app

from .conftest import Azure
from .covering import order, refusal, shows

GROUP = "microseg-rg"


@pytest.fixture
def compute(azure: Azure) -> Iterator[ComputeManagementClient]:
    """The SDK, with three VMs to see and no patience: each failure is seen at once."""
    azure.add({"name": "vm0"}, {"name": "vm1"}, {"name": "vm2"})
    with azure.compute() as client:
        yield client


def names(compute: ComputeManagementClient) -> list[str]:
    return [str(vm.name) for vm in compute.virtual_machines.list_all()]


def begin(compute: ComputeManagementClient, vm: str = "vm0", name: str = "install", **more: Any) -> Any:
    """Begin a run-command; the SDK's poller."""
    properties = VirtualMachineRunCommandProperties(source=VirtualMachineRunCommandScriptSource(script="echo hello"))
    body = VirtualMachineRunCommand(location="westeurope", properties=properties)
    return compute.virtual_machine_run_commands.begin_create_or_update(GROUP, vm, name, body, **more)


def refused(compute: ComputeManagementClient) -> HttpResponseError:
    """The refusal of a list."""
    with pytest.raises(HttpResponseError) as caught:
        names(compute)
    return caught.value


@shows("azure", "status")
def test_a_status_before_the_effect_prevents_it_and_its_code_is_read(
    azure: Azure, compute: ComputeManagementClient
) -> None:
    body = {"error": {"code": "ServiceUnavailable", "message": "try again"}}
    order(azure.control, "azure", "commands.put", "status", status=503, body=body)
    with pytest.raises(HttpResponseError) as caught:
        begin(compute)
    assert caught.value.status_code == 503
    assert caught.value.error is not None
    assert caught.value.error.code == "ServiceUnavailable"
    assert azure.runner.ran == []


@shows("azure", "status")
def test_a_status_after_the_effect_hides_a_command_that_runs(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "commands.put", "status", status=500, phase="after")
    with pytest.raises(HttpResponseError):
        begin(compute)
    azure.wait(lambda: len(azure.runner.ran) == 1)


@shows("azure", "delay")
def test_a_delay_is_waited_for(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "vms.list", "delay", seconds=0.3)
    started = time.monotonic()
    assert names(compute) == ["vm0", "vm1", "vm2"]
    assert time.monotonic() - started >= 0.3


@shows("azure", "cut")
@pytest.mark.parametrize(("phase", "runs"), [("before", 0), ("after", 1)])
def test_a_cut_looks_the_same_before_and_after_the_effect(
    azure: Azure, compute: ComputeManagementClient, phase: str, runs: int
) -> None:
    order(azure.control, "azure", "commands.put", "cut", phase=phase)
    with pytest.raises(ServiceResponseError):
        begin(compute)
    (entry,) = azure.stage.ledger.entries("azure", "commands.put")
    assert entry.status == 0
    assert entry.note == f"fault {phase}: cut"
    azure.wait(lambda: len(azure.stage.ledger.entries("azure", "world.script-ended")) == runs)


@shows("azure", "hang")
def test_a_hang_is_given_up_after_the_clients_own_time(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "vms.list", "hang")
    with pytest.raises(ServiceResponseTimeoutError):
        list(compute.virtual_machines.list_all(read_timeout=0.2))


@shows("azure", "html")
def test_html_instead_of_json_is_a_bare_refusal(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "vms.list", "html", status=502)
    error = refused(compute)
    assert (error.status_code, error.error) == (502, None)


@shows("azure", "html")
def test_html_with_a_good_status_is_no_answer_that_the_sdk_understands(
    azure: Azure, compute: ComputeManagementClient
) -> None:
    order(azure.control, "azure", "vms.list", "html", status=200)
    with pytest.raises(json.JSONDecodeError):
        names(compute)


@shows("azure", "truncate")
def test_truncated_json_is_a_decoding_error(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "vms.list", "truncate", phase="after")
    with pytest.raises(DecodeError):
        names(compute)


@shows("azure", "throttle")
def test_a_429_without_a_header_says_arms_code_only(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "vms.list", "throttle")
    error = refused(compute)
    response: Any = error.response
    assert error.error is not None
    assert (error.status_code, error.error.code) == (429, "SubscriptionRequestsThrottled")
    assert "Retry-After" not in response.headers


@shows("azure", "throttle")
@pytest.mark.parametrize("seconds", ["7", "999999999"])
def test_the_sdk_sleeps_as_long_as_a_429_says_however_absurd(
    azure: Azure, compute: ComputeManagementClient, monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(RequestsTransport, "sleep", lambda _, duration: slept.append(duration))
    order(azure.control, "azure", "vms.list", "throttle", retry_after=seconds)
    found = [vm.name for vm in compute.virtual_machines.list_all(retry_total=1)]
    assert found == ["vm0", "vm1", "vm2"]
    assert slept == [float(seconds)]


@shows("azure", "throttle")
def test_a_429_with_a_word_for_a_time_breaks_the_sdk(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "vms.list", "throttle", retry_after="soon")
    with pytest.raises(ValueError, match="Invalid HTTP date"):
        list(compute.virtual_machines.list_all(retry_total=1))
    assert len(azure.stage.ledger.entries("azure", "vms.list")) == 1


@shows("azure", "expire")
def test_a_token_that_ends_between_two_pages_ends_the_list(azure: Azure, compute: ComputeManagementClient) -> None:
    azure.add(*({"name": f"more{number}"} for number in range(60)))
    order(azure.control, "azure", "vms.list", "expire", nth=2)
    seen: list[str | None] = []
    with pytest.raises(ClientAuthenticationError) as caught:
        seen.extend(vm.name for vm in compute.virtual_machines.list_all())
    assert caught.value.status_code == 401
    with azure.compute() as fresh:
        assert len(names(fresh)) == 63


@shows("azure", "stale")
def test_a_stale_list_shows_a_vm_that_is_gone_and_none_that_came(
    azure: Azure, compute: ComputeManagementClient
) -> None:
    order(azure.control, "azure", "vms.list", "stale", seconds=60)
    assert names(compute) == ["vm0", "vm1", "vm2"]
    azure.background.call(lambda: azure.world.delete(azure.world.named("vm1")))
    azure.add({"name": "vm3"})
    assert names(compute) == ["vm0", "vm1", "vm2"]
    with pytest.raises(ResourceNotFoundError):
        compute.virtual_machines.get(GROUP, "vm1")
    assert compute.virtual_machines.get(GROUP, "vm3").name == "vm3"


@shows("azure", "stale")
def test_a_stale_list_is_true_again_after_its_time(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "vms.list", "stale", seconds=0.2)
    names(compute)
    azure.add({"name": "vm3"})
    azure.wait(lambda: len(azure.world.fleet(azure.world.subscriptions[0]).vms) == 4)
    assert names(compute) == ["vm0", "vm1", "vm2", "vm3"]


@shows("azure", "operation-lost")
def test_a_lost_operation_ends_the_poller_though_its_script_ran(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "commands.put", "operation-lost")
    with pytest.raises(HttpResponseError) as caught:
        begin(compute).result(10)
    assert caught.value.status_code == 404
    azure.wait(lambda: len(azure.runner.ran) == 1)


@shows("azure", "task-fails")
def test_an_operation_fails_though_its_script_ran(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "commands.put", "task-fails")
    with pytest.raises(HttpResponseError) as caught:
        begin(compute).result(10)
    assert caught.value.error is not None
    assert caught.value.error.code == "InternalExecutionError"
    assert len(azure.runner.ran) == 1


@shows("azure", "task-half")
def test_an_operation_succeeds_while_its_script_is_seen_to_run_for_ever(
    azure: Azure, compute: ComputeManagementClient
) -> None:
    order(azure.control, "azure", "commands.put", "task-half")
    assert begin(compute).result(10).provisioning_state == "Succeeded"
    read = compute.virtual_machine_run_commands.get_by_virtual_machine(GROUP, "vm0", "install", expand="instanceView")
    assert read.instance_view is not None
    assert read.instance_view.execution_state == "Running"
    assert read.instance_view.end_time is None
    assert len(azure.runner.ran) == 1


@shows("azure", "task-endless")
def test_an_operation_that_never_ends_keeps_the_poller_waiting(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "commands.put", "task-endless")
    poller = begin(compute)
    azure.wait(lambda: len(azure.stage.ledger.entries("azure", "world.script-ended")) == 1)
    azure.wait(lambda: len(azure.stage.ledger.entries("azure", "operations.get")) > 3)
    assert not poller.done()
    assert poller.status() == "InProgress"
    azure.background.call(azure.world.desk._operations.clear)
    with pytest.raises(HttpResponseError):
        poller.result(10)


@shows("azure", "item-duplicated")
def test_an_item_comes_twice(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "vms.list", "item-duplicated")
    assert names(compute) == ["vm0", "vm1", "vm2", "vm0"]


@shows("azure", "page-missing")
def test_a_page_is_missing_and_nothing_says_so(azure: Azure, compute: ComputeManagementClient) -> None:
    azure.add(*({"name": f"more{number}"} for number in range(60)))
    order(azure.control, "azure", "vms.list", "page-missing", nth=2)
    seen = names(compute)
    assert seen[0] == "vm0"
    assert len(seen) == len(set(seen)) < 63


@shows("azure", "link-missing")
def test_a_list_without_its_link_is_short_and_nothing_says_so(azure: Azure, compute: ComputeManagementClient) -> None:
    azure.add(*({"name": f"more{number}"} for number in range(60)))
    order(azure.control, "azure", "vms.list", "link-missing")
    assert len(names(compute)) == 50


@shows("azure", "page-repeated")
def test_a_page_comes_again(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "vms.list", "page-repeated")
    assert names(compute) == ["vm0", "vm1", "vm2"] * 2


@shows("azure", "link-to-itself")
def test_a_link_to_itself_leads_the_sdk_in_circles(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "vms.list", "link-to-itself", count=1000)
    seen = [vm.name for vm in itertools.islice(compute.virtual_machines.list_all(), 30)]
    assert seen == ["vm0", "vm1", "vm2"] * 10


@shows("azure", "link-elsewhere")
def test_a_link_to_another_origin_is_followed_with_the_token(
    azure: Azure, compute: ComputeManagementClient, certificate_folder: Path
) -> None:
    tokens: list[str] = []
    folder = certificate_folder

    async def take(request: web.Request) -> web.Response:
        tokens.append(request.headers.get("Authorization", ""))
        return web.json_response({"value": []})

    thief = build_app("elsewhere", Stage())
    thief.router.add_get("/{path:.*}", take)
    target = azure.background.serve(thief, certificates.ssl_context(folder / "azure.pem", folder / "azure.key")).url
    order(azure.control, "azure", "vms.list", "link-elsewhere", target=target)
    assert names(compute) == ["vm0", "vm1", "vm2"]
    assert [token.removeprefix("Bearer ") in azure.stage.ledger.secrets for token in tokens] == [True]


@shows("azure", "link-elsewhere")
def test_a_link_to_nowhere_is_a_connection_that_fails(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "vms.list", "link-elsewhere")
    with pytest.raises(ServiceRequestError):
        names(compute)


@shows("azure", "foreign-lock")
def test_a_locked_group_refuses_writes_until_the_lock_is_gone(azure: Azure, compute: ComputeManagementClient) -> None:
    order(azure.control, "azure", "vms.get", "foreign-lock", target="Microseg-RG", seconds=60)
    compute.virtual_machines.get(GROUP, "vm0")
    with pytest.raises(HttpResponseError) as caught:
        begin(compute)
    assert caught.value.error is not None
    assert (caught.value.status_code, caught.value.error.code) == (409, "ScopeLocked")
    azure.background.call(azure.world.group_locks.clear)
    assert begin(compute).result(10).provisioning_state == "Succeeded"


@shows("azure", "human-edit")
def test_somebody_deletes_the_vm_between_a_look_and_the_write(azure: Azure, compute: ComputeManagementClient) -> None:
    edit = {"vm": "vm0", "do": "delete", "at_once": True}
    order(azure.control, "azure", "commands.put", "human-edit", body=edit)
    assert compute.virtual_machines.get(GROUP, "vm0").name == "vm0"
    with pytest.raises(ResourceNotFoundError) as caught:
        begin(compute)
    assert caught.value.error is not None
    assert caught.value.error.code == "ParentResourceNotFound"


@shows("azure", "human-edit")
def test_an_edit_that_cannot_be_done_is_told_in_the_ledger_and_not_to_the_caller(
    azure: Azure, compute: ComputeManagementClient
) -> None:
    order(azure.control, "azure", "vms.list", "human-edit", body={"vm": "nobody", "do": "stop"})
    assert names(compute) == ["vm0", "vm1", "vm2"]
    (entry,) = azure.stage.ledger.entries("azure", "vms.list")
    assert entry.note.startswith("fault before: human-edit could not: VM 'nobody'")


@shows("azure", "bulk-partial")
def test_azure_has_nothing_that_could_be_done_in_part(azure: Azure) -> None:
    assert "no bulk operation" in refusal(azure.control, "azure", "commands.put", "bulk-partial")


@pytest.mark.parametrize(
    ("action", "operation", "complaint"),
    [
        ("operation-lost", "vms.list", "begin operations"),
        ("stale", "vms.list", "needs 'seconds'"),
        ("foreign-lock", "vms.list", "needs 'target' and 'seconds'"),
        ("human-edit", "vms.list", "needs 'body'"),
    ],
)
def test_an_order_that_makes_no_sense_in_azure_is_refused(
    azure: Azure, action: Action, operation: str, complaint: str
) -> None:
    assert complaint in refusal(azure.control, "azure", operation, action)


def test_a_failure_ordered_during_a_run_meets_the_next_page(azure: Azure, compute: ComputeManagementClient) -> None:
    azure.add(*({"name": f"more{number}"} for number in range(60)))
    pages = compute.virtual_machines.list_all().by_page()
    assert len(list(next(pages))) == 50
    order(azure.control, "azure", "*", "status", status=500)
    with pytest.raises(HttpResponseError):
        next(pages)
    assert requests.get(f"{azure.control}/faults", timeout=5).json() == {"faults": []}
