"""The one session with the management server: logging in, calling commands, noticing that it was lost.

`checkpoint.py` speaks through it. One call at a time: the server serialises a session's writes anyway, and a lock keeps
a logout from overtaking them. Wire form and login: chkp-antonr/checkpoint-api-ref introduction.md and jmd/login.j.md.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from microseg.gateways import shapes
from microseg.gateways.checkpoint_errors import Meaning, complaint, error_of, meaning_of
from microseg.gateways.ports import Busy, GatewayError, OutcomeUnknown, Refused, Rejected, Unreachable
from microseg.gateways.shapes import Json
from microseg.gateways.transport import Answer, Transport
from microseg.model.facts import Session
from microseg.model.host import clip
from microseg.model.secret import Secret

IDLE_SECONDS = 3600
"""The longest session-timeout that CheckPointSW/terraform-provider-checkpoint allows (10 to 3600)."""
_OLDEST = (1, 6)
"""R80.40: the first with batches and API keys (chkp-antonr/checkpoint-api-ref changelog.md)."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An administrator's API key."""

    key: Secret


@dataclass(frozen=True, slots=True)
class Password:
    """An administrator's name and password."""

    user: str
    password: Secret


Credential = ApiKey | Password


class Conversation:
    """At most one living session. Safe to use from several threads."""

    def __init__(self, transport: Transport, credential: Credential, domain: str) -> None:
        self._transport = transport
        self._credential = credential
        self._domain = domain
        self._lock = threading.RLock()
        self._sid: Secret | None = None
        self._base = "/web_api"
        self._session: Session | None = None

    @property
    def session(self) -> Session | None:
        """The living session, from memory."""
        return self._session

    def open(self, name: str) -> Session:
        """Log in under a session name, or keep the living session of that name.

        Throttled: more than three logins a minute, administrator and domain (tips-best-practices.md). Busy: too many
        sessions. Refused: the credential, or a read-only right. Unreachable: a standby. Rejected: too old a server.
        """
        with self._lock, self._transport.watch("login"):
            if self._session is not None:
                if self._session.name == name:
                    return self._session
                self.close()
            answer = self._send("/web_api/login", self._login(name), None, effect=False)
            if not answer.ok:
                raise self._judged(answer, effect=False)
            body = shapes.mapping(answer.data)
            sid = shapes.text(body.get("sid"))
            if not sid:
                raise _unusual("a login without a session id")
            self._sid = Secret(sid)
            try:
                self._base = f"/web_api/v{_version(body)}"
                _refuse_passive(body)
                self._session = self._own(body, name)
            except GatewayError:
                self._leave()
                raise
            return self._session

    def close(self) -> None:
        """Discard what is not published and log out; the session is forgotten whatever comes of it."""
        with self._lock:
            if self._sid is None:
                return
            try:
                self.call("discard", {}, effect=True)
            except (Busy, Unreachable):
                if self._sid is not None:
                    raise
            finally:
                self._leave()

    def call(self, command: str, body: Json, *, effect: bool) -> Json:
        """Call a command with the session and return its JSON object.

        Without a session, or with one that the server no longer knows (401 `generic_err_wrong_session_id`):
        Unreachable for a read; Busy for an effect, which did not happen.
        """
        with self._lock, self._transport.watch(command):
            sid = self._sid
            if sid is None:
                raise _closed(effect=effect)
            answer = self._send(f"{self._base}/{command}", body, sid, effect=effect)
            if not answer.ok:
                raise self._judged(answer, effect=effect)
            if isinstance(answer.data, dict):
                return answer.data
            if effect:
                message = "Check Point answered a change with something that is not a JSON object"
                raise OutcomeUnknown(message)
            raise _unusual("something that is not a JSON object")

    def note(self, session: Session) -> None:
        """Remember fresher numbers of the living session."""
        with self._lock:
            if self._session is not None and self._session.uid == session.uid:
                self._session = replace(session, name=self._session.name)

    def _judged(self, answer: Answer, *, effect: bool) -> GatewayError:
        secrets = tuple(secret for secret in (self._sid, _secret_of(self._credential)) if secret is not None)
        error = error_of(answer, effect=effect, secrets=secrets)
        if meaning_of(answer.status, complaint(answer.data)) is Meaning.LOST:
            self._forget()
        return error

    def _send(self, path: str, body: Json, sid: Secret | None, *, effect: bool) -> Answer:
        headers: Mapping[str, str] = {} if sid is None else {"X-chkp-sid": sid.reveal()}
        return self._transport.send("POST", path, effect=effect, headers=headers, body=body)

    def _login(self, name: str) -> dict[str, object]:
        body: dict[str, object] = {
            "session-name": name,
            "session-description": "Held by the microseg operator; do not publish or discard by hand",
            "session-timeout": IDLE_SECONDS,
        }
        if self._domain:
            body["domain"] = self._domain
        match self._credential:
            case ApiKey(key):
                body["api-key"] = key.reveal()
            case Password(user, password):
                body |= {"user": user, "password": password.reveal()}
        return body

    def _own(self, body: Json, name: str) -> Session:
        """The session's uid, which a login of an administrator with less rights may not show."""
        uid = shapes.text(body.get("uid"))
        user = self._credential.user if isinstance(self._credential, Password) else ""
        if not uid:
            shown = self.call("show-session", {}, effect=False)
            uid, user = shapes.text(shown.get("uid")), shapes.text(shown.get("user-name"))
        if not uid:
            raise _unusual("a session without a uid")
        return Session(uid=clip(uid, 64), name=name, application="WEB_API", user=user)

    def _leave(self) -> None:
        """Log out as far as it goes: a logout that is lost only leaves an idle session that times out by itself."""
        sid, base = self._sid, self._base
        self._forget()
        if sid is None:
            return
        try:
            self._send(f"{base}/logout", {}, sid, effect=False)
        except Unreachable:
            return

    def _forget(self) -> None:
        self._sid = None
        self._session = None
        self._base = "/web_api"


def _version(body: Json) -> str:
    """The API version to speak: the server's own, so that an upgrade changes nothing before the next login."""
    version = shapes.text(body.get("api-server-version"))
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", version):
        raise _unusual("a login without an API version")
    if tuple(int(part) for part in version.split(".")) < _OLDEST:
        message = f"the management server speaks API {version}; 1.6 (R80.40) is needed"
        raise Rejected(message, "api-version", version)
    return version


def _refuse_passive(body: Json) -> None:
    """Logging in to a standby or as a reader succeeds; writing would not (CheckPointSW/sddc monitor.py)."""
    if body.get("standby") is True:
        message = "the management server is on standby"
        raise Unreachable(message)
    if body.get("read-only") is True:
        message = "the administrator may only read"
        raise Refused(message)


def _secret_of(credential: Credential) -> Secret:
    match credential:
        case ApiKey(key):
            return key
        case Password(_, password):
            return password


def _closed(*, effect: bool) -> GatewayError:
    return Busy("no session is open: it was lost or never opened") if effect else Unreachable("no session is open")


def _unusual(what: str) -> Unreachable:
    return Unreachable(f"Check Point answered with {what}")
