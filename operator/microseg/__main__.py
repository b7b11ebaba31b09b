"""The console script `microseg`: joins the two faces, the command line and the running operator."""

from __future__ import annotations

import sys

from microseg.cli.arguments import parse
from microseg.settings import SettingsError, load


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    chosen = parse(sys.argv[1:] if arguments is None else arguments)
    if chosen.command != "run":
        return chosen.call()
    from microseg.handlers.running import run  # noqa: PLC0415 - kopf and Azure's SDK are slow to load for a validate

    try:
        settings = load(namespaces=tuple(chosen.namespaces), verbose=chosen.verbose)
    except SettingsError as error:
        sys.stderr.write(f"microseg: {error}\n")
        return 2
    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
