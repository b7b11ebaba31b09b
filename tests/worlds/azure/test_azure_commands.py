"""Managed run-commands, driven by Azure's own SDK and its poller."""

from __future__ import annotations

from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.mgmt.compute.models import VirtualMachineRunCommand as model  # noqa: N813 - it is called once in most tests

from .conftest import Azure

GROUP = "microseg-rg"


def body(script: str = "echo hi", *, code: str = "K-SECRET", **properties: Any) -> dict[str, Any]:
    return {
        "location": "westeurope",
        "tags": {"microseg.dev-owner": "me"},
        "properties": {
            "source": {"script": script},
            "parameters": [{"name": "MICROSEG_MODE", "value": "install"}],
            "protectedParameters": [{"name": "MICROSEG_ACTIVATION_CODE", "value": code}],
            "timeoutInSeconds": 600,
            **properties,
        },
    }


def test_the_sdk_runs_a_command_to_its_end_and_reads_its_result(azure: Azure) -> None:
    (vm,) = azure.add({"name": "web"})
    with azure.compute() as compute:
        commands = compute.virtual_machine_run_commands
        made = commands.begin_create_or_update(GROUP, "web", "microseg-1", model(body())).result(timeout=30)
        assert made.provisioning_state == "Succeeded"
        view = commands.get_by_virtual_machine(GROUP, "WEB", "MicroSeg-1", expand="instanceView").instance_view
    assert (view.execution_state, view.exit_code, view.output) == ("Succeeded", 0, "done\n")
    assert view.start_time <= view.end_time
    assert azure.runner.ran == [
        (vm.vm_id, "echo hi", {"MICROSEG_MODE": "install", "MICROSEG_ACTIVATION_CODE": "K-SECRET"})
    ]
    (started,) = azure.environment.ledger.entries("azure", "world.script-started")
    (ended,) = azure.environment.ledger.entries("azure", "world.script-ended")
    assert started.changed == ended.changed == (vm.vm_id, "microseg-1", "install")
    assert ended.note == "exit 0"


def test_a_new_command_is_201_creating_with_an_operation_of_this_origin(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.session() as session:
        answer = put(session, azure, "one", body())
        assert (answer.status_code, answer.json()["properties"]["provisioningState"]) == (201, "Creating")
        operation = answer.headers["Azure-AsyncOperation"]
        assert operation.startswith(f"{azure.url}/subscriptions/")
        assert "Retry-After" not in answer.headers
        assert session.get(operation, timeout=5).json()["status"] == "InProgress"


def test_a_second_put_of_the_same_name_and_body_runs_nothing(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.session() as session:
        put(session, azure, "one", body())
        assert put(session, azure, "one", body()).status_code == 200
        finished(azure, "web", "one")
        again = put(session, azure, "one", body())
        assert (again.status_code, again.json()["properties"]["provisioningState"]) == (200, "Succeeded")
    assert len(azure.runner.ran) == 1


def test_another_body_under_the_same_name_runs_again_once_the_first_is_over(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.session() as session:
        put(session, azure, "one", body())
        refused = put(session, azure, "one", body(code="other"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "Conflict")
        finished(azure, "web", "one")
        again = put(session, azure, "one", body(code="other"))
        assert (again.status_code, again.json()["properties"]["provisioningState"]) == (200, "Updating")
        finished(azure, "web", "one")
    assert len(azure.runner.ran) == 2


def test_protected_parameters_come_back_from_nothing_and_are_marked_secret(azure: Azure) -> None:
    azure.add({"name": "web"})
    texts = []
    with azure.session() as session:
        texts.append(put(session, azure, "one", body()).text)
        finished(azure, "web", "one")
        paths = ("", "/one", "/one?$expand=instanceView", "?$expand=instanceView")
        texts.extend(session.get(url(azure, path), timeout=5).text for path in paths)
    assert all("script" in text for text in texts)
    assert not any("K-SECRET" in text or "protected" in text for text in texts)
    assert "K-SECRET" in azure.environment.ledger.secrets
    assert not any("K-SECRET" in repr(entry) for entry in azure.environment.ledger.entries())


def test_a_script_that_fails_is_a_success_of_the_operation(azure: Azure) -> None:
    azure.add({"name": "web"})
    azure.runner.result = type(azure.runner.result)(exit_code=3, stdout="", stderr="no")
    with azure.compute() as compute:
        commands = compute.virtual_machine_run_commands
        made = commands.begin_create_or_update(GROUP, "web", "one", model(body())).result(timeout=30)
        assert made.provisioning_state == "Succeeded"
        view = commands.get_by_virtual_machine(GROUP, "web", "one", expand="instanceView").instance_view
    assert (view.execution_state, view.exit_code, view.error) == ("Failed", 3, "no")


def test_a_script_that_fails_may_be_ordered_to_fail_the_operation(azure: Azure) -> None:
    azure.add({"name": "web"})
    azure.runner.result = type(azure.runner.result)(exit_code=3)
    with azure.compute() as compute:
        poller = compute.virtual_machine_run_commands.begin_create_or_update(
            GROUP, "web", "one", model(body(treatFailureAsDeploymentFailure=True))
        )
        with pytest.raises(HttpResponseError) as refusal:
            poller.result(timeout=30)
    assert refusal.value.error is not None
    assert refusal.value.error.code == "VMExtensionProvisioningError"


def test_what_a_script_printed_is_not_seen_before_azure_reports_its_end(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.session() as session:
        put(session, azure, "one", body())
        azure.background.call(lambda: setattr(azure.environment.clock, "scale", 0.1))
        azure.wait(lambda: bool(azure.environment.ledger.entries("azure", "world.script-ended")))
        view = session.get(url(azure, "/one?$expand=instanceView"), timeout=5).json()["properties"]["instanceView"]
    assert (view["executionState"], view["output"], "endTime" in view) == ("Running", "", False)


def test_a_time_out_is_a_failure_with_code_minus_one(azure: Azure) -> None:
    azure.add({"name": "web"})
    azure.runner.result = type(azure.runner.result)(timed_out=True, exit_code=-1)
    with azure.session() as session:
        put(session, azure, "one", body())
        finished(azure, "web", "one")
        view = session.get(url(azure, "/one?$expand=instanceView"), timeout=5).json()["properties"]["instanceView"]
    assert (view["executionState"], view["exitCode"]) == ("Failed", -1)
    assert view["executionMessage"].endswith("command terminated with exit status=-1")


def test_an_asynchronous_command_is_provisioned_when_its_script_starts(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.compute() as compute:
        commands = compute.virtual_machine_run_commands
        made = commands.begin_create_or_update(GROUP, "web", "one", model(body("wait", asyncExecution=True))).result(
            timeout=30
        )
        assert made.provisioning_state == "Succeeded"
        view = commands.get_by_virtual_machine(GROUP, "web", "one", expand="instanceView").instance_view
        assert (view.execution_state, view.exit_code, view.end_time) == ("Running", 0, None)


def test_deleting_a_running_command_kills_nothing(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.compute() as compute:
        commands = compute.virtual_machine_run_commands
        with azure.session() as session:
            put(session, azure, "one", body("wait"))
        azure.wait(lambda: bool(azure.runner.ran))
        commands.begin_delete(GROUP, "web", "one").result(timeout=30)
        assert list(commands.list_by_virtual_machine(GROUP, "web")) == []
        with pytest.raises(ResourceNotFoundError):
            commands.get_by_virtual_machine(GROUP, "web", "one")
    assert azure.environment.ledger.entries("azure", "world.script-ended") == []
    azure.background.call(azure.runner.release.set)
    azure.wait(lambda: bool(azure.environment.ledger.entries("azure", "world.script-ended")))
    assert azure.runner.killed == []


def test_a_command_that_is_deleted_before_the_vm_heard_of_it_never_runs(azure: Azure) -> None:
    azure.add({"name": "web", "agent": "never"})
    with azure.compute() as compute:
        with azure.session() as session:
            put(session, azure, "one", body())
        compute.virtual_machine_run_commands.begin_delete(GROUP, "web", "one").result(timeout=30)
    assert azure.runner.ran == []


def test_deleting_what_is_not_there_is_204(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.session() as session:
        assert session.delete(url(azure, "/one"), timeout=5).status_code == 204


def test_a_vm_holds_25_commands(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.session() as session:
        for number in range(25):
            assert put(session, azure, f"c{number}", body()).status_code == 201
        refused = put(session, azure, "c25", body())
    assert refused.status_code == 400
    assert "max=25, current=25" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        ({"power": "deallocated"}, "when the VM is not running"),
        ({"provisionVMAgent": False}, "ensure VM Agent is installed"),
        ({"allowExtensionOperations": False}, "allowExtensionOperations property is true"),
    ],
)
def test_a_vm_that_cannot_run_commands_refuses_them(azure: Azure, order: dict[str, object], words: str) -> None:
    azure.add({"name": "web", **order})
    with azure.compute() as compute, pytest.raises(ResourceExistsError) as refusal:
        compute.virtual_machine_run_commands.begin_create_or_update(GROUP, "web", "one", model(body()))
    assert refusal.value.error is not None
    assert refusal.value.error.code == "OperationNotAllowed"
    assert words in str(refusal.value.error.message)
    assert azure.environment.ledger.entries("azure", "world.script-started") == []


def test_an_agent_that_is_never_heard_fails_the_operation(azure: Azure) -> None:
    azure.add({"name": "deaf", "agent": "never"})
    azure.background.call(lambda: setattr(azure.environment.clock, "scale", 10_000))
    with azure.compute() as compute:
        poller = compute.virtual_machine_run_commands.begin_create_or_update(GROUP, "deaf", "one", model(body()))
        with pytest.raises(HttpResponseError) as refusal:
            poller.result(timeout=30)
    assert refusal.value.error is not None
    assert refusal.value.error.code == "VMAgentStatusCommunicationError"
    assert azure.runner.ran == []


def test_stopping_a_vm_kills_its_scripts_and_preempts_their_operations(azure: Azure) -> None:
    (vm,) = azure.add({"name": "web"})
    with azure.session() as session:
        operation = put(session, azure, "one", body("wait")).headers["Azure-AsyncOperation"]
        azure.wait(lambda: bool(azure.runner.ran))
        azure.background.call(lambda: azure.world.stop(vm))
        azure.wait(lambda: bool(azure.runner.killed))
        status = session.get(operation, timeout=5).json()
        view = session.get(url(azure, "/one?$expand=instanceView"), timeout=5).json()["properties"]["instanceView"]
    assert (status["status"], status["error"]["code"]) == ("Failed", "OperationPreempted")
    assert "endTime" not in view


def test_a_recreated_vm_has_the_same_address_in_arm_and_no_commands(azure: Azure) -> None:
    (vm,) = azure.add({"name": "web"})
    with azure.session() as session:
        put(session, azure, "one", body("wait"))
        azure.wait(lambda: bool(azure.runner.ran))
        again = azure.background.call(lambda: azure.world.recreate(vm))
        assert again.vm_id != vm.vm_id
        assert session.get(url(azure, ""), timeout=5).json() == {"value": []}
        put(session, azure, "one", body())
        finished(azure, "web", "one")
    assert [entry.changed[0] for entry in azure.environment.ledger.entries("azure", "world.script-started")] == [
        vm.vm_id,
        again.vm_id,
    ]


def test_a_command_of_a_vanished_vm_is_refused_as_of_a_missing_parent(azure: Azure) -> None:
    with azure.session() as session:
        answer = put(session, azure, "one", body(), vm="nobody")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "ParentResourceNotFound")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"location": None}, "LocationRequired"),
        ({"location": "eastus"}, "InvalidResourceLocation"),
        ({"colour": "red"}, "BadRequest"),
        ({"properties": {"source": {"script": "a", "commandId": "b"}}}, "InvalidParameterConflictingProperties"),
        ({"properties": {"source": {"script": " "}}}, "InvalidParameter"),
        ({"properties": {"source": {"script": ["a"]}}}, "InvalidParameter"),
        ({"properties": {"source": {"script": "a"}, "protectedParameter": []}}, "BadRequest"),
        ({"properties": {"source": {"script": "a"}, "parameters": [{"name": "A", "value": 1}]}}, "InvalidParameter"),
        ({"properties": {"source": {"script": "a"}, "timeoutInSeconds": 9000}}, "InvalidParameter"),
    ],
)
def test_a_wrong_body_is_refused_and_runs_nothing(azure: Azure, change: dict[str, object], code: str) -> None:
    azure.add({"name": "web"})
    with azure.session() as session:
        answer = put(session, azure, "one", {**body(), **change})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert azure.world.named("web").commands == {}


def url(azure: Azure, rest: str, vm: str = "web") -> str:
    """A URL below a VM's run-commands."""
    scope = f"{azure.url}/subscriptions/{azure.world.subscriptions[0]}/resourceGroups/{GROUP}/providers"
    path, _, query = rest.partition("?")
    more = f"&{query}" if query else ""
    return f"{scope}/Microsoft.Compute/virtualMachines/{vm}/runCommands{path}?api-version=2024-07-01{more}"


def put(session: Any, azure: Azure, name: str, order: object, vm: str = "web") -> Any:
    return session.put(url(azure, f"/{name}", vm), json=order, timeout=5)


def finished(azure: Azure, vm: str, name: str) -> None:
    azure.wait(lambda: azure.world.named(vm).commands[name].ended is not None)
    azure.wait(lambda: not azure.world.named(vm).commands[name].busy)
