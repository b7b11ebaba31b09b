"""What the types of a schema cannot express: CEL rules, with a message for the person who breaks one.

`kube/schema.py` puts them into the CustomResourceDefinitions. A rule refuses what can never be right, so that a mistake
is told at `kubectl apply`, and not by a stalled Estate. What only the operator can know (a time zone that does not
exist, a subscription that two sources name) it tells at its start (`engine/leadership/spec_faults.py`).
CEL in definitions: kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/
"""

from __future__ import annotations

from microseg.kube.structural import Rule, Rules
from microseg.model.approval import ApprovalAction, ApprovalSpec
from microseg.model.azure_spec import (
    AzureSpec,
    ClientSecret,
    Cloud,
    Identity,
    ManagedIdentity,
    Source,
    WorkloadIdentity,
)
from microseg.model.estate_spec import CheckPointSpec, IllumioSpec, InstallWindow, PairingProfiles, PolicyTargets
from microseg.model.fields import CaBundleRef, EgressProxy
from microseg.model.host import HostSpec
from microseg.model.names import INTENT_TAG, OWNER_TAG, VM_ID_TAG

_UUID = "[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_VM_ID = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_UNCHANGED = "self == oldSelf"
_TENANT = rf"^({_UUID}|[A-Za-z0-9-]+(\\.[A-Za-z0-9-]+)+)$"
"""A tenant's id, or a domain name of it (learn.microsoft.com/entra/identity-platform/v2-protocols, tenant)."""
EXAMPLE_IDS = (
    "00000000-0000-0000-0000-000000000000",
    "3f0c8a1e-5b7d-4c1f-9d55-0a6f2b1c7e10",
    "8d2b6f40-1e9a-4f63-8a17-c5d4e3f2a1b0",
    "0b7f3c52-6a1d-4e0b-b0c4-5d9e8f7a6b5c",
    "c4a9e8d7-2b3f-4d6e-8c1a-9f0e1d2c3b4a",
)
"""Ids that stand for a person's own in manifests/examples (a test compares them)."""
_EXAMPLE_LIST = f"[{', '.join(repr(each) for each in EXAMPLE_IDS)}]"
_EXAMPLE_HOST = r"^https?://(([^/]*\\.)?(example(\\.(com|net|org))?|invalid)|your-[^/]*)\\.?(:[0-9]+)?(/.*)?$"
"""Names that belong to nobody (RFC 2606)."""
_PORT = "(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
_ORIGIN = r"^https://([A-Za-z0-9_][A-Za-z0-9._-]*|\\[[0-9A-Fa-f:.]+\\])" + _PORT
_PATH = r"(/[^/?#\\s<>{}]+)*/?$"

_NO_EXAMPLE_HOST = Rule(
    f"!self.lowerAscii().matches('{_EXAMPLE_HOST}')",
    "this is the example's address: write the address of your own server",
)


def _own_id(what: str, pattern: str = f"^{_UUID}$") -> tuple[Rule, ...]:
    """A field with an id of the person's own: no placeholder."""
    return (
        Rule(
            f"!(self.lowerAscii() in {_EXAMPLE_LIST}) && self.matches('{pattern}')",
            f"this is a placeholder: write the {what}",
        ),
    )


def _own_name(what: str) -> tuple[Rule, ...]:
    """A field with a name that the person chose in another system: no blanks around it, no placeholder."""
    return (
        Rule(
            r"self == '' || (self.matches('^\\S(.*\\S)?$') && !self.matches('^<.*>$'))",
            f"write the {what} as the system shows it, without blanks around it",
        ),
    )


_FORMS = " ".join(
    f"(self.action != '{action}' || self.what.matches('{action.pattern}')) &&" for action in ApprovalAction
).removesuffix(" &&")

RULES: Rules = {
    (ApprovalSpec, ""): (
        Rule(_UNCHANGED, "an Approval never changes: create another one with `microseg approve`"),
        Rule(_FORMS, "what does not have the form of this action: write it as the operator's message names it"),
    ),
    (HostSpec, "estate"): (Rule(_UNCHANGED, "estate cannot change: delete the ManagedHost, and it is created again"),),
    (HostSpec, "vmId"): (
        Rule(_UNCHANGED, "vmId cannot change: it is the host's identity"),
        Rule(
            f"self.matches('{_VM_ID}')",
            "vmId must be Azure's vmId in lower case, such as 5b8b1c1e-0f6d-4d5e-9a3b-2f6c7d8e9f01",
        ),
    ),
    (AzureSpec, "sources"): (
        Rule("self.all(one, self.exists_one(other, other.name == one.name))", "every source needs a name of its own"),
        Rule(
            "self.all(one, self.all(other, one.name == other.name"
            " || !sets.intersects(one.subscriptions, other.subscriptions)))",
            "a subscription is in two sources: leave it in one of them",
        ),
    ),
    (AzureSpec, "tags"): (
        Rule(
            r"self.all(name, name.matches('^[^<>%&\\\\?/]{1,512}$'))",
            r"the name of an Azure tag has 1 to 512 characters, and none of < > % & \ ? /",
        ),
        Rule(
            f"self.all(name, !(name.lowerAscii() in {[OWNER_TAG, VM_ID_TAG, INTENT_TAG]}))",
            "these tags are the operator's own: leave them out",
        ),
    ),
    (Source, "subscriptions"): (
        Rule(f"self.all(one, one.matches('^{_UUID}$'))", "a subscription is written as its id, a UUID"),
        Rule(
            f"!self.exists(one, one.lowerAscii() in {_EXAMPLE_LIST})",
            "this is the example's subscription: write the id of your own",
        ),
    ),
    (Identity, ""): (
        Rule(
            "(has(self.workloadIdentity) ? 1 : 0) + (has(self.managedIdentity) ? 1 : 0)"
            " + (has(self.clientSecret) ? 1 : 0) == 1",
            "give exactly one of workloadIdentity, managedIdentity and clientSecret",
        ),
    ),
    (WorkloadIdentity, "tenantId"): _own_id("id of your tenant", _TENANT),
    (WorkloadIdentity, "clientId"): _own_id("client id of your application"),
    (ClientSecret, "tenantId"): _own_id("id of your tenant", _TENANT),
    (ClientSecret, "clientId"): _own_id("client id of your application"),
    (ManagedIdentity, "clientId"): _own_id("client id of your identity", f"^({_UUID})?$"),
    (Cloud, ""): (
        Rule(
            f"!has(self.name) || self.name != 'Custom' || (has(self.resourceManager)"
            f" && self.resourceManager.matches('{_ORIGIN}{_PATH}')"
            f" && has(self.authority) && self.authority.matches('{_ORIGIN}{_PATH}')"
            " && has(self.audience) && size(self.audience) > 0)",
            "a Custom cloud needs resourceManager and authority as https URLs without a query, and audience",
        ),
    ),
    (EgressProxy, "url"): (
        Rule(
            f"self.matches('{_ORIGIN.replace('https', 'https?', 1)}/?$')",
            "write http://host:port or https://host:port of the proxy, without a path and a query; a user and a"
            " password belong into the Secret of secretRef",
        ),
        _NO_EXAMPLE_HOST,
    ),
    (IllumioSpec, "url"): (
        Rule(
            f"self.matches('{_ORIGIN}/?$')",
            "write https://host:port of the PCE, without a path, a user or a query",
        ),
        _NO_EXAMPLE_HOST,
    ),
    (PairingProfiles, "windows"): _own_name("name of the pairing profile"),
    (PairingProfiles, "linux"): _own_name("name of the pairing profile"),
    (PolicyTargets, "package"): _own_name("name of the policy package"),
    (PairingProfiles, ""): (
        Rule(
            "(has(self.windows) && size(self.windows) > 0) || (has(self.linux) && size(self.linux) > 0)",
            "name a pairing profile for windows, for linux, or for both",
        ),
    ),
    (CaBundleRef, ""): (
        Rule(
            "(has(self.configMap) && size(self.configMap) > 0) != (has(self.secret) && size(self.secret) > 0)",
            "name a configMap or a secret with the CA bundle, exactly one",
        ),
    ),
    (CheckPointSpec, "url"): (
        Rule(
            f"self.matches('{_ORIGIN}{_PATH}') && !self.lowerAscii().matches('/(web_api|smartconsole)(/|$)')",
            "write https://host:port of the management server (in the vendor's cloud with its path), without /web_api,"
            " a user or a query",
        ),
        _NO_EXAMPLE_HOST,
    ),
    (CheckPointSpec, "fingerprint"): (
        Rule(
            "self.matches('^([0-9A-Fa-f]{64}|([0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2})?$')",
            "a SHA-256 fingerprint has 64 hexadecimal digits, with or without colons",
        ),
    ),
    (CheckPointSpec, ""): (
        Rule(
            "!has(self.caBundle) || !has(self.fingerprint) || size(self.fingerprint) == 0",
            "give caBundle or fingerprint, not both",
        ),
    ),
    (InstallWindow, "start"): (
        Rule("self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')", "start is a time from 00:00 to 23:59"),
    ),
    (InstallWindow, "end"): (
        Rule("self.matches('^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$')", "end is a time from 00:00 to 24:00"),
    ),
    (InstallWindow, ""): (
        Rule(
            "self.start != self.end",
            "a window that begins and ends at the same time never opens; leave both out for the whole day",
        ),
    ),
}
"""Without bundle and fingerprint, a Check Point Secret may have `ca.crt`."""
