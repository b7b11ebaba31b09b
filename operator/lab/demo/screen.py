"""What a person sees during the demo: a live table on a terminal, plain lines elsewhere.

Called by `lab.demo.steps` and `lab.demo.__main__`.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lab.hosts import PROGRESS, Host

_STAGES = ("Discovered", "Pairing", "Labelling", "Grouping", "InstallingPolicy", "Blocked", "Commissioned")
_HEADINGS = ("found", "agent", "labels", "groups", "policy")
_LEAST_WIDTH = {"VM": 16, "stage": 26, "labels": 8}
_SHOWN = 6
"""VM names in one plain line."""
_CHROME = 14
"""Lines of the terminal that are not rows of the table."""


class Screen(Protocol):
    """Where the demo reports its progress. A context manager."""

    def say(self, text: str) -> None:
        """Report what happens now."""
        ...

    def show(self, hosts: Sequence[Host]) -> None:
        """Show the state of the fleet."""
        ...

    def __enter__(self) -> Self:
        """Begin."""
        ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """End, leaving the last state on the screen."""
        ...


def choose() -> Screen:
    """The screen for this standard output."""
    console = Console()
    return LiveScreen(console) if console.is_terminal and not console.is_dumb_terminal else PlainScreen()


class PlainScreen:
    """One line per event, with the seconds since the start."""

    def __init__(self) -> None:
        """Begin now."""
        self._began = time.monotonic()
        self._stages: dict[str, str] = {}

    def say(self, text: str) -> None:
        """Print it."""
        self._print(f"-- {text}")

    def show(self, hosts: Sequence[Host]) -> None:
        """Print which hosts changed their stage, and the totals."""
        moved: dict[str, list[str]] = {}
        for host in hosts:
            stage = _stage_text(host)
            if self._stages.get(host.vm_id) != stage:
                self._stages[host.vm_id] = stage
                moved.setdefault(stage, []).append(host.vm or host.name)
        for stage, names in sorted(moved.items()):
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            self._print(f"   {stage:30} {', '.join(names[:_SHOWN])}{more}")
        if moved:
            self._print(f"   = {_totals(hosts)}")

    def __enter__(self) -> Self:
        """Nothing to prepare."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing to clear up."""

    def _print(self, text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - self._began:6.1f} s {text}\n")
        sys.stdout.flush()


class LiveScreen:
    """A table that is redrawn in place, below the latest events."""

    def __init__(self, console: Console) -> None:
        """Begin now."""
        self._console = console
        self._began = time.monotonic()
        self._lines: deque[str] = deque(maxlen=6)
        self._hosts: Sequence[Host] = ()
        self._live = Live(console=console, get_renderable=self._picture, refresh_per_second=4, vertical_overflow="crop")

    def say(self, text: str) -> None:
        """Add an event."""
        self._lines.append(f"{time.monotonic() - self._began:6.1f} s  {text}")

    def show(self, hosts: Sequence[Host]) -> None:
        """Redraw with these hosts."""
        self._hosts = hosts

    def __enter__(self) -> Self:
        """Start drawing."""
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Stop drawing."""
        self._live.stop()

    def _picture(self) -> Group:
        events = Text("\n".join(self._lines))
        elapsed = time.monotonic() - self._began
        if not self._hosts:
            return Group(events, Text(f"{elapsed:6.1f} s", style="dim"))
        most = max(self._console.height - _CHROME, 5)
        return Group(events, table(self._hosts, most), Text(f"{elapsed:6.1f} s  {_totals(self._hosts)}", style="bold"))


def table(hosts: Sequence[Host], most: int = 1000) -> Table:
    """Return the fleet, one row per host. If there are more than `most`, commissioned hosts are left out first."""
    rows = list(hosts)
    if len(rows) > most:
        rows.sort(key=lambda host: (host.commissioned, host.name))
        rows = sorted(rows[:most], key=lambda host: host.name)
    drawn = Table(box=None, pad_edge=False, padding=(0, 1), header_style="bold")
    for heading in ("VM", *_HEADINGS, "stage", "in groups", "labels"):
        room_needed = _LEAST_WIDTH.get(heading, len(heading))
        drawn.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=room_needed)
    for host in rows:
        stages = (_condition_mark(host, kind) for kind in PROGRESS)
        drawn.add_row(host.vm or host.name, *stages, _stage(host), host.groups, host.labels)
    if len(hosts) > len(rows):
        drawn.caption = f"and {len(hosts) - len(rows)} more"
    return drawn


def _condition_mark(host: Host, kind: str) -> Text:
    condition = host.condition(kind)
    match condition.status:
        case "True":
            return Text("yes", style="green")
        case "False":
            return Text("-", style="yellow")
        case _:
            return Text("?", style="dim")


def _stage(host: Host) -> Text:
    style = "green" if host.commissioned else "bold red" if host.blocked else "yellow"
    return Text(_stage_text(host), style=style)


def _stage_text(host: Host) -> str:
    """Return the stage, and the reason if the host waits for something or is blocked."""
    obstacle = host.condition("Stalled") if host.blocked else host.obstacle
    if host.commissioned or obstacle is None or not obstacle.reason:
        return host.stage or "NeverDecided"
    return f"{host.stage}: {obstacle.reason}"


def _totals(hosts: Iterable[Host]) -> str:
    counts = Counter(host.stage or "Discovered" for host in hosts)
    return ", ".join(
        f"{stage} {counts[stage]}" for stage in (*_STAGES, *sorted(set(counts) - {*_STAGES})) if counts[stage]
    )
