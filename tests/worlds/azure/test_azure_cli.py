"""What azure-cli 2.x asks of ARM around a VM, recorded on 2026-11-28 against this world by `az` itself.

`az cloud register`, `login --service-principal`, `vm list`, `group list`, `provider show`, `vm run-command create|show|
list|delete`. The whole of azure-cli is too large for a test; azure-identity gets the tokens as its sign-in does.
"""

from __future__ import annotations

import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError

from .conftest import OTHER_SUBSCRIPTION, SUBSCRIPTION, TENANT, Azure

VERSION = {"api-version": "2022-12-01"}


@pytest.mark.parametrize(
    "resource",
    [
        "https://management.azure.com",
        "https://management.azure.com/",
        "https://management.core.windows.net",
        "https://management.core.windows.net/",
    ],
)
def test_a_token_is_for_either_name_of_arm_with_or_without_its_slash(azure: Azure, resource: str) -> None:
    token = azure.credential().get_token(f"{resource}/.default").token
    with azure.session() as session:
        session.headers["Authorization"] = f"Bearer {token}"
        assert session.get(f"{azure.url}/subscriptions", params=VERSION, timeout=5).status_code == 200


@pytest.mark.parametrize("resource", ["https://management.azure.com//", "https://graph.microsoft.com"])
def test_a_token_for_anything_else_is_refused(azure: Azure, resource: str) -> None:
    with pytest.raises(ClientAuthenticationError, match="AADSTS70011"):
        azure.credential().get_token(f"{resource}/.default")


def test_the_addresses_of_the_cloud_are_told_to_everybody(azure: Azure) -> None:
    with requests.Session() as session:
        session.trust_env = False
        told = session.get(f"{azure.url}/metadata/endpoints?api-version=2022-09-01", verify=azure.ca, timeout=5).json()
    assert (told["resourceManager"], told["authentication"]["loginEndpoint"]) == (azure.url, azure.url)


def test_subscriptions_groups_and_providers_are_listed(azure: Azure) -> None:
    azure.add({"name": "a", "resourceGroup": "RG-one"}, {"name": "b", "resourceGroup": "rg-ONE"})
    azure.add({"name": "c", "resourceGroup": "rg-two"}, {"name": "d", "resourceGroup": "hidden"})
    azure.background.call(lambda: azure.world.traits.change({"denied": ["hidden"]}))
    with azure.session() as session:

        def get(path: str) -> requests.Response:
            return session.get(azure.url + path, params=VERSION, timeout=5)

        subscriptions = get("/subscriptions").json()["value"]
        assert [each["subscriptionId"] for each in subscriptions] == [SUBSCRIPTION, OTHER_SUBSCRIPTION]
        assert {each["tenantId"] for each in (*subscriptions, *get("/tenants").json()["value"])} == {TENANT}
        scope = f"/subscriptions/{SUBSCRIPTION}"
        assert get(scope).json()["state"] == "Enabled"
        assert [each["name"] for each in get(f"{scope}/resourcegroups").json()["value"]] == ["RG-one", "rg-two"]
        assert get(f"{scope}/resourceGroups/rg-one").json()["location"] == "westeurope"
        assert get(f"{scope}/resourceGroups/hidden").json()["error"]["code"] == "ResourceGroupNotFound"
        types = {each["resourceType"] for each in get(f"{scope}/providers/microsoft.compute").json()["resourceTypes"]}
        assert {"virtualMachines", "virtualMachines/runCommands"} <= types
        assert len(get(f"{scope}/providers").json()["value"]) == 2
        assert get(f"{scope}/providers/Microsoft.Web").status_code == 404
        unknown = f"/subscriptions/{TENANT}/resourcegroups"
        assert get(unknown).json()["error"]["code"] == "SubscriptionNotFound"
