"""What Azure shows of a run-command when something happens inside the VM."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from simulators.azure import incidents
from simulators.azure.handler import ENDS

from .conftest import Azure
from .test_azure_commands import body, finished, put, url


def act(azure: Azure, action: str, **given: object) -> requests.Response:
    """Let something happen in the VM `web`."""
    return requests.post(f"{azure.control}/azure/vms/web/{action}", json=given, timeout=5)


def view(azure: Azure, session: requests.Session, name: str = "one") -> dict[str, Any]:
    """The instance view of a run-command."""
    shown = session.get(url(azure, f"/{name}?$expand=instanceView"), timeout=5).json()
    found: dict[str, Any] = shown["properties"]["instanceView"]
    return found


def starts(azure: Azure) -> list[tuple[str, str]]:
    """(run-command, note) per start of a script."""
    return [(each.changed[1], each.note) for each in azure.environment.ledger.entries("azure", "world.script-started")]


def test_a_name_that_was_used_is_used_up_even_after_its_deletion(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.session() as session, azure.compute() as compute:
        put(session, azure, "one", body())
        finished(azure, "web", "one")
        compute.virtual_machine_run_commands.begin_delete("microseg-rg", "web", "one").result(timeout=30)
        operation = put(session, azure, "one", body("echo another")).headers["Azure-AsyncOperation"]
        azure.background.call(lambda: setattr(azure.environment.clock, "scale", 10_000))
        azure.wait(lambda: not azure.world.named("web").commands["one"].busy)
        shown, ended = view(azure, session), session.get(operation, timeout=5).json()
    assert starts(azure) == [("one", "")]
    assert (shown["executionState"], "startTime" in shown, "endTime" in shown) == ("Pending", False, False)
    assert (ended["status"], ended["error"]["code"]) == ("Failed", "VMExtensionProvisioningTimeout")


def test_a_higher_number_of_the_same_name_runs(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.session() as session:
        for script in ("echo a", "echo b"):
            put(session, azure, "one", body(script))
            finished(azure, "web", "one")
    assert azure.world.named("web").processed == {"one": 1}
    assert len(azure.runner.ran) == 2


def test_output_so_far_is_seen_while_the_script_runs(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.session() as session:
        put(session, azure, "one", body("wait"))
        azure.wait(lambda: bool(azure.runner.ran))
        shown = view(azure, session)
    assert (shown["executionState"], shown["executionMessage"]) == ("Running", "Execution in progress")
    assert (shown["output"], shown["exitCode"], "endTime" in shown) == ("so far\n", 0, False)


@pytest.mark.parametrize("action", ["reboot", "restart-handler"])
def test_after_a_reboot_or_a_restart_of_the_handler_a_script_runs_for_good(azure: Azure, action: str) -> None:
    (vm,) = azure.add({"name": "web"})
    with azure.session() as session:
        operation = put(session, azure, "one", body("wait")).headers["Azure-AsyncOperation"]
        azure.wait(lambda: bool(azure.runner.ran))
        azure.background.call(lambda: setattr(azure.environment.clock, "scale", 10_000))
        assert act(azure, action).status_code == 200
        azure.background.call(azure.runner.release.set)
        azure.wait(lambda: bool(azure.environment.ledger.entries("azure", "world.script-ended")))
        azure.wait(lambda: not azure.world.named("web").commands["one"].busy)
        shown, ended = view(azure, session), session.get(operation, timeout=5).json()
    assert (shown["executionState"], shown["exitCode"], "endTime" in shown) == ("Running", 0, False)
    assert ended["error"]["code"] == "VMExtensionProvisioningTimeout"
    assert azure.runner.killed == ([vm.vm_id] if action == "reboot" else [])
    assert len(azure.runner.ran) == 1


def test_a_command_that_had_not_begun_runs_after_the_reboot_and_after_the_next_start(azure: Azure) -> None:
    (vm,) = azure.add({"name": "web", "agentDelay": 300.0})
    with azure.session() as session:
        put(session, azure, "one", body())
        act(azure, "reboot")
        put(session, azure, "two", body("echo two"))
        azure.background.call(lambda: azure.world.stop(vm))
        azure.wait(lambda: not vm.on and vm.power == "deallocated")
        assert azure.runner.ran == []
        vm.agent_delay = 0.0
        azure.background.call(lambda: azure.world.start(vm))
        finished(azure, "web", "one")
        finished(azure, "web", "two")
    assert sorted(starts(azure)) == [("one", ""), ("two", "")]


def test_a_fresh_disk_runs_all_old_commands_again(azure: Azure) -> None:
    (vm,) = azure.add({"name": "web"})
    with azure.session() as session:
        for name in ("one", "two"):
            put(session, azure, name, body())
            finished(azure, "web", name)
        azure.background.call(lambda: incidents.replace_disk(azure.world, vm))
        azure.wait(lambda: len(azure.environment.ledger.entries("azure", "world.script-ended")) == 4)
        finished(azure, "web", "two")
        assert view(azure, session)["executionState"] == "Succeeded"
    assert sorted(starts(azure)[2:]) == [("one", "again"), ("two", "again")]


def test_a_script_that_the_vm_kills_ends_with_code_minus_one(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.session() as session:
        put(session, azure, "one", body("wait"))
        azure.wait(lambda: bool(azure.runner.ran))
        act(azure, "kill-scripts")
        finished(azure, "web", "one")
        shown = view(azure, session)
    assert (shown["executionState"], shown["exitCode"], shown["output"]) == ("Failed", -1, "so far\n")


@pytest.mark.parametrize("why", ENDS)
def test_while_something_is_in_the_way_no_script_begins_and_azure_says_why(azure: Azure, why: str) -> None:
    azure.add({"name": "web"})
    with azure.session() as session:
        act(azure, "obstruct", why=why)
        operation = put(session, azure, "one", body()).headers["Azure-AsyncOperation"]
        finished(azure, "web", "one")
        shown = view(azure, session)
        assert session.get(operation, timeout=5).json()["status"] == "Succeeded"
        assert azure.runner.ran == []
        act(azure, "obstruct", why="")
        put(session, azure, "one", body("echo again"))
        finished(azure, "web", "one")
    end = ENDS[why]
    assert (shown["executionState"], shown["exitCode"], shown["output"]) == ("Failed", end.exit_code, "")
    assert shown["executionMessage"].startswith("Execution failed: ")
    assert "{" not in shown["executionMessage"] + shown["error"]
    assert len(azure.runner.ran) == 1


def test_a_name_whose_number_could_not_be_written_is_used_up_without_a_word(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.session() as session:
        act(azure, "obstruct", why="no-number")
        operation = put(session, azure, "one", body()).headers["Azure-AsyncOperation"]
        azure.wait(lambda: bool(azure.world.named("web").processed))
        act(azure, "obstruct", why="")
        put(session, azure, "two", body())
        finished(azure, "web", "two")
        assert session.get(operation, timeout=5).json()["status"] == "InProgress"
        assert view(azure, session)["executionState"] == "Pending"
    assert [name for name, _ in starts(azure)] == ["two"]


def test_after_an_upgrade_a_deleted_name_is_said_to_be_executed(azure: Azure) -> None:
    azure.add({"name": "web"})
    with azure.session() as session, azure.compute() as compute:
        put(session, azure, "one", body())
        finished(azure, "web", "one")
        compute.virtual_machine_run_commands.begin_delete("microseg-rg", "web", "one").result(timeout=30)
        act(azure, "upgrade-handler")
        put(session, azure, "one", body("echo another"))
        finished(azure, "web", "one")
        shown = view(azure, session)
    assert (shown["executionState"], shown["output"], shown["exitCode"]) == ("Unknown", "Unknown", 0)
    assert len(azure.runner.ran) == 1


def test_an_unknown_obstacle_and_a_reboot_of_a_vm_that_is_off_are_refused(azure: Azure) -> None:
    (vm,) = azure.add({"name": "web"})
    assert "disk-full" in act(azure, "obstruct", why="colour").text
    azure.background.call(lambda: azure.world.stop(vm))
    assert act(azure, "reboot").status_code == 400


def test_an_empty_parameter_is_not_set_and_a_protected_one_wins(azure: Azure) -> None:
    azure.add({"name": "web"})
    order = body(
        parameters=[
            {"name": "A", "value": "public"},
            {"name": "B", "value": "kept"},
            {"name": "C", "value": ""},
            {"name": "D=E", "value": "dropped"},
            {"name": "", "value": "nameless"},
        ],
        protectedParameters=[{"name": "A", "value": "protected"}, {"name": "B", "value": ""}],
    )
    with azure.session() as session:
        assert put(session, azure, "one", order).status_code == 201
        finished(azure, "web", "one")
    assert azure.runner.ran[0][2] == {"A": "protected", "B": "kept"}
