"""The flow of 2019 as a script of the vendors' SDKs: one VM after the other, and each call waits for its end.

It is what people write first: list the VMs, look each one up that is not in the book yet, run the pairing script and
wait, find the workload and set its labels, then log in to Check Point, add the host, put it into its groups, publish,
install, log out, and write it into the book. The clients are used as they come: their own retries, and their own pauses
between two looks at a task, divided by the scale of the clock like all latencies.
"""

from __future__ import annotations

import hashlib
import importlib
import ssl
import time
import uuid
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from azure.identity import ClientSecretCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.compute.models import VirtualMachineRunCommand
from azure.mgmt.network import NetworkManagementClient

from lab.peers.wanted import PACKAGE, Wanted
from lab.worlds import LINUX_PROFILE, WINDOWS_PROFILE, Worlds

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # their first compilation warns of escapes in their patterns
    illumio: Any = importlib.import_module("illumio")
    cpapi: Any = importlib.import_module("cpapi")

_AUDIENCE = "https://management.azure.com/.default"
_AZURE_LOOKS, _CHECK_POINT_LOOKS = 30.0, 2.0
"""Seconds between two looks at an operation: the defaults of the two SDKs."""
_KEY_SECONDS = 1800
SCRIPT = """\
#!/bin/bash
set -e
umask 026
mkdir -p /opt/illumio_scripts
curl --fail --silent --show-error "https://$MICROSEG_PCE/api/v18/software/ven/image?pair_script=pair.sh&profile_id=1" \
  -o /opt/illumio_scripts/pair
chmod +x /opt/illumio_scripts/pair
/opt/illumio_scripts/pair --management-server "$MICROSEG_PCE" --activation-code "$MICROSEG_ACTIVATION_CODE"
"""
"""The PCE's own command for a person's terminal. Emulated guests do not run it: they read its parameters."""


class FlowFailed(RuntimeError):
    """A call of the flow was refused, and a script that checks its calls ends here; the text says which."""


class Flow:
    """The script and its book. A context manager that closes the clients."""

    def __init__(self, worlds: Worlds, scale: float, wanted: Sequence[Wanted]) -> None:
        """`scale`: of the worlds' clock. `wanted`: the table of labels and groups."""
        self._worlds, self._scale = worlds, scale
        self._wanted = {row.vm_id: row for row in wanted}
        self.book: set[str] = set()
        """vmIds that are done: the flow's record of what is new."""
        azure = worlds.described["azure"]
        credential = ClientSecretCredential(
            azure["tenant"], azure["clientId"], _text(azure["clientSecretFile"]), authority=azure["authority"],
            disable_instance_discovery=True, connection_verify=str(worlds.ca_file),
        )  # fmt: skip
        how: dict[str, Any] = {
            "base_url": azure["url"], "credential_scopes": [_AUDIENCE], "connection_verify": str(worlds.ca_file),
            "polling_interval": _AZURE_LOOKS / scale,
        }  # fmt: skip
        self._compute = [ComputeManagementClient(credential, each, **how) for each in azure["subscriptions"]]
        self._network = [NetworkManagementClient(credential, each, **how) for each in azure["subscriptions"]]
        self._pce = _pce(worlds)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the clients."""
        for compute, network in zip(self._compute, self._network, strict=True):
            compute.close()
            network.close()
        self._pce._session.close()  # noqa: SLF001 - the SDK has no other way

    def run(self, most: int) -> int:
        """One round of the timer: list all, take so many new VMs at most; return how many it took.

        Raises FlowFailed, and whatever the SDKs raise.
        """
        new = 0
        for compute, network in zip(self._compute, self._network, strict=True):
            for vm in compute.virtual_machines.list_all():
                row = self._wanted.get(str(vm.vm_id).lower())
                if row is not None and row.vm_id not in self.book and new < most:
                    self._onboard(compute, network, vm, row)
                    self.book.add(row.vm_id)
                    new += 1
        return new

    def _onboard(
        self, compute: ComputeManagementClient, network: NetworkManagementClient, vm: Any, row: Wanted
    ) -> None:
        group = _segment(vm.id, 4)
        detail = compute.virtual_machines.get(group, vm.name, expand="instanceView")
        address = ""
        for reference in detail.network_profile.network_interfaces:
            nic = network.network_interfaces.get(_segment(reference.id, 4), _segment(reference.id, 8))
            address = address or str(nic.ip_configurations[0].private_ip_address)
        self._pair(compute, group, detail)
        self._label(row)
        self._add_to_firewall(row, address)

    def _pair(self, compute: ComputeManagementClient, group: str, vm: Any) -> None:
        """Run the pairing script on the VM and wait for its end."""
        windows = vm.storage_profile.os_disk.os_type == "Windows"
        profile = self._pce.pairing_profiles.get_by_name(WINDOWS_PROFILE if windows else LINUX_PROFILE)
        code = self._pce.generate_pairing_key(profile.href)
        commands, name = compute.virtual_machine_run_commands, f"pair-{uuid.uuid4().hex[:8]}"
        body = VirtualMachineRunCommand(run_command(vm.location, vm.vm_id, self._worlds.pce, code))
        commands.begin_create_or_update(group, vm.name, name, body).result()
        view = commands.get_by_virtual_machine(group, vm.name, name, expand="instanceView").instance_view
        if (view.execution_state, view.exit_code) != ("Succeeded", 0):
            raise FlowFailed(f"{vm.name}: the pairing script ended {view.execution_state}, {view.exit_code}")

    def _label(self, row: Wanted) -> None:
        """Find the workload and set its labels; a label that does not exist yet is made."""
        found = self._pce.workloads.get(params={"hostname": row.hostname})
        workload = next((each for each in found if each.hostname == row.hostname), None)
        if workload is None:
            raise FlowFailed(f"{row.name}: the PCE has no workload {row.hostname}")
        labels = []
        for key, value in row.labels.items():
            known = self._pce.labels.get(params={"key": key, "value": value})  # `value` finds parts of a value too
            same = [each for each in known if each.value == value]
            labels.append(same[0] if same else self._pce.labels.create(illumio.Label(key=key, value=value)))
        self._pce.workloads.update(workload.href, illumio.Workload(labels=labels))

    def _add_to_firewall(self, row: Wanted, address: str) -> None:
        """Log in, add the host, put it into its groups, publish, install, log out."""
        client = _management(self._worlds, self._scale)
        try:
            key = _text(self._worlds.described["checkpoint"]["apiKeyFile"])
            _checked("login", client.login_with_api_key(key))
            _checked("add-host", client.api_call("add-host", {"name": row.name, "ip-address": address}))
            for group in row.groups:
                _checked("set-group", client.api_call("set-group", {"name": group, "members": {"add": row.name}}))
            _checked("publish", client.api_call("publish"))
            _checked("install-policy", client.api_call("install-policy", {"policy-package": PACKAGE}))
            _checked("logout", client.api_call("logout"))
        finally:
            client.close_connection()


def run_command(location: str, vm_id: str, pce: str, code: str) -> dict[str, Any]:
    """Return the body of a run-command that pairs a VM, with the parameters that emulated guests read."""
    parameters = {
        "MICROSEG_MODE": "install",
        "MICROSEG_VM_ID": vm_id.lower(),
        "MICROSEG_PCE": pce,
        "MICROSEG_NOT_AFTER": str(int(time.time()) + _KEY_SECONDS),
        "MICROSEG_DEADLINE": "1500",
        "MICROSEG_NONCE": uuid.uuid4().hex[:16],
    }
    return {
        "location": location,
        "properties": {
            "source": {"script": SCRIPT},
            "parameters": [{"name": name, "value": value} for name, value in parameters.items()],
            "protectedParameters": [{"name": "MICROSEG_ACTIVATION_CODE", "value": code}],
            "timeoutInSeconds": _KEY_SECONDS,
        },
    }


def _pce(worlds: Worlds) -> Any:
    described: Mapping[str, Any] = worlds.described["illumio"]
    address = urlsplit(str(described["url"]))
    client = illumio.PolicyComputeEngine(
        f"https://{address.hostname}", port=str(address.port), org_id=str(described["orgId"])
    )
    client.set_credentials(described["apiUser"], _text(described["keyFile"]))
    client.set_tls_settings(verify=str(worlds.ca_file))
    client._session.trust_env = False  # noqa: SLF001 - the environment's CA bundle would win over ours
    return client


def _management(worlds: Worlds, scale: float) -> Any:
    """Return the SDK's client, which knows a server by its certificate's fingerprint; the chain is verified here."""
    address = urlsplit(str(worlds.described["checkpoint"]["url"]))
    host, port = str(address.hostname), int(address.port or 443)
    der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, port), ca_certs=str(worlds.ca_file)))
    fingerprint = hashlib.sha1(der, usedforsecurity=False).hexdigest().upper()
    looks = _CHECK_POINT_LOOKS / scale
    return cpapi.APIClient(cpapi.APIClientArgs(server=host, port=port, fingerprint=fingerprint, sync_frequency=looks))


def _checked(command: str, answer: Any) -> None:
    if not answer.success:
        raise FlowFailed(f"{command}: {answer.error_message}")


def _segment(resource_id: str, number: int) -> str:
    """Return one segment of an ARM id: 4 is the resource group, 8 the name."""
    return resource_id.split("/")[number]


def _text(path: str) -> str:
    return Path(path).read_text(encoding="utf-8")
