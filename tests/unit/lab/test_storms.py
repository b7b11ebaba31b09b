"""What the storms measure, and what fails them: sums of what a run noted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from lab.storms import probes, report
from lab.storms.probes import Probe
from lab.storms.run import Played, Storms
from lab.vitals import Vitals

MIB = 1 << 20
CALM = Vitals(100 * MIB, 40, 30)


def played(**changes: object) -> Played:
    calm = Played(
        "etcd", storm=30.0, alone=25.0, rest=60.0, before=CALM, after=CALM, peak=CALM, queues=Counter(azure=3)
    )
    return replace(calm, **changes)  # type: ignore[arg-type]


def failed(*storms: Played, broken: tuple[str, ...] = ()) -> list[str]:
    checks = report.judge(Storms(200, [25.0], list(storms), list(broken)))
    return [check.sentence for check in checks if not check.passed]


def test_a_storm_in_which_a_new_vm_waits_a_little_longer_passes() -> None:
    assert failed(played()) == []


def test_a_storm_in_which_a_new_vm_waits_more_than_p9_allows_fails_with_its_ratio() -> None:
    (sentence,) = failed(played(storm=50.0))
    assert sentence == "etcd: ratio 2.00 (at most 1.3)"


def test_handles_and_threads_that_stay_after_a_storm_fail() -> None:
    assert len(failed(played(after=replace(CALM, handles=60)))) == 1
    assert len(failed(played(after=replace(CALM, threads=50)))) == 1


def test_memory_may_peak_in_a_storm_but_not_stay_above_a_quarter_more_over_all_of_them() -> None:
    assert failed(played(peak=replace(CALM, memory=300 * MIB)), played()) == []
    (sentence,) = failed(played(), played(after=replace(CALM, memory=130 * MIB)))
    assert sentence == "memory over all storms: 100 MiB -> 130 MiB"


def test_a_violation_fails_with_its_sentence() -> None:
    (sentence,) = failed(played(), broken=("S2: two holders",))
    assert "S2: two holders" in sentence


def test_the_time_of_probes_is_their_mean_and_begins_at_the_end_of_an_outage_that_they_came_in() -> None:
    came = [Probe("a", "1", created=10.0, protected=40.0), Probe("b", "2", created=14.0, protected=48.0)]
    assert probes.mean_seconds(came) == 32.0
    assert probes.mean_seconds(came, since=12.0) == 31.0


def test_the_report_has_a_line_and_a_ratio_for_each_storm() -> None:
    storms = Storms(200, [25.0], [played(), played(name="other", storm=50.0)])
    assert [line.split()[0] for line in report.lines(storms).splitlines()] == ["storm", "etcd", "other"]
    assert report.as_json(storms)["ratios"] == {"etcd": 1.2, "other": 2.0}
