"""What in an Estate's spec can never work, and is not, or not always, refused by the API server.

`application.py` asks before it builds anything. The API server refuses most mistakes (`kube/schema_rules.py`); it does
not know time zones, cannot compare long lists, and may still have an older definition.
"""

from __future__ import annotations

import re
from ipaddress import ip_network
from zoneinfo import ZoneInfo

from microseg.model.azure_spec import AzureSpec
from microseg.model.estate_spec import CheckPointSpec, EstateSpec, InstallWindow
from microseg.model.fields import seconds
from microseg.model.spelling import fold, same_name

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]|24:00")
_NO_PLACES = {"localtime", "posixrules", "Factory"}
"""Files beside the time zones: what they say depends on the machine, which is in no zone of its own."""
_LONGEST_POLL = 3600.0
"""Seconds: a new VM would wait as long."""
_NAME = re.compile(r"(?!<.*>$)\S(.*\S)?", re.DOTALL)
_TAG_NAME = re.compile(r"[^<>%&\\?/\x00-\x1f]{1,512}")


def spec_fault(spec: EstateSpec, shortest_poll: float) -> str:
    """The first thing that can never work, as a sentence with the field's path; empty: nothing is known.

    `shortest_poll`: seconds; more frequent polls would use up the limits of the three systems.
    """
    if seconds(spec.azure.poll_interval) < shortest_poll:
        return f"spec.azure.pollInterval: {spec.azure.poll_interval} is too short; the shortest is {shortest_poll:g}s."
    if seconds(spec.azure.poll_interval) > _LONGEST_POLL:
        return (
            f"spec.azure.pollInterval: {spec.azure.poll_interval} is too long; a new VM would wait as long. At most 1h."
        )
    window = spec.check_point.install_window
    wrong_window = _window_fault(window) if window is not None else ""
    return (
        wrong_window
        or _shared_subscription(spec.azure)
        or _network_fault(spec.azure)
        or _tag_fault(spec.azure)
        or _select_fault(spec.azure)
        or _name_fault(spec)
        or _package_fault(spec.check_point)
    )


def _window_fault(window: InstallWindow) -> str:
    path = "spec.checkPoint.installWindow"
    try:
        known = ZoneInfo(window.time_zone).key not in _NO_PLACES
    except (LookupError, ValueError, OSError):
        known = False
    if not known:
        return f"{path}.timeZone: no time zone is called {window.time_zone!r}; write an IANA name, as Europe/Zurich."
    for name, text in (("start", window.start), ("end", window.end)):
        if _TIME.fullmatch(text) is None or (name == "start" and text == "24:00"):
            return f"{path}.{name}: {text!r} is not a time of a day, such as 22:00."
    if window.start == window.end:
        return f"{path}: a window from {window.start} to {window.end} never opens; leave both out for the whole day."
    return ""


def _shared_subscription(azure: AzureSpec) -> str:
    """Two sources with one subscription would read each of its VMs twice, with two identities."""
    owners: dict[str, str] = {}
    for source in azure.sources:
        for subscription in source.subscriptions:
            owner = owners.setdefault(subscription.lower(), source.name)
            if owner != source.name:
                return (
                    f"spec.azure.sources: subscription {subscription} is in source {owner} and in source {source.name};"
                    " leave it in one of them."
                )
    return ""


def _network_fault(azure: AzureSpec) -> str:
    """A text that is no network, or one that names every address there is."""
    for source in azure.sources:
        path = f"spec.azure.sources: allowedNetworks of source {source.name}"
        for text in source.allowed_networks:
            try:
                network = ip_network(text)
            except ValueError:
                return f"{path}: {text!r} is not a network in CIDR form, such as 10.1.0.0/16, without host bits."
            if network.prefixlen == 0:
                return f"{path}: {text} is every address; name the networks of your VMs."
    return ""


def _select_fault(azure: AzureSpec) -> str:
    """A selection that no VM can meet would make the whole source look empty."""
    for source in azure.sources:
        path = f"spec.azure.sources {source.name}: select"
        for key, value in source.select.tags.items():
            for other, refused in source.select.not_tags.items():
                if same_name(key, other) and (refused == "*" or (refused == value and value != "*")):
                    return f"{path}: tags wants {key}={value} and notTags refuses it; no VM can be selected."
        for group in source.select.resource_groups:
            if "/" in group:
                return f"{path}.resourceGroups: {group!r} is no name of a resource group; write the name alone."
    return ""


def _name_fault(spec: EstateSpec) -> str:
    """Names in other systems that are blank, have blanks around them, or were left as <placeholders>."""
    named: list[tuple[str, tuple[str, ...]]] = [("spec.checkPoint.allowedGroups", spec.check_point.allowed_groups)]
    named += [(f"spec.checkPoint.policies {each.package}: targets", each.targets) for each in spec.check_point.policies]
    named.append(("spec.checkPoint.policies", tuple(each.package for each in spec.check_point.policies)))
    for source in spec.azure.sources:
        path = f"spec.azure.sources {source.name}: select"
        named += [(f"{path}.resourceGroups", source.select.resource_groups)]
        named += [(f"{path}.locations", source.select.locations)]
        named += [(f"{path}.tags", tuple(source.select.tags)), (f"{path}.notTags", tuple(source.select.not_tags))]
    for path, names in named:
        for name in names:
            if _NAME.fullmatch(name) is None:
                return f"{path}: {name!r} cannot be a name; write it as the system shows it, or leave it out."
    return ""


def _package_fault(check_point: CheckPointSpec) -> str:
    """Two entries of one package, and two packages for one gateway, would be installed after one another for ever."""
    packages: set[str] = set()
    targets: dict[str, str] = {}
    for policy in check_point.policies:
        if fold(policy.package) in packages:
            return f"spec.checkPoint.policies: package {policy.package} is named twice; put all targets into one entry."
        packages.add(fold(policy.package))
        for target in policy.targets:
            other = targets.setdefault(fold(target), policy.package)
            if other != policy.package:
                both = f"packages {other} and {policy.package}"
                return f"spec.checkPoint.policies: {target} is a target of {both}; a gateway has one: name it once."
    return ""


def _tag_fault(azure: AzureSpec) -> str:
    """Names of tags ignore case (learn.microsoft.com, tag-resources)."""
    names: dict[str, str] = {}
    for name in azure.tags:
        if _TAG_NAME.fullmatch(name) is None:
            return f"spec.azure.tags: {name!r} cannot be the name of a tag in Azure: it has none of < > % & \\ ? /"
        other = names.setdefault(name.lower(), name)
        if other != name:
            return f"spec.azure.tags: {other} and {name} are one tag for Azure; leave one of them out."
    return ""
