"""A server of a table from address to file, which knows no other files and few names.

An address that is not in the table does not exist, so there is no path that could lead elsewhere.
Pages of elsewhere cannot read the answers: whoever asks has to ask by a name that was given.
"""

import errno
import http.server
import ipaddress
import os
import pathlib
import re
import socket
import socketserver
import sys
import urllib.parse
from typing import Any

from distill import paths
from distill.errors import InputError
from distill.values import shown

NAMES = ("127.0.0.1", "localhost", "[::1]")  # of this computer, for itself
ANY = ("0.0.0.0", "::")  # all addresses of this computer, and the name of none
IDLE_S = 30.0  # that a request may take to arrive, or a connection be without one
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
    ".mjs": "text/javascript; charset=utf-8",
    ".wasm": "application/wasm",
}
HEADERS = {
    # Isolated from other pages, the page gets a clock of 5 µs instead of 100 µs.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
Table = dict[str, pathlib.Path | bytes]


def settled(table: Table) -> Table:
    """Returns a table of files that links lead to now; links put in later are not followed."""
    return {a: e if isinstance(e, bytes) else e.resolve() for a, e in table.items()}


def content(entry: pathlib.Path | bytes) -> bytes:
    """Returns what an entry of a settled table holds.

    Raises:
      OSError: if it is gone, or no file any more.
    """
    if isinstance(entry, bytes):
        return entry
    if os.path.realpath(entry) != os.fspath(entry):
        raise OSError(errno.ELOOP, "it has become a link")
    return paths.read_bytes(entry)


def url(name: str, port: int) -> str:
    """Returns where a page is found that is served at an address, or by a name."""
    return f"http://{_in_url('127.0.0.1' if name in ANY else name)}:{port}/"


def listen(table: Table, port: int, address: str = "127.0.0.1", *names: str) -> "_Server":
    """Returns a server that has not begun to answer.

    Args:
      table: what it answers with.
      port: 0 takes a free one.
      address: to listen at; what is asked for at others is not heard.
      names: by which it may be asked for too, beside the address and this computer's own names.

    Raises:
      InputError: if the address or the port cannot be had.
    """
    for name in (address, *names):
        if not _is_name(name):
            raise InputError(
                f"--host has {shown(name)}; it takes addresses and names without a port, such as "
                "0.0.0.0,box.example"
            )
    asked = {*NAMES, *map(_in_url, (address, *names))}

    class Handler(_Handler):
        files = table
        hosts = asked

    try:
        family, *_, where = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        return _Server(family, where, Handler)
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or error
        if isinstance(error, socket.gaierror | UnicodeError) or error.errno == errno.EADDRNOTAVAIL:
            raise InputError(
                f"--host={address} is no address of this computer ({said}); name one, such as "
                "127.0.0.1, ::1 or 0.0.0.0"
            ) from error
        raise InputError(
            f"port {port} cannot be used ({said}); choose another: --port={min(port + 1, 65535)}"
        ) from error


def _is_name(name: str) -> bool:
    try:
        return bool(re.fullmatch(r"[A-Za-z0-9._-]+", name) or ipaddress.ip_address(name))
    except ValueError:
        return False


def _in_url(name: str) -> str:
    """Returns a name or address as it stands in a URL."""
    return f"[{name}]" if ":" in name else name.lower()


class _Server(http.server.ThreadingHTTPServer):
    """Answers each connection in a thread of its own, which does not outlive the command."""

    def __init__(self, family: int, address: tuple, handler: "type[_Handler]"):
        self.address_family = family
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Binds, and leaves out to ask by which name the address is known, which may take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of who is gone, since the page was closed or loaded anew."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the files of a table."""

    files: Table
    hosts: set[str]
    protocol_version = "HTTP/1.1"
    timeout = IDLE_S

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        # A page of elsewhere whose name was made to lead here does not get to read the models.
        if re.sub(r":\d+$", "", self.headers.get("Host", "")).lower() not in self.hosts:
            self.send_error(421, explain="Start with --host=ADDRESS,NAME to answer to this name.")
            return
        try:
            address = urllib.parse.urlsplit(self.path).path.removeprefix("/") or "index.html"
            body = content(self.files[address])
        except (ValueError, KeyError, OSError):  # no address, unknown, or removed meanwhile
            self.send_error(404)
            return
        self.send_response(200)
        kind = TYPES.get(pathlib.PurePath(address).suffix, "application/octet-stream")
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing of each request."""
