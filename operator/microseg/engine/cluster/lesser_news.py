"""Which difference between a record and what was decided is worth no write of its own; pure."""

from __future__ import annotations

import msgspec

from microseg.model.host import HostStatus, ManagedHost


def is_lesser_news(record: ManagedHost, decided: HostStatus) -> bool:
    """Whether nothing differs but what nobody waits for, which soon falls into a write that brings more.

    That is whether Azure's agent answers, read just before an intent, and that a used run-command was deleted. What of
    it the end of a term leaves unwritten, the next holder finds by itself. A record with annotations may hold a
    person's word, which is answered at once.
    """
    known = record.status
    if record.annotations or known == decided:
        return False
    azure, agent = known.azure, known.agent
    if azure is not None and decided.azure is not None:
        azure = msgspec.structs.replace(azure, agent_ready=decided.azure.agent_ready)
    if agent is not None and decided.agent is not None and not decided.agent.run_command:
        agent = msgspec.structs.replace(agent, run_command="")
    return msgspec.structs.replace(known, azure=azure, agent=agent) == decided
