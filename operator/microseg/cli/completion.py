"""Completion of commands and options, made from the parser itself.

`microseg completion` prints what a shell sources. For `kubectl microseg`, kubectl runs what is called
`kubectl_complete-microseg` on the PATH: `complete_for_kubectl`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import shtab

_FILES, _NO_FILES = 0, 4
"""What kubectl's own completion does when nothing fits: ShellCompDirectiveDefault and ShellCompDirectiveNoFileComp.

Source: kubernetes/kubectl pkg/cmd/plugin/plugin_completion.go, spf13/cobra completions.go."""


def completion(parser: argparse.ArgumentParser, shell: str) -> int:
    """Print the script for one of shtab's shells."""
    print(shtab.complete(parser, shell))
    return 0


def complete_for_kubectl(parser: argparse.ArgumentParser, words: Sequence[str]) -> int:
    """Print what the last word may become, one per line, then `:` and a directive. `words`: those behind `microseg`."""
    *before, begun = words or [""]
    current, option = _place(parser, before)
    takes_a_value = option is not None and option.nargs != 0
    if option is not None and takes_a_value:
        found: Iterable[str] = option.choices or ()
    elif begun.startswith("-"):
        found = _options(current)
    else:
        found = _commands(current) or [
            str(choice) for action in _actions(current) if not action.option_strings for choice in action.choices or ()
        ]
    for word in sorted(str(each) for each in found if str(each).startswith(begun)):
        print(word)
    files = takes_a_value and option is not None and option.type is Path
    print(f":{_FILES if files or _reads_files(current, begun) else _NO_FILES}")
    return 0


def _place(
    parser: argparse.ArgumentParser, before: Sequence[str]
) -> tuple[argparse.ArgumentParser, argparse.Action | None]:
    """The command that the words are in, and the option that the last of them is."""
    for word in before:
        parser = _commands(parser).get(word, parser)
    return parser, _options(parser).get(before[-1]) if before else None


def _reads_files(parser: argparse.ArgumentParser, begun: str) -> bool:
    """Whether the command takes a file without an option."""
    positional = [action for action in _actions(parser) if not action.option_strings]
    return not begun.startswith("-") and any(action.type is Path for action in positional)


def _commands(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    for action in _actions(parser):
        if isinstance(action.choices, dict):
            return action.choices
    return {}


def _options(parser: argparse.ArgumentParser) -> Mapping[str, argparse.Action]:
    return {name: action for action in _actions(parser) for name in action.option_strings}


def _actions(parser: argparse.ArgumentParser) -> Sequence[argparse.Action]:
    return parser._actions  # noqa: SLF001 - argparse shows its arguments no other way; shtab does the same
