"""What every read of Resource Manager makes of an answer. `azure/gateway.py` and its readings use it."""

from __future__ import annotations

from microseg.gateways.azure.errors import ErrorKind, code_of, error_of, kind_of
from microseg.gateways.http.client import HttpResponse
from microseg.gateways.http.json_access import Json
from microseg.gateways.ports import Unreachable


def is_absent(response: HttpResponse, *, effect: bool = False, child: bool = False) -> bool:
    """Whether the answer proves that the resource does not exist; raises the error for every other failure.

    `child`: a run-command, for which the provider itself answers with a plain `NotFound`. No VM is retired by that.
    """
    if response.ok:
        return False
    code = code_of(response)[0]
    absent = kind_of(response.status, code) is ErrorKind.NOT_FOUND or (child and code == "NotFound")
    if response.status == 404 and absent:
        return True
    raise error_of(response, effect=effect)


def object_of(response: HttpResponse) -> Json:
    """The JSON object of a successful read."""
    if not response.ok:
        raise error_of(response, effect=False)
    if not isinstance(response.data, dict):
        raise unexpected("something that is not a JSON object")
    return response.data


def unexpected(what: str) -> Unreachable:
    """The error for an answer that does not follow the protocol."""
    return Unreachable(f"Azure answered with {what}")
