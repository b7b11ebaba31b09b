"""Real pairing: bash and curl run the script that the PCE simulator serves, over TLS."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simulators.faults import Fault

from .conftest import refusal

if TYPE_CHECKING:
    from .conftest import Pce

SUCCESS = "VEN has been SUCCESSFULLY paired with Illumio"


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine with its own state folder."""

    folder: Path
    authority: Path
    hostname: str = "web1"

    def state(self, name: str) -> dict[str, str]:
        text = (self.folder / "data" / "etc" / name).read_text()
        return dict(line.split(": ", 1) for line in text.splitlines())

    def pair(
        self, script: bytes, server: str, code: str, guest_file: str = "guest.json"
    ) -> subprocess.CompletedProcess[str]:
        self.folder.mkdir(exist_ok=True)
        guest: Mapping[str, object] = {
            "hostname": self.hostname,
            "os": "Linux",
            "interfaces": [{"name": "eth0", "address": "10.1.0.4", "cidr_block": 24}],
        }
        (self.folder / "guest.json").write_text(json.dumps(guest, indent=1))
        (self.folder / "pair.sh").write_bytes(script)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "CURL_CA_BUNDLE": str(self.authority),
            "VEN_DATA_DIR": str(self.folder / "data"),
            "VEN_GUEST_FILE": str(self.folder / guest_file),
        }
        return subprocess.run(
            ["bash", "pair.sh", "--management-server", server, "--activation-code", code],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture
def machine(pce: Pce, tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine", pce.authority)


def fetch(pce: Pce, name: str = "pair.sh", version: int = 18, profile: str = "1") -> bytes:
    path = f"/api/v{version}/software/ven/image?pair_script={name}&profile_id={profile}"
    answer = pce.call("GET", path, auth=None)
    assert answer.status_code == 200, answer.text
    return answer.content


def profile(pce: Pce, **more: object) -> str:
    body = {"enabled": True, "name": "one", "allowed_uses_per_key": 1, "key_lifespan": 600, **more}
    return str(pce.call("POST", "/pairing_profiles", json=body).json()["href"])


def key(pce: Pce, href: str) -> str:
    made = pce.call("POST", f"{href}/pairing_key", json={})
    assert made.status_code == 201, made.text
    return str(made.json()["activation_code"])


def test_the_script_pairs_a_machine_and_its_files_name_the_workload(pce: Pce, machine: Machine) -> None:
    label = pce.label("loc", "azure")
    href = profile(pce, labels=[{"href": label}], enforcement_mode="selective")
    number = href.rpartition("/")[2]
    ended = machine.pair(fetch(pce, profile=number), pce.host, key(pce, href))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert SUCCESS in ended.stdout
    assert len(re.findall(r"^\S.* \.+SUCCESS $", ended.stdout, re.MULTILINE)) == 4
    identity = machine.state("agent_id.cfg")
    assert machine.state("agent_activation.cfg") == {"masterconfig_server": pce.host}
    assert identity["org_id"] == "50"
    workload = pce.call("GET", f"/workloads/{identity['workload_uuid']}").json()
    assert workload["agent"]["href"] == f"/orgs/50/agents/{identity['agent_id']}"
    assert (workload["hostname"], workload["enforcement_mode"], workload["online"]) == ("web1", "selective", True)
    assert [item["href"] for item in workload["labels"]] == [label]
    assert workload["interfaces"][0] | {"name": "eth0", "address": "10.1.0.4"} == workload["interfaces"][0]
    assert len(pce.entries("world.workload-paired")) == 1
    assert pce.call("GET", href).json()["total_use_count"] == 1


def test_the_first_policy_comes_after_its_latency(pce: Pce, machine: Machine) -> None:
    pce.world.traits.policy_seconds = 0.4 * pce.environment.clock.scale
    machine.pair(fetch(pce), pce.host, key(pce, profile(pce)))

    def state() -> str:
        (row,) = pce.call("GET", "/workloads").json()
        return str(row["agent"]["status"]["security_policy_sync_state"])

    assert state() == "syncing"
    pce.until(lambda: state() == "active", "the policy was applied")


def test_a_used_up_an_expired_a_revoked_and_an_unknown_code_are_refused(pce: Pce, machine: Machine) -> None:
    href, script = profile(pce), fetch(pce)
    used = key(pce, href)
    assert machine.pair(script, pce.host, used).returncode == 0
    revoked = key(pce, href)
    assert pce.call("DELETE", f"{href}/pairing_keys").status_code == 204
    expired = key(pce, href)
    pce.world.profiles._keys[expired].expires_at = pce.environment.clock.now() - 1
    cases = {
        used: "activation_code_used_up",
        revoked: "activation_code_invalid",
        expired: "activation_code_expired",
        "ab12": "activation_code_invalid",
    }
    for number, (code, token) in enumerate(cases.items()):
        other = replace(machine, folder=machine.folder.parent / f"other{number}")
        ended = other.pair(script, pce.host, code)
        assert ended.returncode == 1
        assert f"refused the activation code (HTTP 403 {token})" in ended.stderr
        assert SUCCESS not in ended.stdout
        assert not (other.folder / "data").exists()
    assert len(pce.entries("world.workload-paired")) == 1


def test_a_disabled_profile_pairs_nobody(pce: Pce, machine: Machine) -> None:
    href = profile(pce)
    code = key(pce, href)
    pce.call("PUT", href, json={"enabled": False})
    assert "pairing_profile_disabled" in machine.pair(fetch(pce), pce.host, code).stderr


def test_a_closed_port_ends_with_curls_code_and_words(pce: Pce, machine: Machine) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ended = machine.pair(fetch(pce), f"127.0.0.1:{closed.getsockname()[1]}", "ab12")
    assert ended.returncode == 7
    assert "can not be reached: curl: (7)" in ended.stderr


def test_a_machine_that_does_not_trust_the_certificate_does_not_pair(pce: Pce, machine: Machine) -> None:
    ended = replace(machine, authority=Path("/dev/null")).pair(fetch(pce), pce.host, key(pce, profile(pce)))
    assert ended.returncode in (60, 77)
    assert pce.entries("agents.activate") == []


def test_a_paired_machine_does_not_pair_again(pce: Pce, machine: Machine) -> None:
    href, script = profile(pce), fetch(pce)
    machine.pair(script, pce.host, key(pce, href))
    ended = machine.pair(script, pce.host, key(pce, href))
    assert ended.returncode == 1
    assert f"already paired with {pce.host}" in ended.stderr


def test_a_machine_without_a_description_tells_its_own_name(pce: Pce, machine: Machine) -> None:
    ended = machine.pair(fetch(pce), pce.host, key(pce, profile(pce)), guest_file="none")
    assert ended.returncode == 0, ended.stderr
    (row,) = pce.call("GET", "/workloads").json()
    assert row["hostname"] == socket.gethostname()


def test_a_machine_that_was_wiped_pairs_as_a_new_workload(pce: Pce, machine: Machine) -> None:
    href, script = profile(pce), fetch(pce)
    machine.pair(script, pce.host, key(pce, href))
    again = replace(machine, folder=machine.folder.parent / "wiped")
    again.pair(script, pce.host, key(pce, href))
    assert machine.state("agent_id.cfg") != again.state("agent_id.cfg")
    assert len(pce.call("GET", "/workloads", params={"hostname": "web1"}).json()) == 2


def test_an_ordered_refusal_meets_its_machine_as_often_as_ordered_and_spends_no_key(pce: Pce, machine: Machine) -> None:
    pce.order("pairing", {"hostname": "WEB1", "refuse": 1}, 201)
    href, script = profile(pce), fetch(pce)
    code = key(pce, href)
    assert machine.pair(script, pce.host, code).returncode == 1
    assert machine.pair(script, pce.host, code).returncode == 0
    pce.order("pairing", {"how": "nonsense"}, 400)


@pytest.mark.parametrize("how", ["error", "html"])
def test_a_pce_that_is_not_available_is_told_from_a_refusal(pce: Pce, machine: Machine, how: str) -> None:
    pce.order("pairing", {"hostname": "*", "how": how}, 201)
    ended = machine.pair(fetch(pce), pce.host, key(pce, profile(pce)))
    assert ended.returncode == 22
    assert "is not available (HTTP 50" in ended.stderr


def test_an_answer_lost_after_activation_leaves_a_workload_that_the_machine_does_not_know(
    pce: Pce, machine: Machine
) -> None:
    pce.environment.faults.add(Fault("illumio", "agents.activate", phase="after", action="cut"))
    ended = machine.pair(fetch(pce), pce.host, key(pce, profile(pce)))
    assert ended.returncode in (52, 56)
    assert not (machine.folder / "data").exists()
    assert len(pce.call("GET", "/workloads").json()) == 1


def test_a_code_is_nowhere_in_the_ledger_the_audit_trail_or_the_script(pce: Pce, machine: Machine) -> None:
    href, script = profile(pce), fetch(pce)
    code = key(pce, href)
    ended = machine.pair(script, pce.host, code)
    kept = json.dumps([entry.as_json() for entry in pce.environment.ledger.entries()]) + str(pce.world.context.events)
    assert code not in kept + script.decode() + ended.stdout + ended.stderr


def test_a_script_of_an_unknown_profile_name_or_version_is_refused(pce: Pce) -> None:
    path = "/api/v{}/software/ven/image?pair_script={}&profile_id={}"
    assert refusal(pce.call("GET", path.format(18, "pair.sh", 99), auth=None)) == (404, "not_found_error")
    assert refusal(pce.call("GET", path.format(18, "x.sh", 1), auth=None)) == (406, "input_validation_error")
    assert refusal(pce.call("GET", path.format(2, "pair.sh", 1), auth=None)) == (404, "invalid_uri")
    assert b"masterconfig_server" in fetch(pce, "pair.ps1", version=27)


def test_the_hard_limit_counts_live_keys_only(pce: Pce) -> None:
    pce.world.traits.live_keys_per_profile = 2
    href = profile(pce)
    first, _ = key(pce, href), key(pce, href)
    refused = pce.call("POST", f"{href}/pairing_key", json={})
    assert (refused.status_code, "hard limit reached" in refused.text) == (406, True)
    body = {"activation_code": first, "hostname": "a", "interfaces": []}
    paired = pce.call("POST", "/api/v18/agents/activate", json=body, auth=None).json()
    assert key(pce, href)
    gone = pce.call(
        "POST",
        "/api/v18/agents/deactivate",
        json={"agent_id": paired["agent_id"], "workload_uuid": paired["workload_uuid"]},
        auth=None,
    )
    assert gone.status_code == 204
    assert pce.call("GET", "/workloads").json() == []
