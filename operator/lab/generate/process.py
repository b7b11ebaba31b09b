"""The pages of the process: settings, command line, the mapping's JSON Schema; and the index of all pages."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from unittest import mock

from lab.generate.markdown import code, document, table
from lab.generate.stages import attribute_docs
from microseg.cli.arguments import parse
from microseg.mapping import json_schema
from microseg.metrics.table import ALL
from microseg.settings import Settings

_PREFIX = re.compile(r"^(?:MICROSEG_[A-Z_]+|`--[a-z]+`): ")
_VARIABLE = re.compile(r"\b(?:MICROSEG_[A-Z_]+|POD_[A-Z]+|KUBECONFIG)\b|--[a-z]+")
_COMMAND = re.compile(r"^    ([a-z]+)(?: |$)", re.MULTILINE)


def settings() -> str:
    """Every setting of the process."""
    meanings = attribute_docs(Settings)
    rows = [
        (f"`{one.name}`", _variables(meanings[one.name]), _default(one.default), _sentence(meanings[one.name]))
        for one in fields(Settings)
    ]
    return document(
        "Settings of the process",
        "Read once at the start, from the environment and the command line. A value that cannot be used ends the "
        "process with one sentence and exit code 2. What concerns an estate is in its [Estate](estate.md).",
        table(("Setting", "Set by", "Default", "Meaning"), rows),
    )


def command_line() -> str:
    """What `--help` says, for the whole and for each command."""
    whole = _help()
    parts = [code(whole)]
    for name in _COMMAND.findall(whole):
        parts += [f"## microseg {name}", code(_help(name))]
    return document("Command line", *parts)


def metrics() -> str:
    """Every metric of ours, with its labels."""
    rows = [
        (f"`{metric.name}`", metric.kind.value, ", ".join(f"`{label}`" for label in metric.labels), metric.help)
        for metric in ALL
    ]
    return document(
        "Metrics",
        "At `/metrics` of the probes' port, in Prometheus' format or OpenMetrics. Beside these stand Python's own "
        "`process_` metrics. The alerts and dashboards under `manifests/monitoring/` are generated from the same "
        "table; [operations](../operations.md#what-to-alert-on) explains each alert. No label is per host.",
        table(("Metric", "Type", "Labels", "Meaning"), sorted(rows)),
    )


def mapping_schema() -> str:
    """For editors: `# yaml-language-server: $schema=...`."""
    return json.dumps(json_schema(), indent=2) + "\n"


def index(pages: Mapping[str, str]) -> str:
    """The list of pages."""
    return document("Reference", "\n".join(f"- [{_title(name, text)}]({name})" for name, text in pages.items()))


def _title(name: str, text: str) -> str:
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    return heading[1] if heading else f"JSON Schema of the mapping document ({name})"


def _sentence(text: str) -> str:
    """The meaning without the variable's name, which has a column of its own."""
    meaning = _PREFIX.sub("", text)
    return f"{meaning[:1].upper()}{meaning[1:]}" if meaning != text else text


def _variables(text: str) -> str:
    return ", ".join(f"`{name}`" for name in _unique(_VARIABLE.findall(text))) or "-"


def _unique(names: list[str]) -> Iterator[str]:
    yield from dict.fromkeys(names)


def _default(value: object) -> str:
    match value:
        case None | "":
            return "-"
        case bool():
            return f"`{str(value).lower()}`"
        case float():
            return f"`{value:g}`"
        case tuple():
            return ", ".join(f"`{one}`" for one in value)
        case _:
            return f"`{value}`"


def _help(*command: str) -> str:
    """The text that argparse prints, a hundred columns wide."""
    output = io.StringIO()
    with (
        mock.patch.dict(os.environ, {"COLUMNS": "100", "NO_COLOR": "1"}),
        contextlib.redirect_stdout(output),
        contextlib.suppress(SystemExit),
    ):
        parse([*command, "--help"])
    return output.getvalue()
