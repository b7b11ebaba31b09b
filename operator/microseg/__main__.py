"""The console script `microseg`: runs a command of the command line, or the operator."""

from __future__ import annotations

import sys

from microseg.cli.arguments import build_parser, parse
from microseg.settings import SettingsError, load


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    command = parse(sys.argv[1:] if arguments is None else arguments)
    if command.command != "run":
        return command.call()
    from microseg.handlers.lifecycle import run  # noqa: PLC0415 - kopf and Azure's SDK are slow to load for a validate

    try:
        settings = load(namespaces=tuple(command.namespaces), verbose=command.verbose)
    except SettingsError as error:
        sys.stderr.write(f"microseg: {error}\n")
        return 2
    return run(settings)


def complete() -> int:
    """The console script `kubectl_complete-microseg`: what kubectl asks to complete `kubectl microseg`."""
    from microseg.cli.completion import complete_for_kubectl  # noqa: PLC0415 - as above

    return complete_for_kubectl(build_parser(), sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
