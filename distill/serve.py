"""Serves a page that tries exported models in the browser.

`python -m distill.serve WORKDIR_OR_BUNDLE [ANOTHER ...] [--port=8710] [--export=DIR]`

What can be asked for is a table from address to file, made before the first request. An address
that is not in it does not exist, so there is no path that could lead elsewhere.
"""

import functools
import gzip
import hashlib
import http.server
import json
import pathlib
import re
import threading
import urllib.parse
import webbrowser
from collections import Counter
from collections.abc import Sequence

from absl import flags

from distill import cli, paths, resources
from distill.errors import InputError
from distill.export import bundle

PORT = flags.DEFINE_integer(
    "port", 8710, "Port on this computer; 0 takes a free one.", lower_bound=0, upper_bound=65535
)
EXPORT = flags.DEFINE_string(
    "export", None, "Write the page as static files into this new directory instead of serving it."
)
OPEN = flags.DEFINE_boolean("open", True, "Open the page in the browser.")

HOST = "127.0.0.1"
WEB = resources.web()
PACKAGES = "node_modules/@litertjs"
WASM = "litert_wasm_compat_internal"  # runs everywhere; the others need relaxed SIMD, or threads
RUNTIME = {
    "vendor/core/package.json": f"{PACKAGES}/core/package.json",
    "vendor/core/index.js": f"{PACKAGES}/core/dist/index.js",
    "vendor/wasm-utils/package.json": f"{PACKAGES}/wasm-utils/package.json",
    "vendor/wasm-utils/index.js": f"{PACKAGES}/wasm-utils/dist/index.js",
    f"vendor/wasm/{WASM}.js": f"{PACKAGES}/core/wasm/{WASM}.js",
}
FOLDERS = ("src/*.js", "icons/*.png", "samples/*.png")
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


def main(argv: list[str]) -> None:
    """Serves until interrupted, or writes the static files."""
    if len(argv) < 2:
        raise InputError("name a run or a bundle: python -m distill.serve runs/simplenet_v4")
    table = bundles(find(argv[1:])) | page()
    if EXPORT.value:
        write(offline(table), paths.local(EXPORT.value, "--export"))
        print(f"{EXPORT.value}/index.html: serve the directory with any web server")
        return
    with listen(table, PORT.value) as server:
        url = f"http://{HOST}:{server.server_port}/"
        print(f"{url} (stop with Ctrl-C)", flush=True)
        if OPEN.value:
            threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def find(names: Sequence[str]) -> list[pathlib.Path]:
    """Returns the directories of the bundles that the arguments name.

    Args:
      names: each a bundle, a run with bundles in its `export`, or a directory of bundles.

    Raises:
      InputError: if there is no bundle at one of them.
    """
    found: list[pathlib.Path] = []
    for path in (paths.local(name, "a run or bundle") for name in names):
        root = path / "export" if (path / "export").is_dir() else path
        directories = sorted((file.parent for file in root.rglob(bundle.MANIFEST)), key=_order)
        if not directories:
            raise InputError(
                f"no {bundle.MANIFEST} in {root}; name a bundle, or a run whose stages had 'export'"
            )
        found += directories
    return found


def _order(directory: pathlib.Path) -> tuple:
    """Sorts float32 first, as what the others are compared with, and the teacher's bundles last."""
    return len(directory.parts), directory.name != "float32", directory


def bundles(directories: Sequence[pathlib.Path]) -> Table:
    """Returns the addresses of bundles and of their list, `bundles/index.json`.

    Raises:
      InputError: if one of them cannot be used.
    """
    read = [bundle.read(directory) for directory in directories]
    names = [each.manifest["name"] for each in read]
    repeated = {name for name, count in Counter(names).items() if count > 1}
    table: Table = {}
    index = []
    for i, (directory, name, each) in enumerate(zip(directories, names, read, strict=True)):
        path = f"bundles/{i}"
        index.append({"path": path, "name": f"{name} ({directory})" if name in repeated else name})
        for file in (bundle.MANIFEST, each.manifest["model"]["file"]):
            table[f"{path}/{file}"] = directory / file
    table["bundles/index.json"] = json.dumps(index, indent=1).encode()
    return table


def page() -> Table:
    """Returns the addresses of the page and of the runtime.

    Raises:
      InputError: if one of the two is not there.
    """
    if not (WEB / "index.html").is_file():
        raise InputError(f"{WEB} holds no page; install distill again")
    table: Table = {
        name: WEB / name for name in ("index.html", "style.css", "manifest.webmanifest")
    }
    for pattern in FOLDERS:
        table |= {str(file.relative_to(WEB)): file for file in sorted(WEB.glob(pattern))}
    table |= {address: WEB / file for address, file in RUNTIME.items()}
    if license_file := resources.license_file():  # the runtime has the same
        table["vendor/LICENSE"] = license_file
    wasm = WEB / PACKAGES / "core" / "wasm" / f"{WASM}.wasm"
    if not all(isinstance(f, bytes) or f.is_file() for f in (*table.values(), wasm)):
        raise InputError(f"the runtime is missing; fetch it: npm ci --omit=dev --prefix {WEB}")
    table[f"vendor/wasm/{WASM}.wasm.gz"] = _compressed(wasm)
    return table


@functools.cache
def _compressed(file: pathlib.Path) -> bytes:
    return gzip.compress(file.read_bytes(), mtime=0)


def offline(table: Table) -> Table:
    """Returns a table to which is added what keeps the page where there is no network.

    The service worker names all files, and a hash of them all as its version.
    """
    page = _content(table["index.html"]).replace(
        b'<html lang="en">', b'<html lang="en" data-offline>'
    )
    table = {**table, "index.html": page}
    digest = hashlib.sha256()
    for address, content in sorted(table.items()):
        digest.update(address.encode() + b"\0" + hashlib.sha256(_content(content)).digest())
    worker = (WEB / "sw.js").read_text()
    worker = worker.replace('VERSION = ""', f'VERSION = "{digest.hexdigest()[:16]}"')
    worker = worker.replace("FILES = []", f"FILES = {json.dumps(sorted(table), indent=1)}")
    return {**table, "sw.js": worker.encode()}


def _content(entry: pathlib.Path | bytes) -> bytes:
    return entry if isinstance(entry, bytes) else entry.read_bytes()


def write(table: Table, directory: pathlib.Path) -> None:
    """Writes everything into a new directory, for any web server.

    Raises:
      InputError: if the directory holds something, or cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise InputError(f"{directory} is not empty; name a new directory with --export")
        for address, content in table.items():
            target = directory / address
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_content(content))
    except OSError as error:
        raise InputError(f"{directory} cannot be written: {error.strerror}") from error


def listen(table: Table, port: int) -> http.server.ThreadingHTTPServer:
    """Returns a server on this computer only, that has not begun to answer.

    Raises:
      InputError: if the port cannot be had.
    """

    class Handler(_Handler):
        files = table

    try:
        return http.server.ThreadingHTTPServer((HOST, port), Handler)
    except OSError as error:
        raise InputError(
            f"port {port} cannot be used ({error.strerror}); choose another: --port={port + 1}"
        ) from error


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers with the files of a table."""

    files: Table
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        # A page of elsewhere whose name was made to lead here does not get to read the models.
        if not re.fullmatch(r"(127\.0\.0\.1|localhost)(:\d+)?", self.headers.get("Host", "")):
            self.send_error(421)
            return
        try:
            address = urllib.parse.urlsplit(self.path).path.removeprefix("/") or "index.html"
            body = _content(self.files[address])
        except (ValueError, KeyError, OSError):  # no address, unknown, or removed meanwhile
            self.send_error(404)
            return
        self.send_response(200)
        kind = TYPES.get(pathlib.PurePath(address).suffix, "application/octet-stream")
        headers = {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS}
        for name, value in headers.items():
            self.send_header(name, value)
        try:
            self.end_headers()
            if with_body:
                self.wfile.write(body)
        except ConnectionError:  # the page was closed or loaded anew
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing of each request."""


if __name__ == "__main__":
    cli.run(main, cli.parse_words)
