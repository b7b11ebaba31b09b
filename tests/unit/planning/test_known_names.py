"""What a mapping names and the outside lacks: the same words from what was read and from what the Estate keeps."""

from __future__ import annotations

import msgspec
import pytest

from lab.memory.estate import estate
from lab.memory.world import RULES
from microseg.mapping import parse
from microseg.model.estate import Estate
from microseg.model.estate_status import KNOWN_NAMES, KnownNames
from microseg.planning import known_names

GROUPS = ("so", "Web")
LABELS = dict.fromkeys((("app", "orchestrate"), ("app", "Shop"), ("env", "Dev"), ("env", "New"), ("tier", "1")), "/l")
TIER = RULES.replace("groups:", "  KEY: {fromTag: [t], oneOf: ['1'], default: '1', onMiss: default}\ngroups:")


def asked(*, create: bool = True, allowed: tuple[str, ...] = ()) -> Estate:
    made = estate()
    illumio = msgspec.structs.replace(made.spec.illumio, create_labels=create)
    check_point = msgspec.structs.replace(made.spec.check_point, allowed_groups=allowed)
    return msgspec.structs.replace(
        made, spec=msgspec.structs.replace(made.spec, illumio=illumio, check_point=check_point)
    )


def keeping(made: Estate, record: KnownNames) -> Estate:
    return msgspec.structs.replace(made, status=msgspec.structs.replace(made.status, known=record))


@pytest.mark.parametrize(
    ("text", "made", "sentences"),
    [
        (RULES, asked(), ()),
        (RULES, asked(create=False), ()),
        (RULES.replace("name: SO", "name: SOx"), asked(), ("Check Point has no group SOx.",)),
        (RULES, asked(allowed=("so",)), ("The estate does not allow the group Web.",)),
        (RULES.replace("[Dev, New]", "[Dev, Old]"), asked(), ()),
        (
            RULES.replace("[Dev, New]", "[Dev, Old]"),
            asked(create=False),
            ("The PCE has no label env=Old, and createLabels is false.",),
        ),
        (TIER.replace("KEY", "tier"), asked(), ()),
        (TIER.replace("KEY", "role"), asked(), ()),
        (
            TIER.replace("KEY", "cost"),
            asked(),
            ("The PCE has no label of the type cost: make the type and one label.",),
        ),
    ],
)
def test_what_is_missing_is_told_alike_from_lists_and_from_the_estates_status(
    text: str, made: Estate, sentences: tuple[str, ...]
) -> None:
    rules = parse(text, "t")
    assert known_names.as_read(made, GROUPS, LABELS).lacking_of(rules) == sentences
    kept = keeping(made, known_names.record(made, None, GROUPS, LABELS, ("Standard",), ("A mistake.",)))
    recorded = known_names.as_recorded(kept)
    assert recorded is not None
    assert recorded.lacking_of(rules) == sentences
    assert kept.status.known is not None
    assert (kept.status.known.packages, kept.status.known.mistakes) == (("Standard",), ("A mistake.",))


def test_what_the_status_keeps_is_bounded_and_never_leaves_out_what_the_mapping_names() -> None:
    many = ("x" * 300, *(f"group-{number:05}" for number in range(5000)))
    record = known_names.record(asked(), parse(RULES, "t"), (*many, *GROUPS), {}, (), ())
    assert len(record.groups) == KNOWN_NAMES
    assert {"so", "Web"} <= set(record.groups)
    assert record.left_out == len(many) + len(GROUPS) - KNOWN_NAMES
    recorded = known_names.as_recorded(keeping(asked(), record))
    assert recorded is not None
    (doubt,) = recorded.lacking((), {"group-04999"})
    assert "may have no (the Estate keeps a part of the names only) group" in doubt


def test_an_estate_that_was_never_read_keeps_no_names() -> None:
    assert known_names.as_recorded(asked()) is None
    before = keeping(asked(create=False), known_names.record(asked(), None, GROUPS, LABELS, (), ()))
    assert known_names.as_recorded(before) is None, "createLabels was just taken off: labels were not kept until now"
