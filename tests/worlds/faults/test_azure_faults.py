"""Azure's own SDK (azure-identity, azure-mgmt-compute) meets every fault of requests and operations."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from azure.core.exceptions import (
    DecodeError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.mgmt.compute import ComputeManagementClient

from simulators.faults import Action

from .azure_client import begin, names, refused
from .conftest import Azure
from .fault_coverage import covers, inject, refusal

GROUP = "microseg-rg"


@covers("azure", "status")
def test_a_status_before_the_effect_prevents_it_and_its_code_is_read(
    azure: Azure, compute: ComputeManagementClient
) -> None:
    body = {"error": {"code": "ServiceUnavailable", "message": "try again"}}
    inject(azure.control, "azure", "commands.put", "status", status=503, body=body)
    with pytest.raises(HttpResponseError) as caught:
        begin(compute)
    assert caught.value.status_code == 503
    assert caught.value.error is not None
    assert caught.value.error.code == "ServiceUnavailable"
    assert azure.runner.ran == []


@covers("azure", "status")
def test_a_status_after_the_effect_hides_a_command_that_runs(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "commands.put", "status", status=500, phase="after")
    with pytest.raises(HttpResponseError):
        begin(compute)
    azure.wait(lambda: len(azure.runner.ran) == 1)


@covers("azure", "delay")
def test_a_delay_is_waited_for(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "vms.list", "delay", seconds=0.3)
    started = time.monotonic()
    assert names(compute) == ["vm0", "vm1", "vm2"]
    assert time.monotonic() - started >= 0.3


@covers("azure", "cut")
@pytest.mark.parametrize(("phase", "runs"), [("before", 0), ("after", 1)])
def test_a_cut_looks_the_same_before_and_after_the_effect(
    azure: Azure, compute: ComputeManagementClient, phase: str, runs: int
) -> None:
    inject(azure.control, "azure", "commands.put", "cut", phase=phase)
    with pytest.raises(ServiceResponseError):
        begin(compute)
    (entry,) = azure.environment.ledger.entries("azure", "commands.put")
    assert entry.status == 0
    assert entry.note == f"fault {phase}: cut"
    azure.wait(lambda: len(azure.environment.ledger.entries("azure", "world.script-ended")) == runs)


@covers("azure", "hang")
def test_a_hang_is_given_up_after_the_clients_own_time(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "vms.list", "hang")
    with pytest.raises(ServiceResponseTimeoutError):
        list(compute.virtual_machines.list_all(read_timeout=0.2))


@covers("azure", "html")
def test_html_instead_of_json_is_a_bare_refusal(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "vms.list", "html", status=502)
    error = refused(compute)
    assert (error.status_code, error.error) == (502, None)


@covers("azure", "html")
def test_html_with_a_good_status_is_no_answer_that_the_sdk_understands(
    azure: Azure, compute: ComputeManagementClient
) -> None:
    inject(azure.control, "azure", "vms.list", "html", status=200)
    with pytest.raises(json.JSONDecodeError):
        names(compute)


@covers("azure", "truncate")
def test_truncated_json_is_a_decoding_error(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "vms.list", "truncate", phase="after")
    with pytest.raises(DecodeError):
        names(compute)


@covers("azure", "throttle")
def test_a_429_without_a_header_says_arms_code_only(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "vms.list", "throttle")
    error = refused(compute)
    response: Any = error.response
    assert error.error is not None
    assert (error.status_code, error.error.code) == (429, "SubscriptionRequestsThrottled")
    assert "Retry-After" not in response.headers


@covers("azure", "throttle")
@pytest.mark.parametrize("seconds", ["7", "999999999"])
def test_the_sdk_sleeps_as_long_as_a_429_says_however_absurd(
    azure: Azure, compute: ComputeManagementClient, monkeypatch: pytest.MonkeyPatch, seconds: str
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(RequestsTransport, "sleep", lambda _, duration: slept.append(duration))
    inject(azure.control, "azure", "vms.list", "throttle", retry_after=seconds)
    found = [vm.name for vm in compute.virtual_machines.list_all(retry_total=1)]
    assert found == ["vm0", "vm1", "vm2"]
    assert slept == [float(seconds)]


@covers("azure", "throttle")
def test_a_429_with_a_word_for_a_time_breaks_the_sdk(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "vms.list", "throttle", retry_after="soon")
    with pytest.raises(ValueError, match="Invalid HTTP date"):
        list(compute.virtual_machines.list_all(retry_total=1))
    assert len(azure.environment.ledger.entries("azure", "vms.list")) == 1


@covers("azure", "operation-lost")
def test_a_lost_operation_ends_the_poller_though_its_script_ran(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "commands.put", "operation-lost")
    with pytest.raises(HttpResponseError) as caught:
        begin(compute).result(10)
    assert caught.value.status_code == 404
    azure.wait(lambda: len(azure.runner.ran) == 1)


@covers("azure", "task-fails")
def test_an_operation_fails_though_its_script_ran(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "commands.put", "task-fails")
    with pytest.raises(HttpResponseError) as caught:
        begin(compute).result(10)
    assert caught.value.error is not None
    assert caught.value.error.code == "InternalExecutionError"
    assert len(azure.runner.ran) == 1


@covers("azure", "task-half")
def test_an_operation_succeeds_while_its_script_is_seen_to_run_for_ever(
    azure: Azure, compute: ComputeManagementClient
) -> None:
    inject(azure.control, "azure", "commands.put", "task-half")
    assert begin(compute).result(10).provisioning_state == "Succeeded"
    read = compute.virtual_machine_run_commands.get_by_virtual_machine(GROUP, "vm0", "install", expand="instanceView")
    assert read.instance_view is not None
    assert read.instance_view.execution_state == "Running"
    assert read.instance_view.end_time is None
    assert len(azure.runner.ran) == 1


@covers("azure", "task-endless")
def test_an_operation_that_never_ends_keeps_the_poller_waiting(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "commands.put", "task-endless")
    poller = begin(compute)
    azure.wait(lambda: len(azure.environment.ledger.entries("azure", "world.script-ended")) == 1)
    azure.wait(lambda: len(azure.environment.ledger.entries("azure", "operations.get")) > 3)
    assert not poller.done()
    assert poller.status() == "InProgress"
    azure.background.call(azure.world.run_commands._operations.clear)
    with pytest.raises(HttpResponseError):
        poller.result(10)


@covers("azure", "foreign-lock")
def test_a_locked_group_refuses_writes_until_the_lock_is_gone(azure: Azure, compute: ComputeManagementClient) -> None:
    inject(azure.control, "azure", "vms.get", "foreign-lock", target="Microseg-RG", seconds=60)
    compute.virtual_machines.get(GROUP, "vm0")
    with pytest.raises(HttpResponseError) as caught:
        begin(compute)
    assert caught.value.error is not None
    assert (caught.value.status_code, caught.value.error.code) == (409, "ScopeLocked")
    azure.background.call(azure.world.group_locks.clear)
    assert begin(compute).result(10).provisioning_state == "Succeeded"


@covers("azure", "human-edit")
def test_somebody_deletes_the_vm_between_a_look_and_the_write(azure: Azure, compute: ComputeManagementClient) -> None:
    edit = {"vm": "vm0", "do": "delete", "at_once": True}
    inject(azure.control, "azure", "commands.put", "human-edit", body=edit)
    assert compute.virtual_machines.get(GROUP, "vm0").name == "vm0"
    with pytest.raises(ResourceNotFoundError) as caught:
        begin(compute)
    assert caught.value.error is not None
    assert caught.value.error.code == "ParentResourceNotFound"


@covers("azure", "human-edit")
def test_an_edit_that_cannot_be_done_is_told_in_the_ledger_and_not_to_the_caller(
    azure: Azure, compute: ComputeManagementClient
) -> None:
    inject(azure.control, "azure", "vms.list", "human-edit", body={"vm": "nobody", "do": "stop"})
    assert names(compute) == ["vm0", "vm1", "vm2"]
    (entry,) = azure.environment.ledger.entries("azure", "vms.list")
    assert entry.note.startswith("fault before: human-edit not possible: VM 'nobody'")


@covers("azure", "bulk-partial")
def test_azure_has_nothing_that_could_be_done_in_part(azure: Azure) -> None:
    assert "no bulk operation" in refusal(azure.control, "azure", "commands.put", "bulk-partial")


@pytest.mark.parametrize(
    ("action", "operation", "complaint"),
    [
        ("operation-lost", "vms.list", "start operations"),
        ("stale", "vms.list", "needs 'seconds'"),
        ("foreign-lock", "vms.list", "needs 'target' and 'seconds'"),
        ("human-edit", "vms.list", "needs 'body'"),
    ],
)
def test_an_order_that_makes_no_sense_in_azure_is_refused(
    azure: Azure, action: Action, operation: str, complaint: str
) -> None:
    assert complaint in refusal(azure.control, "azure", operation, action)
