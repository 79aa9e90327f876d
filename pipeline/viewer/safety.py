"""Which requests the page answers, and what every answer forbids the browser.

A page on another site can make a visitor's browser send requests to 127.0.0.1, and by a name that it points there
(DNS rebinding) also read the answers. So the Host must be an address of this server, whatever changes something must
come from its own page (Origin), and browsers that say where a request comes from (Sec-Fetch-Site) are believed.
"""

import hmac
import ipaddress
import socket
from collections.abc import Mapping

import psutil
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Request, Response

COOKIE = "fundus_tiles_token"
READING = ("GET", "HEAD")
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",  # photographs of patients do not stay in the browser's cache
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def is_loopback(address: str) -> bool:
    """Returns whether an address is reached from this machine alone."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


def host_names(address: str) -> tuple[str, ...]:
    """Returns the names by which a server that listens on an address may be called."""
    if is_loopback(address):
        return LOOPBACK_NAMES
    if not _is_unspecified(address):
        return (_in_url(address),)
    own = {one.address.partition("%")[0] for some in psutil.net_if_addrs().values() for one in some}
    numbers = {_in_url(one) for one in own if _is_address(one)}
    return (*LOOPBACK_NAMES, socket.gethostname(), socket.getfqdn(), *sorted(numbers))


def name_to_open(address: str) -> str:
    """Returns the name under which the page is opened, one of `host_names`."""
    if is_loopback(address):
        return LOOPBACK_NAMES[0]
    if not _is_unspecified(address):
        return _in_url(address)
    cards = (one for some in psutil.net_if_addrs().values() for one in some if one.family == socket.AF_INET)
    return next((one.address for one in cards if not is_loopback(one.address)), LOOPBACK_NAMES[0])


class Guard:
    """Refuses requests that do not come from the page itself."""

    def __init__(self, names: tuple[str, ...], port: int, *, token: str | None):
        """Sets what is allowed.

        Args:
          names: names by which the server may be called, see `host_names`.
          port: its port.
          token: what a browser must show once, in the address that is printed; None: nothing.
        """
        self._hosts = {f"{name.lower()}:{port}" for name in names}
        self._token = token

    def check(self, request: Request) -> None:
        """Raises Forbidden if a request may not be answered; `admits` is asked first."""
        host = request.headers.get("Host", "").lower()
        if host not in self._hosts:
            raise Forbidden("This server is not called by that name.")
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() != f"http://{host}":
            raise Forbidden("Requests of other sites are not answered.")
        if origin is None and request.method not in READING:
            raise Forbidden("A request that changes something must say its origin.")
        if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin"):
            raise Forbidden("Requests of other sites are not answered.")
        if self._token is not None and not self._is_token(request.cookies.get(COOKIE, "")):
            raise Forbidden("Open the address that the command printed, with its token.")

    def admits(self, request: Request) -> bool:
        """Returns whether a request is the first of a browser that opens the printed address, with the right token."""
        host_is_own = request.headers.get("Host", "").lower() in self._hosts
        return self._token is not None and host_is_own and self._is_token(request.args.get("token", ""))

    def admit(self, response: Response) -> Response:
        """Lets the browser remember the token, where no script and no other site gets at it."""
        assert self._token is not None
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="Strict")
        return response

    def _is_token(self, given: str) -> bool:
        return self._token is not None and hmac.compare_digest(given.encode(), self._token.encode())


def _is_unspecified(address: str) -> bool:
    """Returns whether an address stands for all of the machine's."""
    return _is_address(address) and ipaddress.ip_address(address).is_unspecified


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False  # of a network card
    return True


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address
