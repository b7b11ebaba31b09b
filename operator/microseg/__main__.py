"""The console script `microseg`: runs a command of the command line, or the operator."""

from __future__ import annotations

import gc
import sys

from microseg.cli.arguments import build_parser, parse

_COLLECT_AFTER = 100_000
"""New objects after which a command looks for garbage. By default it looks so often, while it loads modules and decodes
a thousand records, that this takes a tenth of a person's wait; in `status --watch` it must look at times."""
_COLLECT_WHILE_RUNNING = 2_000
"""The same of the operator, in which what modules made is not looked through again. It is 2 % of its CPU while a fleet
is commissioned. With 20,000 a quiet one looked every three minutes, and 5 MiB of garbage lay between its objects."""
_TURN = 0.001
"""Seconds after which a thread that computes lets another one go on. With Python's own 0.005, each call of a system
took 12 ms longer while hosts are decided, and a publish of many changes is hundreds of calls; with 0.001 it takes 2 ms
longer, at the same CPU."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command; the exit code."""
    command = parse(sys.argv[1:] if arguments is None else arguments)
    if command.command != "run":
        gc.set_threshold(_COLLECT_AFTER)
        return command.call()
    # kopf, Azure's SDK and the stages are slow to load for a command
    from microseg.handlers.lifecycle import run  # noqa: PLC0415
    from microseg.settings import SettingsError, load  # noqa: PLC0415

    try:
        settings = load(namespaces=tuple(command.namespaces), verbose=command.verbose)
    except SettingsError as error:
        sys.stderr.write(f"microseg: {error}\n")
        return 2
    gc.freeze()
    gc.set_threshold(_COLLECT_WHILE_RUNNING)
    sys.setswitchinterval(_TURN)
    return run(settings)


def complete() -> int:
    """The console script `kubectl_complete-microseg`: what kubectl asks to complete `kubectl microseg`."""
    from microseg.cli.completion import complete_for_kubectl  # noqa: PLC0415 - as above

    return complete_for_kubectl(build_parser(), sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
