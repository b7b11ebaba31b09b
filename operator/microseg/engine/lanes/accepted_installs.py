"""Policy installs that ended well, until their targets show it; those that are never shown are held (L6).

`PolicyInstalls` owns it. It counts per package and target, not per host: one install brings a target to everything that
was published, and one gateway that does not take it stops only itself (L4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from microseg.engine.ground.ports import Clock
from microseg.engine.state.accepted_effects import Series
from microseg.model.checkpoint_facts import EnforcementPoint
from microseg.model.spelling import same_name


class AcceptedInstalls:
    """The series of each package and target whose latest install is not shown yet."""

    def __init__(self, clock: Clock) -> None:
        """Begin with none."""
        self._clock = clock
        self._series: dict[tuple[str, str], Series] = {}
        self._published_at: dict[tuple[str, str], datetime] = {}
        """Package and target -> publish time that the latest install must cover."""

    def accepted(
        self,
        package: str,
        targets: Iterable[str],
        published_at: datetime,
        gateways: Mapping[str, EnforcementPoint],
    ) -> None:
        """An install of this package ended well on these targets."""
        now = self._clock()
        for target in targets:
            key = package, target
            shown = _shown(gateways.get(target))
            self._series.setdefault(key, Series(key, shown, now, tries=0)).tried(key, shown, now)
            self._published_at[key] = published_at

    def looked(self, packages: Iterable[str], gateways: Mapping[str, EnforcementPoint]) -> bool:
        """The gateways were read, and no install of these packages was under way. Returns whether that is news."""
        now, read, news = self._clock(), frozenset(packages), False
        for key in [key for key in self._series if key[0] in read]:
            package, target = key
            gateway = gateways.get(target)
            if _covers(gateway, package, self._published_at[key]):
                held = self._series.pop(key).until is not None
                del self._published_at[key]
                news |= held
            else:
                news |= self._series[key].looked(_shown(gateway), now)
        return news

    def try_again(self) -> None:
        """A person wants everything tried anew."""
        self._series.clear()

    @property
    def packages(self) -> frozenset[str]:
        """Packages with an install that is not shown yet."""
        return frozenset(package for package, _ in self._series)

    @property
    def untaken(self) -> dict[tuple[str, str], datetime]:
        """Package and target that do not take -> when an install is tried again."""
        return dict(self._held())

    def _held(self) -> Iterator[tuple[tuple[str, str], datetime]]:
        for key, series in self._series.items():
            if series.until is not None:
                yield key, series.until


def _shown(gateway: EnforcementPoint | None) -> object:
    """What the target shows, without what every install of ours moves."""
    return gateway.policy if gateway is not None else None


def _covers(gateway: EnforcementPoint | None, package: str, published_at: datetime) -> bool:
    """Whether the target shows the package, from a revision as new as was desired."""
    if gateway is None or not same_name(gateway.policy, package):
        return False
    if gateway.revision is not None:
        return gateway.revision.published_at >= published_at
    return gateway.installed_at is not None and gateway.installed_at > published_at
