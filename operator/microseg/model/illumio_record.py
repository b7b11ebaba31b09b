"""The part of a host's record that the PCE confirmed: workload, agent, labels."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from microseg.model.fields import Frozen, Text


class LabelRecord(Frozen, frozen=True, kw_only=True):
    """A label on the workload."""

    key: Annotated[str, Meta(max_length=64, description="Label key, such as env.")]
    value: Annotated[Text, Meta(description="Label value.")]
    href: Annotated[Text, Meta(description="The label's address in the PCE.")] = ""


class IllumioRecord(Frozen, frozen=True, kw_only=True):
    """What the PCE shows for this host."""

    workload: Annotated[Text, Meta(description="The workload's address in the PCE.")] = ""
    ven: Annotated[Text, Meta(description="The agent's address in the PCE.")] = ""
    paired_by_us: Annotated[
        bool, Meta(description="Whether an attempt of ours paired it; else it was adopted, and is not unpaired.")
    ] = False
    hostname: Annotated[Text, Meta(description="Hostname that the agent reports.")] = ""
    enforcement_mode: Annotated[Text, Meta(description="Enforcement mode of the workload.")] = ""
    labels: Annotated[tuple[LabelRecord, ...], Meta(max_length=64, description="Labels on the workload.")] = ()
    owned_keys: Annotated[tuple[Text, ...], Meta(max_length=64, description="Label keys that this operator set.")] = ()
