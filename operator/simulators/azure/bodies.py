"""Reads and checks the body of a run-command's PUT, as strictly as the service does.

The fields: Azure/azure-rest-api-specs, specification/compute/resource-manager/Microsoft.Compute/Compute/stable/
2026-04-01/ComputeRP.json (VirtualMachineRunCommand). An unknown member is refused: a simulator that accepts anything
hides mistakes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from simulators.azure.errors import ArmError, invalid, reserved_characters

_TOP = frozenset({"location", "tags", "properties", "id", "name", "type", "systemData"})
_PROPERTIES = frozenset(
    {
        "source",
        "parameters",
        "protectedParameters",
        "asyncExecution",
        "runAsUser",
        "runAsPassword",
        "timeoutInSeconds",
        "outputBlobUri",
        "errorBlobUri",
        "outputBlobManagedIdentity",
        "errorBlobManagedIdentity",
        "treatFailureAsDeploymentFailure",
        "provisioningState",
        "instanceView",
    }
)
_SOURCES = frozenset({"script", "scriptUri", "commandId", "galleryScriptReferenceId"})
_SOURCE_EXTRAS = frozenset({"scriptShell", "scriptUriManagedIdentity"})
_DEFAULT_TIMEOUT = 5400
_LONGEST_SYNCHRONOUS = 5400
_MOST_TAGS, _LONGEST_TAG_NAME, _LONGEST_TAG_VALUE = 50, 512, 256


@dataclass(frozen=True, slots=True)
class RunCommandSpec:
    """A run-command as requested. A PUT with an equal one runs nothing."""

    location: str
    script: str = field(repr=False)
    tags: dict[str, str]
    parameters: tuple[tuple[str, str], ...]
    protected: tuple[tuple[str, str], ...] = field(repr=False)
    asynchronous: bool
    timeout: int
    failure_fails_deployment: bool

    def environment(self) -> dict[str, str]:
        """Return the named parameters; a protected one wins. An empty value is not set, a name with `=` is dropped."""
        return {
            name: value
            for name, value in (*self.parameters, *self.protected)
            if name and value and "=" not in name and "\0" not in name + value
        }

    def arguments(self) -> tuple[str, ...]:
        """Return the nameless parameters in their order; an empty value is not set."""
        return tuple(value for name, value in (*self.parameters, *self.protected) if not name and value)


def read_run_command(text: str) -> RunCommandSpec:
    """Read a PUT's body; raises ArmError 400 that names the mistake."""
    body = _object(text)
    _refuse_unknown(body, _TOP, "")
    location = body.get("location")
    if not isinstance(location, str) or not location:
        raise invalid("location", "The location property is required for this definition.", "LocationRequired")
    properties = body.get("properties") or {}
    _refuse_unknown(properties, _PROPERTIES, "properties.")
    return RunCommandSpec(
        location=location,
        script=_script(properties.get("source") or {}),
        tags=_tags(body.get("tags") or {}),
        parameters=_parameters(properties, "parameters"),
        protected=_parameters(properties, "protectedParameters"),
        asynchronous=bool(properties.get("asyncExecution", False)),
        timeout=_timeout(properties),
        failure_fails_deployment=bool(properties.get("treatFailureAsDeploymentFailure", False)),
    )


def _object(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except json.JSONDecodeError as error:
        raise ArmError(
            400, "InvalidRequestContent", "The request content was invalid and could not be deserialized."
        ) from error
    if not isinstance(body, dict):
        raise ArmError(400, "InvalidRequestContent", "The request content was invalid: an object was expected.")
    return body


def _refuse_unknown(body: object, known: frozenset[str], path: str) -> None:
    if not isinstance(body, dict):
        raise ArmError(400, "BadRequest", f"Error converting the value of '{path.rstrip('.')}'.")
    for member in body:
        if member not in known:
            message = (
                f"Could not find member '{member}' on object of type 'VirtualMachineRunCommand'. Path '{path}{member}'."
            )
            raise ArmError(400, "BadRequest", message, target=f"{path}{member}")


def _tags(given: object) -> dict[str, str]:
    """The limits of tags: learn.microsoft.com/azure/azure-resource-manager/management/tag-resources (Limitations)."""
    if not isinstance(given, dict):
        raise invalid("tags", "The tags are not an object.", "InvalidRequestContent")
    tags = {str(name): str(value) for name, value in given.items()}
    wrong = [name for name in tags if any(mark in "<>%&\\?/" or ord(mark) < 32 for mark in name)]
    if wrong:
        raise reserved_characters(wrong)
    if len(tags) > _MOST_TAGS:
        raise invalid("tags", f"The resource has {len(tags)} tags; at most {_MOST_TAGS} are allowed.", "InvalidTags")
    if any(len(name) > _LONGEST_TAG_NAME or len(value) > _LONGEST_TAG_VALUE for name, value in tags.items()):
        raise invalid("tags", "A tag name has more than 512 characters, or a tag value more than 256.", "InvalidTags")
    return tags


def _script(source: dict[str, Any]) -> str:
    _refuse_unknown(source, _SOURCES | _SOURCE_EXTRAS, "properties.source.")
    given = sorted(_SOURCES & source.keys())
    if len(given) > 1:
        message = f"Only one of {', '.join(given)} may be specified."
        raise invalid("runCommand.source", message, "InvalidParameterConflictingProperties")
    if given != ["script"]:
        raise invalid("runCommand.source", "Only 'source.script' is supported here.")
    script = source["script"]
    if not isinstance(script, str) or not script.strip():
        raise invalid("runCommand.source.script", "Required parameter 'runCommand.source.script' is missing (null).")
    return script


def _parameters(properties: dict[str, Any], kind: str) -> tuple[tuple[str, str], ...]:
    given = properties.get(kind) or []
    if not isinstance(given, list):
        raise invalid(f"runCommand.{kind}", "An array of parameters was expected.")
    found: list[tuple[str, str]] = []
    for item in given:
        if not isinstance(item, dict) or item.keys() != {"name", "value"}:
            raise invalid(f"runCommand.{kind}", "A parameter has a name and a value.")
        if not isinstance(item["name"], str) or not isinstance(item["value"], str):
            raise invalid(f"runCommand.{kind}", "Names and values of parameters are strings.")
        found.append((item["name"], item["value"]))
    return tuple(found)


def _timeout(properties: dict[str, Any]) -> int:
    timeout = properties.get("timeoutInSeconds") or _DEFAULT_TIMEOUT
    if not isinstance(timeout, int) or timeout < 1:
        raise invalid("runCommand.timeoutInSeconds", "The value must be a whole number of seconds.")
    if timeout > _LONGEST_SYNCHRONOUS and not properties.get("asyncExecution"):
        raise invalid("runCommand.timeoutInSeconds", "Only an asynchronous execution may take more than 5400 seconds.")
    return timeout
