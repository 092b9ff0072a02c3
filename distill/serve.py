"""Serves a page that tries exported models in the browser.

`python -m distill.serve WORKDIR_OR_BUNDLE [ANOTHER ...] [--port=8710] [--export=DIR]`

What can be asked for is a table from address to file, made before the first request. An address
that is not in it does not exist, so there is no path that could lead elsewhere.
"""

import functools
import gzip
import hashlib
import json
import pathlib
import threading
import webbrowser
from collections import Counter
from collections.abc import Sequence

from absl import flags

from distill import cli, paths, resources
from distill.errors import InputError
from distill.export import bundle
from distill.server import Table, content, listen, settled, url

PORT = flags.DEFINE_integer(
    "port", 8710, "Port on this computer; 0 takes a free one.", lower_bound=0, upper_bound=65535
)
HOST = flags.DEFINE_list(
    "host", ["127.0.0.1"],
    "Address to listen at, ::1 or 0.0.0.0 for example, and the names by which others may ask for "
    "it, as --host=0.0.0.0,box.example: in a container, or from another machine.",
)  # fmt: skip
EXPORT = flags.DEFINE_string(
    "export", None, "Write the page as static files into this new directory instead of serving it."
)
OPEN = flags.DEFINE_boolean("open", True, "Open the page in the browser.")

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


def main(argv: list[str]) -> None:
    """Serves until interrupted, or writes the static files."""
    if len(argv) < 2:
        raise InputError("name a run or a bundle: python -m distill.serve runs/simplenet_v4")
    table = bundles(find(argv[1:])) | page()
    if EXPORT.value:
        write(offline(table), paths.local(EXPORT.value, "--export"))
        print(f"{EXPORT.value}/index.html: serve the directory with any web server")
        return
    with listen(table, PORT.value, *HOST.value) as server:
        address = url(HOST.value[-1], server.server_port)
        print(f"{address} (stop with Ctrl-C)", flush=True)
        if OPEN.value:
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
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
        files = (file for file in root.rglob(bundle.MANIFEST) if not _hidden(file, root))
        directories = sorted((file.parent for file in files), key=_order)
        if not directories:
            raise InputError(
                f"no {bundle.MANIFEST} in {root}; name a bundle, or a run whose stages had 'export'"
            )
        found += directories
    return found


def _hidden(file: pathlib.Path, root: pathlib.Path) -> bool:
    """Whether a file lies in a folder that begins with a dot, as what is not finished does."""
    return any(part.startswith(".") for part in file.relative_to(root).parts)


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
    return settled(table)


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
    return settled(table)


@functools.cache
def _compressed(file: pathlib.Path) -> bytes:
    return gzip.compress(file.read_bytes(), mtime=0)


def offline(table: Table) -> Table:
    """Returns a table to which is added what keeps the page where there is no network.

    The service worker names all files, and a hash of them all as its version.
    """
    page = content(table["index.html"]).replace(
        b'<html lang="en">', b'<html lang="en" data-offline>'
    )
    table = {**table, "index.html": page}
    digest = hashlib.sha256()
    for address, entry in sorted(table.items()):
        digest.update(address.encode() + b"\0" + hashlib.sha256(content(entry)).digest())
    worker = (WEB / "sw.js").read_text(encoding="utf-8")
    worker = worker.replace('VERSION = ""', f'VERSION = "{digest.hexdigest()[:16]}"')
    worker = worker.replace("FILES = []", f"FILES = {json.dumps(sorted(table), indent=1)}")
    return {**table, "sw.js": worker.encode()}


def write(table: Table, directory: pathlib.Path) -> None:
    """Writes everything into a new directory, for any web server.

    Raises:
      InputError: if the directory holds something, or cannot be written.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise InputError(f"{directory} is not empty; name a new directory with --export")
        for address, entry in table.items():
            target = directory / address
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content(entry))
    except OSError as error:
        raise InputError(f"{directory} cannot be written: {error.strerror}") from error


if __name__ == "__main__":
    cli.run(main, cli.parse_words)
