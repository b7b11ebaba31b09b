"""The commands and their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from microseg import __version__
from microseg.cli import validating


@dataclass(frozen=True, slots=True)
class Chosen:
    """A parsed command line."""

    command: str
    call: Callable[[], int]
    namespaces: tuple[str, ...] = ()
    verbose: bool = False


def parse(arguments: list[str]) -> Chosen:
    """Parse, or end the process with a sentence and exit code 2."""
    parser = argparse.ArgumentParser(prog="microseg", description="Micro-segmentation for every Azure VM.")
    parser.add_argument("--version", action="version", version=f"microseg {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run the operator")
    run.add_argument("--namespace", action="append", default=[], help="namespace of the Estates; may be repeated")
    run.add_argument("--verbose", action="store_true", help="log decisions too")
    validate = commands.add_parser("validate", help="check a mapping document and run its own tests; needs no cluster")
    validate.add_argument("file", type=Path, help="the document, or the ConfigMap that carries it")
    found = parser.parse_args(arguments)
    if found.command == "validate":
        return Chosen("validate", lambda: validating.validate(found.file))
    return Chosen("run", lambda: 0, tuple(found.namespace), found.verbose)
