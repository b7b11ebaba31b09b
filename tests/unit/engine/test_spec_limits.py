"""An Estate's editor sends no token to a foreign host and borrows no other namespace's identity."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from lab.memory.estate import estate
from microseg.engine.leadership.spec_limits import SpecLimits
from microseg.model.azure_spec import ClientSecret, Cloud, Identity, ManagedIdentity, Source, WorkloadIdentity
from microseg.model.estate import Estate
from microseg.model.fields import SecretRef
from microseg.settings import load

ARM, LOGIN = "https://management.stack.example", "https://login.stack.example"
STACK = f"{ARM}|{LOGIN}"
WAYS = (
    Identity(workload_identity=WorkloadIdentity(client_id="c1", tenant_id="t")),
    Identity(managed_identity=ManagedIdentity(client_id="c1")),
    Identity(client_secret=ClientSecret(tenant_id="t", client_id="c1", secret_ref=SecretRef(name="s"))),
)


def with_source(
    cloud: Cloud | None = None, identity: Identity = WAYS[0], run_commands: Identity | None = None
) -> Estate:
    made = estate()
    source = Source(
        name="main", subscriptions=("s1",), identity=identity, run_command_identity=run_commands, cloud=cloud or Cloud()
    )
    return replace(made, spec=replace(made.spec, azure=replace(made.spec.azure, sources=(source,))))


def custom(resource_manager: str = ARM, authority: str = LOGIN) -> Cloud:
    return Cloud(name="Custom", resource_manager=resource_manager, authority=authority, audience="https://a")


@pytest.mark.parametrize("cloud", ["Public", "USGovernment", "China"])
def test_microsofts_own_clouds_need_no_word(cloud: str) -> None:
    assert SpecLimits().refusal(with_source(Cloud(name=cloud))) == ""


@pytest.mark.parametrize(
    "cloud",
    [
        custom(),
        custom("https://evil.example"),
        custom(ARM, "https://login.microsoftonline.com"),
        custom("https://management.azure.com", LOGIN),
        Cloud(name="Public", resource_manager="https://evil.example"),
        Cloud(name="Public", authority="https://evil.example"),
    ],
)
def test_any_other_pair_of_hosts_is_refused(cloud: Cloud) -> None:
    told = SpecLimits().refusal(with_source(cloud))
    assert told.startswith("spec.azure.sources: ")
    assert "evil" not in told


def test_a_custom_cloud_is_allowed_as_the_pair_that_the_process_names() -> None:
    limits = SpecLimits((STACK,))
    assert limits.refusal(with_source(custom())) == ""
    assert limits.refusal(with_source(custom(f"{ARM}/", LOGIN.upper()))) == ""
    assert "MICROSEG_AZURE_CLOUDS" in limits.refusal(with_source(custom(LOGIN, ARM)))


@pytest.mark.parametrize("identity", WAYS)
def test_a_client_id_belongs_to_the_namespaces_that_the_process_names(identity: Identity) -> None:
    made = with_source(identity=identity)
    assert SpecLimits(clients=(f"{made.namespace}=C1",)).refusal(made) == ""
    for others in (("elsewhere=c1",), (f"{made.namespace}=c2",)):
        assert "MICROSEG_AZURE_CLIENTS" in SpecLimits(clients=others).refusal(made)


@pytest.mark.parametrize("identity", [*WAYS, Identity(managed_identity=ManagedIdentity())])
def test_without_the_word_of_the_process_an_identity_must_prove_that_it_is_this_namespaces(identity: Identity) -> None:
    """A client secret does, and a federated credential, which names the account. Any identity of the node answers."""
    told = SpecLimits().refusal(with_source(identity=identity))
    assert ("MICROSEG_AZURE_CLIENTS" in told) == (identity.managed_identity is not None)


def test_the_system_assigned_identity_of_the_node_has_no_client_id_and_is_named_by_nothing() -> None:
    made = with_source(identity=Identity(managed_identity=ManagedIdentity()))
    named = load({"MICROSEG_AZURE_CLIENTS": f"{made.namespace}="}).azure_clients
    assert SpecLimits(clients=named).refusal(made) == ""
    assert "MICROSEG_AZURE_CLIENTS" in SpecLimits(clients=(f"{made.namespace}=c1",)).refusal(made)


def test_an_identity_for_run_commands_needs_the_word_of_the_process_too() -> None:
    for client, allowed in (("c1", True), ("c2", False)):
        made = with_source(run_commands=Identity(managed_identity=ManagedIdentity(client_id=client)))
        told = SpecLimits(clients=(f"{made.namespace}=c1",), several=True).refusal(made)
        assert (told == "") == allowed


@pytest.mark.parametrize("identity", WAYS)
def test_where_several_namespaces_are_served_the_pods_own_identity_needs_the_word_of_the_process(
    identity: Identity,
) -> None:
    made = with_source(identity=identity)
    told = SpecLimits(several=True).refusal(made)
    assert ("MICROSEG_AZURE_CLIENTS" in told) == (identity.client_secret is None)
    assert SpecLimits(clients=(f"{made.namespace}=c1",), several=True).refusal(made) == ""
