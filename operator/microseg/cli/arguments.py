"""The commands and their arguments. Each answers with an exit code; what it is sorry for is told on standard error.

A command is loaded when it is run: the cluster's client is slow to load for a `validate`.
"""
# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias

from microseg import __version__
from microseg.cli.sorry import Sorry
from microseg.cli.where import Where

_PLAN = """\
What a mapping would change on the live hosts: for each label and group, counts and examples; groups that
become empty; hosts that no rule would know; and whether the guard would hold it. It asks the operator's own
planner, with the facts in the hosts' records, and changes nothing."""
_PLAN_END = """\
exit codes: 0 nothing would change, 2 something would, 1 it cannot be told (an error says why).
examples:
  microseg plan -f mapping.yaml
  microseg plan -f mapping.yaml -o md >> "$GITHUB_STEP_SUMMARY"
  microseg plan                          what the mapping in force would still change, such as a held change"""
_EXPLAIN = """\
Why one host has its labels and groups and what lost against it, how its stages stand, what happens next and
when, and what a person can do."""
_ROLLBACK = """\
Lists the accepted revisions of the mapping. With a REVISION it prints that document, to be put back into Git.
Nothing is changed without --pin or --unpin."""
_ROLLBACK_END = """\
examples:
  microseg rollback                      the accepted revisions
  microseg rollback previous > mapping.yaml
  microseg rollback --pin 3f2a9c0d1e4b   an emergency: hold on to that revision at once
  microseg rollback --unpin              the newest document decides again"""
_VALIDATE = """\
Checks a mapping document: its form, what it allows but cannot mean (warnings), and its own tests. Needs no
cluster. The operator refuses what this command refuses."""


_OUTPUTS = ("table", "json", "yaml", "md")


class _Parser(argparse.ArgumentParser):
    """Ends with 1 on a wrong command line: 2 means changes to `plan`."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}\n")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A parsed command line."""

    command: str
    call: Callable[[], int]
    namespaces: tuple[str, ...] = ()
    verbose: bool = False


def parse(arguments: list[str]) -> Chosen:
    """Parse, or end the process with a sentence and exit code 1."""
    parser = _Parser(prog="microseg", description="Micro-segmentation for every Azure VM.")
    parser.add_argument("--version", action="version", version=f"microseg {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    run = commands.add_parser("run", help="run the operator")
    run.add_argument("--namespace", action="append", default=[], help="namespace of the Estates; may be repeated")
    run.add_argument("--verbose", action="store_true", help="log decisions too")
    _add_validate(commands)
    _add_plan(commands)
    _add_explain(commands)
    _add_rollback(commands)
    found = parser.parse_args(arguments)
    if found.command == "run":
        return Chosen("run", lambda: 0, tuple(found.namespace), found.verbose)
    return Chosen(found.command, lambda: _told(lambda: found.call(found)))


def _told(call: Callable[[], int]) -> int:
    """Run a command; what it is sorry for becomes exit code 1."""
    try:
        return call()
    except Sorry as sorry:
        for line in str(sorry).splitlines():
            sys.stderr.write(f"microseg: {line}\n")
        return 1
    except BrokenPipeError:  # somebody reads only the beginning, such as `head`
        sys.stderr.close()
        return 1


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"  # noqa: SLF001 - argparse gives its type no other name


def _add_validate(commands: _Commands) -> None:
    command = _add(commands, "validate", "check a mapping document and run its own tests; needs no cluster", _VALIDATE)
    command.add_argument("file", type=Path, help="the document, or the ConfigMap that carries it; - is standard input")
    command.add_argument("--strict", action="store_true", help="warnings make it unfit, too")
    command.epilog = "exit codes: 0 fit, 1 not."
    command.set_defaults(call=_validate)


def _add_plan(commands: _Commands) -> None:
    command = _add(commands, "plan", "what a mapping would change on the live hosts", _PLAN, _PLAN_END)
    which = command.add_mutually_exclusive_group()
    which.add_argument("-f", "--file", type=Path, help="the document, or its ConfigMap; - is standard input")
    which.add_argument("--revision", default="", help="an accepted revision: its digest, its number, or previous")
    _add_where(command)
    command.set_defaults(call=_plan)


def _add_explain(commands: _Commands) -> None:
    command = _add(commands, "explain", "why a host has its labels and groups, and what is next", _EXPLAIN)
    command.add_argument("host", metavar="HOST", help="name of the VM or of its record, its vmId, or an address")
    _add_where(command)
    command.set_defaults(call=_explain)


def _add_rollback(commands: _Commands) -> None:
    command = _add(commands, "rollback", "earlier revisions of the mapping: list, print, pin", _ROLLBACK, _ROLLBACK_END)
    command.add_argument(
        "revision", nargs="?", default="", metavar="REVISION", help="its digest, its number, or previous"
    )
    command.add_argument("--pin", action="store_true", help="hold on to REVISION by spec.mapping.pin, in an emergency")
    command.add_argument("--unpin", action="store_true", help="take the pin off")
    _add_where(command)
    command.set_defaults(call=_rollback)


def _validate(given: argparse.Namespace) -> int:
    from microseg.cli import validating

    return validating.validate(given.file, given.output, strict=given.strict)


def _plan(given: argparse.Namespace) -> int:
    from microseg.cli import previewing

    return previewing.plan(_where(given), given.file, given.revision, given.output)


def _explain(given: argparse.Namespace) -> int:
    from microseg.cli import explaining

    return explaining.explain(_where(given), given.host, given.output)


def _rollback(given: argparse.Namespace) -> int:
    from microseg.cli import rolling_back

    return rolling_back.rollback(_where(given), given.revision, given.output, pin=given.pin, unpin=given.unpin)


def _add(commands: _Commands, name: str, brief: str, whole: str, end: str = "") -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name, help=brief, description=whole, epilog=end or None, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("-o", "--output", choices=_OUTPUTS, default="table", help="how to show it (default: table)")
    return command


def _add_where(command: argparse.ArgumentParser) -> None:
    place = command.add_argument_group("where")
    place.add_argument("-n", "--namespace", help="the Estate's (default: as kubectl's, or the Pod's)")
    place.add_argument("--estate", help="its name (default: the only one, or the one that uses the mapping)")
    place.add_argument(
        "--kubeconfig", help="a file (default: the Pod's ServiceAccount, else KUBECONFIG or ~/.kube/config)"
    )


def _where(given: argparse.Namespace) -> Where:
    return Where(given.kubeconfig, given.namespace, given.estate)
