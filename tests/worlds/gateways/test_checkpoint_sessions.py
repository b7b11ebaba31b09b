"""The session of the Check Point gateway: logins, and sessions that are kept, closed, lost and discarded."""

from __future__ import annotations

from pathlib import Path

import pytest

from microseg.gateways.checkpoint.gateway import CheckPointManagementGateway
from microseg.gateways.checkpoint.session import ApiKey, Password
from microseg.gateways.ports import (
    Busy,
    GatewayError,
    Refused,
    Rejected,
    Throttled,
    Unreachable,
)
from microseg.model.secret import Secret

from .checkpoint_objects import NAME, Firewall, form
from .conftest import OWNER, PASSWORD, assert_no_secrets, check_point_gateway, read, sha256


def test_a_session_is_kept_while_its_name_is_the_same(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    first = management._session_client.session
    assert management.open(NAME) == first
    assert firewall.count("login") == 1
    second = management.open(f"microseg/{OWNER}/2")
    assert first is not None
    assert second.uid != first.uid
    assert [session.name for session in read(management.sessions()) if session.open] == [f"microseg/{OWNER}/2"]


def test_closing_discards_and_logs_out_and_a_second_time_does_nothing(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    management.ensure_tag(OWNER)
    management.close()
    management.close()
    assert management._session_client.session is None
    assert firewall.count("logout") == 1
    assert firewall.world.sessions.listed() == []


def test_a_dead_session_of_ours_is_discarded_with_its_locks(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    management.ensure_tag(OWNER)
    management.put_host(form(1, join=("SO",)))
    dead = management._session_client.session
    assert dead is not None
    other = check_point_gateway(firewall)
    other.open(f"microseg/{OWNER}/2")
    seen = {session.uid: session for session in read(other.sessions())}
    assert seen[dead.uid].changes == 3
    assert seen[dead.uid].locks > 0
    other.discard_session(dead.uid)
    other.discard_session(dead.uid)
    assert dead.uid not in {session.uid for session in read(other.sessions())}
    assert {group.locked_by for group in read(other.groups())} == {""}
    other.close()


def lose(firewall: Firewall) -> None:
    """The server forgets every session's sid, as after their idle time."""

    def expire() -> None:
        for session in firewall.world.sessions.listed():
            firewall.world.sessions.expire(firewall.world.now(), session)

    firewall.act(expire)


def test_a_lost_session_is_unreachable_for_a_read_and_forgotten(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    lose(firewall)
    with pytest.raises(Unreachable) as caught:
        read(management.hosts())
    assert_no_secrets(caught.value, firewall.stage)
    assert management._session_client.session is None
    with pytest.raises(Unreachable):
        read(management.hosts())
    assert firewall.count("show-hosts") == 1


def test_a_lost_session_is_busy_for_an_effect_which_did_not_happen(
    firewall: Firewall, management: CheckPointManagementGateway
) -> None:
    lose(firewall)
    with pytest.raises(Busy, match="lost") as caught:
        management.put_host(form(1))
    assert_no_secrets(caught.value, firewall.stage)
    assert management._session_client.session is None
    with pytest.raises(Busy):
        management.publish()
    assert firewall.count("publish") == 0
    management.close()


def test_too_many_logins_are_throttled(firewall: Firewall) -> None:
    firewall.stage.limits = True
    management = check_point_gateway(firewall)
    for number in range(3):
        management.open(f"{NAME}{number}")
    with pytest.raises(Throttled):
        management.open(f"{NAME}9")
    assert management._session_client.session is None


@pytest.mark.parametrize("credential", [ApiKey(Secret("wrong-7")), Password("microseg", Secret("wrong-7"))])
def test_a_wrong_credential_is_refused_and_stays_out_of_the_error(
    firewall: Firewall, credential: ApiKey | Password
) -> None:
    with pytest.raises(Refused) as caught:
        check_point_gateway(firewall, credential).open(NAME)
    assert "wrong-7" not in repr(caught.value)
    assert "wrong-7" not in repr(credential)


def test_a_password_logs_in_like_a_key(firewall: Firewall) -> None:
    management = check_point_gateway(firewall, Password("microseg", Secret(PASSWORD)))
    assert management.open(NAME).user == "microseg"
    management.close()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"api-server-version": "1.5", "sid": "s", "uid": "u"}, Rejected),
        ({"api-server-version": "1.9/../../x", "sid": "s", "uid": "u"}, Unreachable),
        ({"api-server-version": "1.9", "sid": "s", "uid": "u", "standby": True}, Unreachable),
        ({"api-server-version": "1.9", "sid": "s", "uid": "u", "read-only": True}, Refused),
        ({"api-server-version": "1.9"}, Unreachable),
    ],
)
def test_a_login_that_allows_no_changes_is_given_up(
    firewall: Firewall, answer: dict[str, object], expected: type[GatewayError]
) -> None:
    firewall.fault("login", status=200, body=answer)
    management = check_point_gateway(firewall)
    with pytest.raises(expected):
        management.open(NAME)
    assert management._session_client.session is None


def test_a_pinned_certificate_is_enough_and_another_one_gets_nothing(firewall: Firewall, folder: Path) -> None:
    pinned = check_point_gateway(firewall, fingerprint=sha256(folder / "world.pem"))
    pinned.open(NAME)
    pinned.close()
    before = len(firewall.stage.ledger.entries("checkpoint"))
    wrong = check_point_gateway(firewall, fingerprint=sha256(folder / "stranger" / "other.pem"))
    with pytest.raises(Unreachable, match="pinned"):
        wrong.open(NAME)
    assert len(firewall.stage.ledger.entries("checkpoint")) == before


def test_a_refused_log_in_is_sent_once_however_often_it_is_asked_for(firewall: Firewall) -> None:
    gateway = check_point_gateway(firewall, ApiKey(Secret("wrong-key-4711")))
    said = set()
    for _ in range(5):
        with pytest.raises(Refused, match="is not tried again") as caught:
            gateway.open(NAME)
        said.add(str(caught.value))
    assert firewall.count("login") == 1
    assert len(said) == 1


def test_a_page_of_a_proxy_is_no_refused_log_in(firewall: Firewall) -> None:
    firewall.fault("login", action="html", status=403)
    gateway = check_point_gateway(firewall)
    with pytest.raises(Refused):
        gateway.open(NAME)
    gateway.open(NAME)
    gateway.close()
