"""The one session with the management server: it logs in, calls commands and notices that the session was lost.

`checkpoint/gateway.py` calls commands through it, one at a time: the server serialises the writes of a session anyway,
and a lock keeps a logout from overtaking them. Protocol and login: chkp-antonr/checkpoint-api-ref introduction.md and
jmd/login.j.md.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace

from microseg.gateways.checkpoint.errors import ErrorKind, error_of, kind_of, parse_vendor_error
from microseg.gateways.checkpoint.refused_logins import LoginMemory
from microseg.gateways.http.client import HttpClient, HttpResponse
from microseg.gateways.http.json_access import Json, get_object, get_text
from microseg.gateways.http.server_clock import ServerClock
from microseg.gateways.http.volume import Volume
from microseg.gateways.http.wire import operation
from microseg.gateways.ports import Busy, GatewayError, OutcomeUnknown, Refused, Rejected, Unreachable
from microseg.model.checkpoint_facts import Session
from microseg.model.fields import clip
from microseg.model.secret import Secret

IDLE_SECONDS = 3600
"""The longest session-timeout that CheckPointSW/terraform-provider-checkpoint allows (10 to 3600)."""
_OLDEST_VERSION = (1, 6)
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


class SessionClient:
    """At most one open session. Safe to use from several threads."""

    def __init__(self, http_client: HttpClient, credential: Credential, domain: str, memory: LoginMemory) -> None:
        """`memory`: what is remembered of this credential's refusals."""
        self._memory = memory
        self._http_client = http_client
        self._credential = credential
        self._domain = domain
        self._lock = threading.RLock()
        self._sid: Secret | None = None
        self._base = "/web_api"
        self._session: Session | None = None
        self.clock = ServerClock()

    @property
    def session(self) -> Session | None:
        """The open session, from memory; None: there is none."""
        return self._session

    def open(self, name: str) -> Session:
        """Log in under a session name, or keep the open session of that name.

        Throttled: more than three logins per minute, administrator and domain (tips-best-practices.md). Busy: too many
        sessions. Refused: the credential, or only permission to read. Unreachable: a standby server. Rejected: the
        server is too old.
        """
        with self._lock, operation("login"):
            if self._session is not None:
                if self._session.name == name:
                    return self._session
                self.close()
            body = self._log_in(name)
            sid = get_text(body, "sid")
            if not sid:
                raise _unexpected("a login without a session id")
            self._sid = Secret(sid)
            try:
                self._base = f"/web_api/v{_version(body)}"
                _check_writable(body)
                self._session = self._opened_session(body, name)
            except GatewayError:
                self._log_out()
                raise
            return self._session

    def close(self) -> None:
        """Discard what is not published and log out; the session is forgotten even if that fails."""
        with self._lock:
            if self._sid is None:
                return
            try:
                self.call("discard", {}, effect=True)
            except (Busy, Unreachable):
                if self._sid is not None:
                    raise
            finally:
                self._log_out()

    def call(self, command: str, body: Json, *, effect: bool) -> Json:
        """Call a command in the session and return its JSON object.

        Without a session, or with one that the server no longer knows (401 `generic_err_wrong_session_id`): Unreachable
        for a read; Busy for an effect, which did not happen.
        """
        with self._lock, operation(command):
            sid = self._sid
            if sid is None:
                raise _no_session(effect=effect)
            response = self._send(f"{self._base}/{command}", body, sid, effect=effect)
            if not response.ok:
                raise self._error_of(response, effect=effect)
            if isinstance(response.data, dict):
                return response.data
            if effect:
                message = "Check Point was asked for a change and the answer is not a JSON object"
                raise OutcomeUnknown(message)
            raise _unexpected("something that is not a JSON object")

    def volume(self) -> Volume:
        """For the pages of one list."""
        return self._http_client.volume()

    def update_session(self, session: Session) -> None:
        """Take over the newer numbers of the open session."""
        with self._lock:
            if self._session is not None and self._session.uid == session.uid:
                self._session = replace(session, name=self._session.name)

    def _log_in(self, name: str) -> Json:
        """The answer of a successful log-in. A refused version of the Secret is not tried again soon, or ever."""
        self._memory.check()
        response = self._send("/web_api/login", self._login_body(name), None, effect=False)
        if response.ok:
            self._memory.accepted()
            return get_object(response.data)
        error = self._error_of(response, effect=False)
        if isinstance(error, Refused) and parse_vendor_error(response.data).code:  # the server's word, not a proxy's
            raise self._memory.refused(error)
        raise error

    def _error_of(self, response: HttpResponse, *, effect: bool) -> GatewayError:
        secrets = tuple(secret for secret in (self._sid, _secret_of(self._credential)) if secret is not None)
        error = error_of(response, effect=effect, secrets=secrets)
        if kind_of(response.status, parse_vendor_error(response.data)) is ErrorKind.SESSION_LOST:
            self._forget()
        return error

    def _send(self, path: str, body: Json, sid: Secret | None, *, effect: bool) -> HttpResponse:
        headers: Mapping[str, str] = {} if sid is None else {"X-chkp-sid": sid.reveal()}
        response = self._http_client.send("POST", path, effect=effect, headers=headers, body=body)
        self.clock.hear(response)
        return response

    def _login_body(self, name: str) -> dict[str, object]:
        body: dict[str, object] = {
            "session-name": name,
            "session-description": "In use by the microseg operator; do not publish or discard it by hand",
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

    def _opened_session(self, body: Json, name: str) -> Session:
        """The session after a login, which does not show the uid to an administrator with few permissions."""
        uid = get_text(body, "uid")
        user = self._credential.user if isinstance(self._credential, Password) else ""
        if not uid:
            details = self.call("show-session", {}, effect=False)
            uid, user = get_text(details, "uid"), get_text(details, "user-name")
        if not uid:
            raise _unexpected("a session without a uid")
        return Session(uid=clip(uid, 64), name=name, application="WEB_API", user=user)

    def _log_out(self) -> None:
        """Forget the session and log out. A failed logout only leaves an idle session, which times out by itself."""
        sid, base = self._sid, self._base
        self._forget()
        if sid is None:
            return
        try:
            with operation("logout"):
                self._send(f"{base}/logout", {}, sid, effect=False)
        except Unreachable:
            return

    def _forget(self) -> None:
        self._sid = None
        self._session = None
        self._base = "/web_api"


def _version(body: Json) -> str:
    """The API version to use: the server's own at the login, so an upgrade changes nothing before the next one."""
    version = get_text(body, "api-server-version")
    if not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){0,2}", version):
        raise _unexpected("a login without an API version")
    if tuple(int(part) for part in version.split(".")) < _OLDEST_VERSION:
        message = f"The management server has API version {version}; 1.6 (R80.40) or later is needed"
        raise Rejected(message, "api-version", version)
    return version


def _check_writable(body: Json) -> None:
    """Raise for a standby server or a read-only administrator: the login succeeds, writes would not.

    Source: CheckPointSW/sddc monitor.py.
    """
    if body.get("standby") is True:
        message = "The management server is on standby"
        raise Unreachable(message)
    if body.get("read-only") is True:
        message = "The administrator has read-only permissions"
        raise Refused(message)


def _secret_of(credential: Credential) -> Secret:
    match credential:
        case ApiKey(key):
            return key
        case Password(_, password):
            return password


def _no_session(*, effect: bool) -> GatewayError:
    sentence = "No Check Point session is open"
    return Busy(sentence) if effect else Unreachable(sentence)


def _unexpected(what: str) -> Unreachable:
    return Unreachable(f"Check Point answered with {what}")
