"""What differs between management servers, and how long they take; both may be switched during a run.

`world.World` holds one of each; the control port changes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Durations:
    """Vendor seconds, scaled by the clock. The vendor publishes no figures; these fit field reports."""

    read: float = 0.05
    write: float = 0.15
    publish: float = 20.0
    publish_per_change: float = 0.02
    batch: float = 2.0
    batch_per_object: float = 0.02
    install: float = 60.0
    install_per_change: float = 0.01
    question: float = 1.0
    task_listed: float = 0.0
    """After its start, until show-tasks lists a task; show-task finds it by its id at once."""


@dataclass(slots=True)
class Traits:
    """What differs between servers.

    `makes_tags`: an unknown tag is created, not refused: the vendor's own acceptance test names two tags that nothing
    else makes (CheckPointSW/terraform-provider-checkpoint, resource_checkpoint_management_tag_test.go).
    `keep_alive_requests`: requests per connection.
    `old_errors`: sentences of errors in what others published long ago: show-validations shows them, and they stop no
    publish. `tells_whose`: incidents say `current-session`, which older servers do not.
    `lists_tasks`: show-tasks lists them; else its list is empty, as for an administrator who may not see them.
    `clock_ahead`: seconds by which the server's clock is ahead of everybody else's, in its `Date` too.
    `utc_offset`: hours of its time zone, in which it reads a date without one.
    """

    version: str = "1.9"
    makes_tags: bool = True
    standby: bool = False
    keep_alive_requests: int = 100
    old_errors: list[str] = field(default_factory=list)
    tells_whose: bool = True
    lists_tasks: bool = True
    clock_ahead: float = 0.0
    utc_offset: float = 0.0
