"""The calls of Ansible's collection check_point.mgmt 6.7.0, recorded from a playbook that ran against this world.

The collection has no package of its own at PyPI, and comes with 54 MB of others there; so its calls are told here. Each
module asks `equals` first: 404 leads to `add-…`, `false` to `set-…`, `true` to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from lab.processes import wait_until

from .conftest import Management

Json = dict[str, object]
ONE: Json = {"comments": "c", "ipv4-address": "10.77.0.1", "name": "ans-1", "tags": ["made-by-use"]}
TWO: Json = {"ipv4-address": "10.77.0.2", "name": "ans-2"}


class Collection:
    """What the collection's connection and `plugins/module_utils/checkpoint.py` do."""

    def __init__(self, management: Management) -> None:
        self._url = f"{management.url}/web_api/"
        self._session = requests.Session()
        self._session.verify = str(management.ca)
        self._session.trust_env = False
        status, answer = self.call("login", {"api-key": management.key})
        assert status == 200
        self._session.headers["X-chkp-sid"] = str(answer["sid"])

    def call(self, command: str, body: Json | None = None) -> tuple[int, Json]:
        """Send a command with the collection's headers."""
        headers = {"Content-Type": "application/json", "User-Agent": "Ansible"}
        answer = self._session.post(self._url + command, json=body or {}, headers=headers, timeout=5)
        return answer.status_code, answer.json()

    def ensure(self, kind: str, wanted: Json) -> str:
        """Do what a module does for `state: present`; return the command that it came to."""
        status, answer = self.call("equals", {"type": kind, "params": wanted})
        if status == 200 and answer["equals"]:
            return "ok"
        command = f"{'add' if status == 404 else 'set'}-{kind}"
        assert self.call(command, wanted)[0] == 200
        return command

    def close(self) -> None:
        """Log out."""
        self.call("logout")
        self._session.close()


@pytest.fixture
def ansible(management: Management) -> Iterator[Collection]:
    collection = Collection(management)
    yield collection
    collection.close()


def test_a_host_is_added_once_with_a_tag_that_nobody_made(ansible: Collection) -> None:
    assert [ansible.ensure("host", ONE) for _ in range(2)] == ["add-host", "ok"]


def test_a_group_that_grows_and_shrinks_is_set_and_the_same_members_in_another_order_are_not(
    ansible: Collection,
) -> None:
    assert [ansible.ensure("host", each) for each in (ONE, TWO)] == ["add-host"] * 2
    members = (["ans-1"], ["ans-1", "ans-2"], ["ans-2", "ans-1"], ["ans-1"])
    done = [ansible.ensure("group", {"members": each, "name": "ans-g"}) for each in members]
    assert done == ["add-group", "set-group", "ok", "set-group"]


def test_a_host_that_should_be_in_a_group_is_left_out(ansible: Collection) -> None:
    """Issue 65 of the collection."""
    assert ansible.ensure("host", TWO) == "add-host"
    assert ansible.ensure("host", {**TWO, "groups": ["SO"]}) == "ok"


def test_publish_is_followed_by_its_task_in_full(ansible: Collection) -> None:
    ansible.ensure("host", ONE)
    status, answer = ansible.call("publish")
    task = {"task-id": answer["task-id"], "details-level": "full"}

    def succeeded() -> bool:
        tasks = ansible.call("show-task", task)[1]["tasks"]
        return isinstance(tasks, list) and tasks[0]["status"] == "succeeded"

    assert status == 200
    wait_until(succeeded, seconds=10.0, what="the publish")
