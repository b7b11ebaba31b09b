"""The host that a person means: `microseg explain` and `microseg history` look for it."""

from __future__ import annotations

from microseg.cli.cluster import Live
from microseg.cli.errors import CommandError
from microseg.model.host import ManagedHost

_FIT = 8
"""Names that a sentence lists."""


def find(live: Live, name: str) -> ManagedHost:
    """The host of this name (ManagedHost, VM, computer), vmId or address. Raises CommandError unless it is one."""
    sought = name.lower()
    exact = [host for host in live.hosts if sought in {host.name, host.spec.vm_id}]
    matches = exact or [host for host in live.hosts if sought in _called(host)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(host.name for host in matches[:_FIT])
        raise CommandError(f"{len(matches)} hosts are called {name}: name one of {names}")
    near = [host.name for host in live.hosts if sought in host.name][:_FIT]
    hint = f"did you mean {', '.join(near)}?" if near else "`kubectl get mh` lists them"
    raise CommandError(f"no host of Estate {live.key} is called {name} ({hint})")


def _called(host: ManagedHost) -> set[str]:
    """What a person may call it, in lower case."""
    azure = host.status.azure
    if azure is None:
        return set()
    return {azure.name.lower(), azure.computer_name.lower(), *(address.ip for address in azure.addresses())} - {""}
