"""Access control: every check that a request must pass before it reaches the page."""

import ipaddress
import secrets
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]
Scope = MutableMapping[str, Any]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = [
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_LONGEST_PATH = 400
_LONGEST_QUERY = 2_000


class Guard:
    """ASGI middleware that passes a request on, or answers it with a refusal.

    Requests from other sites are refused by their `Origin`, and DNS rebinding by the `Host`.
    Only GET is allowed.
    """

    def __init__(self, app: App, *, port: int, names: Iterable[str], token: str = "") -> None:
        """Wrap an application.

        Args:
            app: the application to guard.
            port: port that the server listens on.
            names: host names that are accepted.
            token: secret that a client must present; empty: none.
        """
        self._app, self._port, self._names = app, port, frozenset(names)
        self._token = token
        # Cookies ignore the port, so two dashboards on one host need different cookie names.
        self.cookie = f"frank-dashboard-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers = _headers(scope)
        refusal = self._refusal(scope, headers)
        if refusal:
            await _answer(send, *refusal)
            return
        if self._token and not self._knows_token(headers):
            await self._ask_for_token(scope, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *_HEADERS]}
            await send(message)

        await self._app(scope, receive, with_headers)

    def _refusal(self, scope: Scope, headers: dict[str, list[str]]) -> tuple[int, str] | None:
        if scope["method"] != "GET":
            return 405, "This page only answers GET, because it changes nothing."
        hosts = headers.get("host", [])
        if len(hosts) != 1 or not self._is_ours(hosts[0], scope):
            return 421, "This page is not served under this host name."
        origins = headers.get("origin", [])
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            return 403, "Another site may not ask this page for anything."
        if headers.get("sec-fetch-site", ["none"])[0] not in ("none", "same-origin"):
            is_visit = headers.get("sec-fetch-mode") == ["navigate"] and scope["path"] == "/"
            if not is_visit:
                return 403, "Another site may not ask this page for anything."
        if len(scope["path"]) > _LONGEST_PATH or len(scope["query_string"]) > _LONGEST_QUERY:
            return 414, "That address is too long."
        return None

    def _is_ours(self, host: str, scope: Scope) -> bool:
        name, separator, port = host.rpartition(":")
        if not separator or host.endswith("]"):
            name, port = host, "80"
        if port != str(self._port):
            return False
        return name.lower() in self._names or name == _address_asked(scope)

    def _knows_token(self, headers: dict[str, list[str]]) -> bool:
        given = [value.removeprefix("Bearer ") for value in headers.get("authorization", [])]
        for line in headers.get("cookie", []):
            try:
                cookie = SimpleCookie(line).get(self.cookie)
            except CookieError:
                continue
            given += [cookie.value] if cookie else []
        return any(self._is_token(value) for value in given)

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "replace"), self._token.encode())

    async def _ask_for_token(self, scope: Scope, send: Send) -> None:
        query = parse_qs(scope["query_string"].decode("latin-1"))
        if scope["path"] == "/" and any(self._is_token(given) for given in query.get("token", [])):
            # Lax: following a link to the page from elsewhere must work.
            cookie = f"{self.cookie}={self._token}; HttpOnly; SameSite=Lax; Path=/"
            # The redirect removes the token from the address, which screens and histories show.
            extra = [(b"location", b"/"), (b"set-cookie", cookie.encode())]
            await _answer(send, 303, "", extra)
            return
        await _answer(send, 401, "Open the address that `frank dashboard` printed: it has a token.")


def local_names(host: str) -> frozenset[str]:
    """Host names that are accepted, for the address that the server listens on.

    The IP address that a request arrived at is accepted, too: DNS rebinding cannot fake it.
    """
    address = ipaddress.ip_address(host)
    if address.is_loopback:
        return frozenset({"127.0.0.1", "localhost", "[::1]", _bracketed(host)})
    names = {_bracketed(host), socket.gethostname().lower()}
    if address.is_unspecified:
        names = {socket.gethostname().lower(), "127.0.0.1", "localhost", "[::1]"}
    return frozenset(names)


def _address_asked(scope: Scope) -> str:
    """The IP address that a request arrived at, in the notation of `Host`."""
    server = scope.get("server")
    try:
        address = ipaddress.ip_address(server[0] if server else "")
    except ValueError:
        return ""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return _bracketed(str(mapped or address))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _headers(scope: Scope) -> dict[str, list[str]]:
    headers: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return headers


async def _answer(
    send: Send, status: int, text: str, extra: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    body = text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *_HEADERS,
        *extra,
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
