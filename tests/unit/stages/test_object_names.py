"""Which of the objects with our mark we made: by uid, or by a name that we make for this VM (S7)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.memory import samples as m
from microseg.model.host import host_name
from microseg.stages.object_names import has_our_name, left_alone, made_by_us, object_name

SECOND = "10.2.0.4"
FURTHER = object_name("az-", m.NAME, SECOND)


@pytest.mark.parametrize("name", [m.OBJECT, m.OBJECT.upper(), FURTHER])
@pytest.mark.parametrize("vm_names", [(), ("Host24",), ("HOST24", "")])
def test_a_name_that_we_make_for_the_vm_is_ours_whoever_remembers_its_record(
    name: str, vm_names: tuple[str, ...]
) -> None:
    item = m.host_object(name, SECOND)
    assert has_our_name(item, "az-", vm_names)
    assert made_by_us((item,), "az-", vm_names, (), ()) == ((item,), ())


@pytest.mark.parametrize(
    "form", ["{}-copy", "{}_1", "Copy_of_{}", "printer", "{}-a1b2c3", "x{}", "{} ", "Clone of {}", "{}-NEW"]
)
@pytest.mark.parametrize("vm_names", [(), ("Host24",)])
def test_a_clone_is_not_ours_whatever_it_is_called(form: str, vm_names: tuple[str, ...]) -> None:
    original, clone = m.host_object(m.OBJECT, m.IP, "SO"), m.host_object(form.format(m.OBJECT), m.IP, "SO")
    assert made_by_us((original, clone), "az-", vm_names, (f"uid-{m.OBJECT}",), (m.OBJECT,)) == ((original,), (clone,))
    assert clone.name in left_alone(clone)


@pytest.mark.parametrize("name", ["az-copy-of-host24-{}", "az-host24-2-{}", "az-{}"])
def test_where_the_vms_name_is_known_only_its_own_name_counts(name: str) -> None:
    item = m.host_object(name.format(m.NAME[-8:]), m.IP)
    assert not has_our_name(item, "az-", ("Host24",))
    assert has_our_name(item, "az-"), "nobody knows better"


def test_an_object_with_a_second_address_or_another_name_or_prefix_is_ours_by_its_uid_or_by_what_is_desired() -> None:
    both = m.host_object(FURTHER, SECOND), m.host_object(FURTHER, "2001:db8::1")
    assert made_by_us(both, "az-", ("Host24",), (), ()) == (both, ())
    renamed = m.host_object("renamed", m.IP)
    assert made_by_us((renamed,), "az-", ("Host24",), (renamed.uid,), ()) == ((renamed,), ())
    assert made_by_us((renamed,), "az-", ("Host24",), (), ()) == ((), (renamed,))
    moved = m.host_object(FURTHER, "10.99.0.1")
    assert made_by_us((moved,), "az-", ("Host24",), (), (FURTHER.upper(),)) == ((moved,), ())


@given(st.text(min_size=1, max_size=80), st.sampled_from(["az-", "prefix-of-16-ch-", "A"]), st.sampled_from(["", m.IP]))
def test_every_name_that_we_make_is_recognised(vm_name: str, prefix: str, address: str) -> None:
    name = object_name(prefix, host_name(vm_name, m.VM_ID), address)
    item = m.host_object(name, m.IP)
    assert has_our_name(item, prefix, (vm_name,))
    assert has_our_name(item, prefix)
