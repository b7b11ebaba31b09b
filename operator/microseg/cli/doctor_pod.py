"""What `microseg doctor` sees of the process that it runs in: proxies, and the federated token of a Pod."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from microseg.build_gateways import FEDERATED_TOKEN
from microseg.cli.findings import Finding, bad, doubt, good
from microseg.model.estate import Estate

_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")


def check(estate: Estate, environment: Mapping[str, str] = os.environ) -> Iterator[Finding]:
    """Proxies, then the token, where a source signs in with one."""
    proxies = [name for name in _PROXIES if environment.get(name) or environment.get(name.lower())]
    if proxies:
        text = f"{', '.join(proxies)} is set here, and the operator takes no proxy from its environment"
        fix = (
            "where TCP fails below, name the proxy in the spec (spec.azure.proxy and the like), or open the direct path"
        )
        yield doubt("process", "proxies", text, fix)
    else:
        yield good("process", "proxies", "the environment names none, and none would be taken from it")
    federated = [source.name for source in estate.spec.azure.sources if source.identity.workload_identity is not None]
    if federated:
        yield _token(federated, in_pod="KUBERNETES_SERVICE_HOST" in environment)


def _token(sources: list[str], *, in_pod: bool) -> Finding:
    of = f"sources {', '.join(sources)} sign in by workload identity, and"
    try:
        empty = not FEDERATED_TOKEN.read_text(encoding="utf-8").strip()
    except OSError as error:
        text = f"{of} {FEDERATED_TOKEN} cannot be read ({error.strerror})"
        if not in_pod:
            return bad("process", "federated token", text, "run it as a Pod: manifests/kustomize/doctor has the Job")
        fix = 'label the Pod azure.workload.identity/use: "true", annotate its ServiceAccount with the client id'
        return bad("process", "federated token", text, fix)
    if empty:
        return bad("process", "federated token", f"{of} {FEDERATED_TOKEN} is empty", "restart the Pod; see the webhook")
    return good("process", "federated token", f"{FEDERATED_TOKEN} is there")
