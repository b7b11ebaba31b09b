"""The commands and their arguments. Each returns an exit code; an error is one sentence on standard error.

A command is loaded when it is run: the cluster's client is slow to load for a `validate`.
"""
# ruff: noqa: PLC0415 - see above

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, TypeAlias

from microseg import __version__
from microseg.cli import descriptions
from microseg.cli.errors import CommandError
from microseg.cli.target import ClusterOptions
from microseg.model.approval import ApprovalAction

_OUTPUTS = ("table", "json", "yaml", "md")


class _Parser(argparse.ArgumentParser):
    """Ends with 1 on a wrong command line: 2 means changes to `plan`."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(1, f"{self.prog}: {message}\n")


@dataclass(frozen=True, slots=True)
class Command:
    """A parsed command line."""

    command: str
    call: Callable[[], int]
    namespaces: tuple[str, ...] = ()
    verbose: bool = False


def parse(arguments: list[str]) -> Command:
    """Parse, or end the process with a sentence and exit code 1."""
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    if parsed.command == "run":
        return Command("run", lambda: 0, tuple(parsed.namespace), parsed.verbose)
    return Command(parsed.command, lambda: _exit_code(lambda: parsed.call(parsed)))


def build_parser() -> argparse.ArgumentParser:
    """Every command with its arguments."""
    parser = _Parser(prog="microseg", description="Micro-segmentation for every Azure VM.")
    parser.add_argument("--version", action="version", version=f"microseg {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    run = commands.add_parser("run", help="run the operator")
    run.add_argument("--namespace", action="append", default=[], help="namespace of the Estates; may be repeated")
    run.add_argument("--verbose", action="store_true", help="log decisions too")
    _add_validate(commands)
    _add_plan(commands)
    _add_explain(commands)
    _add_doctor(commands)
    _add_status(commands)
    _add_history(commands)
    _add_report(commands)
    _add_rollback(commands)
    _add_approve(commands)
    shells = commands.add_parser("completion", help="print what a shell sources to complete commands and options")
    shells.add_argument("shell", choices=("bash", "zsh", "tcsh"))
    shells.set_defaults(call=lambda options: _completion(parser, options.shell))
    return parser


def _exit_code(call: Callable[[], int]) -> int:
    """Run a command; an error becomes a sentence on standard error and exit code 1."""
    try:
        return call()
    except CommandError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"microseg: {line}\n")
        return 1
    except KeyboardInterrupt:  # the end of --watch
        return 0
    except BrokenPipeError:  # somebody reads only the beginning, such as `head`
        sys.stderr.close()
        return 1


_Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"  # noqa: SLF001 - argparse gives its type no other name


def _add_validate(commands: _Commands) -> None:
    command = _add(commands, "validate", "check a mapping document and run its own tests; needs no cluster")
    command.add_argument("file", type=Path, help="the document, or the ConfigMap that carries it; - is standard input")
    command.add_argument("--strict", action="store_true", help="treat warnings as errors")
    command.set_defaults(call=_validate)


def _add_plan(commands: _Commands) -> None:
    command = _add(commands, "plan", "what a mapping would change on the live hosts")
    which = command.add_mutually_exclusive_group()
    which.add_argument("-f", "--file", type=Path, help="the document, or its ConfigMap; - is standard input")
    which.add_argument("--revision", default="", help="an accepted revision: its digest, its number, or previous")
    _add_where(command)
    command.set_defaults(call=_plan)


def _add_explain(commands: _Commands) -> None:
    command = _add(commands, "explain", "why a host has its labels and groups, and what is next")
    command.add_argument("host", metavar="HOST", help="name of the VM or of its ManagedHost, its vmId, or an address")
    command.add_argument("-f", "--file", type=Path, help="also what this mapping would give it; - is standard input")
    _add_where(command)
    command.set_defaults(call=_explain)


def _add_doctor(commands: _Commands) -> None:
    command = _add(commands, "doctor", "would it work at all: network, credentials, rights")
    command.add_argument(
        "-f",
        "--file",
        type=Path,
        action="append",
        default=[],
        help="Estate, Secrets, ConfigMaps, the mapping; may be repeated",
    )
    command.add_argument("--in-cluster", action="store_true", help="examine the installed one, and the cluster's side")
    _add_where(command)
    command.set_defaults(call=_doctor)


def _add_status(commands: _Commands) -> None:
    command = _add(commands, "status", "is it healthy, who leads, what is stuck", (*_OUTPUTS, "prom"))
    which = command.add_mutually_exclusive_group()
    which.add_argument("--retiring", action="store_true", help="hosts that are gone, and why they are not retired yet")
    which.add_argument("--calls", action="store_true", help="requests by system and operation, since the process began")
    command.add_argument("--watch", action="store_true", help="look again every 2 seconds, until interrupted")
    _add_where(command)
    command.set_defaults(call=_status)


def _add_history(commands: _Commands) -> None:
    command = _add(commands, "history", "what was changed outside, when and why")
    command.add_argument("host", nargs="?", default="", metavar="HOST", help="one host only, also a retired one")
    command.add_argument("--system", choices=("azure", "illumio", "checkpoint"), default="", help="one system only")
    command.add_argument("--since", default="", help="a duration such as 24h, or a time such as 2026-11-28T12:00Z")
    _add_where(command)
    command.set_defaults(call=_history)


def _add_report(commands: _Commands) -> None:
    command = _add(commands, "report", "each VM with what protected it at a time, for an auditor")
    command.add_argument("--at", default="", help="a time with its zone, such as 2026-11-28T12:00Z (default: now)")
    _add_where(command)
    command.set_defaults(call=_report)


def _add_rollback(commands: _Commands) -> None:
    command = _add(commands, "rollback", "earlier revisions of the mapping: list, print, pin")
    command.add_argument(
        "revision", nargs="?", default="", metavar="REVISION", help="its digest, its number, or previous"
    )
    command.add_argument("--pin", action="store_true", help="emergency: keep REVISION in force by spec.mapping.pin")
    command.add_argument("--unpin", action="store_true", help="remove the pin: the newest document decides again")
    _add_where(command)
    command.set_defaults(call=_rollback)


def _add_approve(commands: _Commands) -> None:
    command = _add(commands, "approve", "let through what is held, under your name")
    words = [each.word for each in ApprovalAction]
    command.add_argument("action", metavar="ACTION", choices=words, help=", ".join(words))
    told = "as the message names it; of a digest, the beginning is enough; of gone and adoption, several"
    command.add_argument("what", metavar="WHAT", nargs="+", help=told)
    command.add_argument("-r", "--reason", required=True, help="why, for auditors: such as a change's number")
    _add_where(command)
    command.set_defaults(call=_approve)


def _completion(parser: argparse.ArgumentParser, shell: str) -> int:
    from microseg.cli import completion as completion_command

    return completion_command.completion(parser, shell)


def _validate(options: argparse.Namespace) -> int:
    from microseg.cli import validate as validate_command

    return validate_command.validate(options.file, options.output, strict=options.strict)


def _plan(options: argparse.Namespace) -> int:
    from microseg.cli import plan as plan_command

    return plan_command.plan(_where(options), options.file, options.revision, options.output)


def _explain(options: argparse.Namespace) -> int:
    from microseg.cli import explain as explain_command

    return explain_command.explain(_where(options), options.host, options.output, options.file)


def _doctor(options: argparse.Namespace) -> int:
    from microseg.cli import doctor as doctor_command

    where = _where(options)
    return doctor_command.doctor(options.file, where, options.output, in_cluster=options.in_cluster)


def _status(options: argparse.Namespace) -> int:
    from microseg.cli import status as status_command

    wish = status_command.Wish(options.retiring, options.calls, options.watch)
    return status_command.status(_where(options), wish, options.output)


def _history(options: argparse.Namespace) -> int:
    from microseg.cli import history as history_command

    wish = history_command.Wish(options.host, options.system, options.since)
    return history_command.history(_where(options), wish, options.output)


def _report(options: argparse.Namespace) -> int:
    from microseg.cli import report as report_command

    return report_command.report(_where(options), options.at, options.output)


def _rollback(options: argparse.Namespace) -> int:
    from microseg.cli import rollback as rollback_command

    return rollback_command.rollback(
        _where(options), options.revision, options.output, pin=options.pin, unpin=options.unpin
    )


def _approve(options: argparse.Namespace) -> int:
    from microseg.cli import approve as approve_command

    return approve_command.approve(_where(options), options.action, options.what, options.reason, options.output)


def _add(commands: _Commands, name: str, brief: str, outputs: Sequence[str] = _OUTPUTS) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=brief,
        description=descriptions.WHOLE[name],
        epilog=descriptions.END.get(name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("-o", "--output", choices=outputs, default="table", help="how to show it (default: table)")
    return command


def _add_where(command: argparse.ArgumentParser) -> None:
    place = command.add_argument_group("where")
    place.add_argument("-n", "--namespace", help="the Estate's (default: as kubectl's, or the Pod's)")
    place.add_argument("--estate", help="its name (default: the only one, or the one that uses the mapping)")
    place.add_argument(
        "--kubeconfig", help="a file (default: the Pod's ServiceAccount, else KUBECONFIG or ~/.kube/config)"
    )
    place.add_argument("--context", help="one of its contexts (default: the current one)")
    place.add_argument("--cluster", help="one of its clusters, in place of the context's")
    place.add_argument("--user", help="one of its users, in place of the context's")
    place.add_argument("--as", dest="acting_as", type=_user, help="ask as another user, if you may impersonate")


def _where(options: argparse.Namespace) -> ClusterOptions:
    return ClusterOptions(
        options.kubeconfig, options.namespace, options.estate, options.context,
        cluster=options.cluster, user=options.user, acting_as=options.acting_as,
    )  # fmt: skip


def _user(name: str) -> str:
    """A user's name goes into a header."""
    if not name.isprintable() or not name.isascii():
        raise argparse.ArgumentTypeError("it has characters that no header can carry")
    return name
