"""The server of the page: what it finds, what it hands out, and to whom."""

import base64
import hashlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import struct
import threading

import pytest

from distill import serve
from distill import server as server_lib
from distill.errors import InputError
from experiments.golden_bundles import MODEL

ROOT = pathlib.Path(__file__).parents[1]


def write_bundle(directory, name="tiny float32"):
    """Writes a bundle of three classes that no reader refuses; nothing here runs its model."""
    directory.mkdir(parents=True)
    (directory / "model.tflite").write_bytes(MODEL)
    manifest = {
        "format": "distill-bundle/1",
        "name": name,
        "model": {
            "file": "model.tflite",
            "sha256": hashlib.sha256(MODEL).hexdigest(),
            "bytes": len(MODEL),
        },
        "input": {
            "shape": [1, 2, 2, 1], "dtype": "float32", "layout": "NHWC", "color": "gray",
            "scale": [1.0], "offset": [0.0], "quantization": None,
            "crop": "center_square", "resize": "area", "polarity": "auto",
        },
        "output": {
            "shape": [1, 3], "dtype": "float32", "kind": "probabilities", "quantization": None
        },
        "labels": ["cat", "dog", "owl"],
        "defaults": {"top_k": 2, "filter": {"stages": 3, "factor": 0.4}},
        "golden": {
            "input": base64.b64encode(bytes(16)).decode(), "output": [0.5, 0.5, 0], "tolerance": 0
        },
        "provenance": {
            "exporter": "distill 0.1.0", "config_hash": "0" * 12, "commit": "0" * 10,
            "dataset": "none", "model": "tiny", "num_params": 10, "accuracy": 0.5,
            "accuracy_flax": 0.5,
        },
    }  # fmt: skip
    (directory / "model.json").write_text(json.dumps(manifest))
    return directory


@pytest.fixture
def web(tmp_path, monkeypatch):
    """A copy of the page, with empty files in place of the runtime from npm."""
    directory = tmp_path / "web"
    shutil.copytree(serve.WEB, directory, ignore=shutil.ignore_patterns("node_modules", "test"))
    for file in (*serve.RUNTIME.values(), f"{serve.PACKAGES}/core/wasm/{serve.WASM}.wasm"):
        (directory / file).parent.mkdir(parents=True, exist_ok=True)
        (directory / file).touch()
    monkeypatch.setattr(serve, "WEB", directory)
    return directory


@pytest.fixture
def ask(web, tmp_path):
    """Serves one bundle; returns a function that asks for an address."""
    table = serve.page() | serve.bundles([write_bundle(tmp_path / "bundle")])
    server = serve.listen(table, 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()

    def request(address, method="GET", **headers):
        connection = http.client.HTTPConnection(*server.server_address)
        connection.request(method, address, headers=headers)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response, body

    request.server = server
    yield request
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_run_gives_its_bundles_the_students_float32_first(tmp_path):
    for name in ("float16", "float32", "int8", "teacher/float32"):
        write_bundle(tmp_path / "run" / "export" / name)
    found = serve.find([str(tmp_path / "run"), str(tmp_path / "run/export/int8")])
    root = tmp_path / "run" / "export"
    names = ["float32", "float16", "int8", "teacher/float32", "int8"]
    assert found == [root / name for name in names]


def test_bundles_of_one_name_are_told_apart_by_their_directory(tmp_path):
    directories = [write_bundle(tmp_path / name) for name in "ab"]
    directories.append(write_bundle(tmp_path / "c", name="other"))
    index = json.loads(serve.bundles(directories)["bundles/index.json"])
    assert [each["path"] for each in index] == ["bundles/0", "bundles/1", "bundles/2"]
    a, b, c = (each["name"] for each in index)
    assert (a, b, c) == (
        f"tiny float32 ({directories[0]})",
        f"tiny float32 ({directories[1]})",
        "other",
    )


def test_a_bundle_that_cannot_be_used_is_refused(tmp_path):
    directory = write_bundle(tmp_path / "bundle")
    (directory / "model.tflite").write_bytes(MODEL[:50])
    with pytest.raises(InputError, match="50 bytes"):
        serve.bundles([directory])
    with pytest.raises(InputError, match="no model.json in"):
        serve.find([str(tmp_path / "nowhere")])


def test_without_the_runtime_the_error_says_how_to_fetch_it(web):
    shutil.rmtree(web / "node_modules")
    with pytest.raises(InputError, match="fetch it: npm ci --omit=dev --prefix") as error:
        serve.page()
    assert "\n" not in str(error.value)


def test_whatever_a_module_imports_is_served(web):
    table = serve.page()
    for file in (web / "src").glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', file.read_text()):
            assert f"src/{name}" in table
    addresses = re.findall(r'"\./(vendor[^"]+)"', (web / "index.html").read_text())
    assert len(addresses) == 2 and set(addresses) <= set(table)


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/index.html?x=1", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/src/main.js", "text/javascript; charset=utf-8"),
        ("/vendor/wasm/litert_wasm_compat_internal.wasm.gz", "application/octet-stream"),
        ("/bundles/index.json", "application/json"),
        ("/bundles/0/model.json", "application/json"),
        ("/bundles/0/model.tflite", "application/octet-stream"),
    ],
)
def test_what_belongs_to_the_page_is_served_with_its_type(ask, address, kind):
    response, body = ask(address)
    assert response.status == 200 and response.getheader("Content-Type") == kind
    assert response.getheader("Cross-Origin-Opener-Policy") == "same-origin"
    head, nothing = ask(address, "HEAD")
    assert head.getheader("Content-Length") == str(len(body)) and nothing == b""


@pytest.mark.parametrize(
    "address",
    [
        "/../../../etc/passwd",
        "/src/../../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/src/..\\..\\package.json",
        "/src/%00main.js",
        "//[",
        "/bundles/0/../../check.sh",
        "/bundles/",
        "/package.json",
        "/node_modules/@litertjs/core/package.json",
    ],
)
def test_nothing_else_is_served(ask, address):
    assert ask(address)[0].status == 404


def test_it_answers_this_computer_only(ask):
    assert ask.server.server_address[0] == "127.0.0.1"
    assert ask("/", Host="localhost:1")[0].status == 200
    assert ask("/", Host="elsewhere.example")[0].status == 421
    assert ask("/", "POST")[0].status == 501


def test_a_bundle_is_read_anew_and_may_be_gone(ask, tmp_path):
    (tmp_path / "bundle" / "model.tflite").write_bytes(b"new")
    assert ask("/bundles/0/model.tflite")[1] == b"new"
    (tmp_path / "bundle" / "model.tflite").unlink()
    assert ask("/bundles/0/model.tflite")[0].status == 404


def test_the_static_files_are_those_that_are_served(web, tmp_path):
    table = serve.page() | serve.bundles([write_bundle(tmp_path / "bundle")])
    serve.write(table, tmp_path / "site")
    written = {
        str(file.relative_to(tmp_path / "site"))
        for file in (tmp_path / "site").rglob("*")
        if file.is_file()
    }
    assert written == set(table)
    assert (tmp_path / "site/bundles/0/model.tflite").read_bytes() == MODEL
    with pytest.raises(InputError, match="is not empty"):
        serve.write(table, tmp_path / "site")
    with pytest.raises(InputError, match="cannot be written"):
        serve.write(table, tmp_path / "bundle" / "model.tflite")


def test_what_is_kept_offline_is_everything_and_changes_with_anything(web, tmp_path):
    table = serve.page() | serve.bundles([write_bundle(tmp_path / "bundle")])

    def kept():
        worker = serve.offline(table)["sw.js"].decode()
        version = re.search('VERSION = "([0-9a-f]{16})"', worker)[1]
        return version, set(json.loads(re.search(r"FILES = (\[.*?\]);", worker, re.DOTALL)[1]))

    before, files = kept()
    assert files == set(table)
    assert b"data-offline" in serve.offline(table)["index.html"]
    assert b"data-offline" not in (web / "index.html").read_bytes()
    assert kept() == (before, files)
    (web / "src/main.js").write_text("")
    assert kept()[0] != before


@pytest.mark.parametrize(
    ("host", "asked", "status"),
    [
        (["127.0.0.1"], "LOCALHOST:1", 200),
        (["127.0.0.1"], "[::1]:1", 200),
        (["127.0.0.1"], "127.0.0.1.evil.example", 421),
        (["127.0.0.1"], "box.example", 421),
        (["127.0.0.1"], "", 421),
        (["127.0.0.1", "Box.example"], "box.example:1", 200),
        (["127.0.0.1", "Box.example"], "localhost", 200),
        (["0.0.0.0", "192.0.2.7"], "192.0.2.7:1", 200),
        (["0.0.0.0", "192.0.2.7"], "192.0.2.8", 421),
    ],
)
def test_it_answers_to_the_names_that_were_given(host, asked, status):
    assert _asked_once(host, asked) == status


def _asked_once(host, asked):
    with serve.listen({"index.html": b"page"}, 0, *host) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        address = host[0].replace("0.0.0.0", "127.0.0.1")
        connection = http.client.HTTPConnection(address, server.server_port)
        connection.request("GET", "/", headers={"Host": asked})
        status = connection.getresponse().status
        connection.close()
        thread.join()
    return status


def test_it_listens_at_ipv6_too():
    assert server_lib.url("::1", 80) == "http://[::1]:80/"
    assert server_lib.url("::", 80) == server_lib.url("0.0.0.0", 80) == "http://127.0.0.1:80/"
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert _asked_once(["::1"], "[::1]:1") == 200


@pytest.mark.parametrize(
    ("host", "message"),
    [
        (["box.example:80"], "takes addresses and names without a port"),
        (["127.0.0.1", "a b"], "--host has 'a b'"),
        ([""], "--host has ''"),
        (["192.0.2.7"], "--host=192.0.2.7 is no address of this computer"),
        (["nowhere.invalid"], "--host=nowhere.invalid is no address of this computer"),
    ],
)
def test_what_is_no_host_is_one_line(host, message):
    with pytest.raises(InputError) as error:
        serve.listen({}, 0, *host)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_half_a_request_is_given_up_and_who_is_gone_is_no_news(ask, monkeypatch, capfd):
    monkeypatch.setattr(ask.server.RequestHandlerClass, "timeout", 0.1)
    with socket.create_connection(ask.server.server_address) as half:
        half.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        half.settimeout(5)
        assert half.recv(1) == b""  # closed by the server
    for _ in range(3):
        with socket.create_connection(ask.server.server_address) as gone:
            gone.sendall(b"GET /src/main.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ask("/")[0].status == 200
    assert capfd.readouterr() == ("", "")


def test_a_link_or_pipe_put_in_later_is_not_read(ask, tmp_path):
    secret, model = tmp_path / "secret", tmp_path / "bundle" / "model.tflite"
    secret.write_bytes(b"secret")
    model.unlink()
    model.symlink_to(secret)
    assert ask("/bundles/0/model.tflite")[0].status == 404
    model.unlink()
    os.mkfifo(model)
    assert ask("/bundles/0/model.tflite")[0].status == 404
    (tmp_path / "bundle").rename(tmp_path / "elsewhere")
    (tmp_path / "bundle").symlink_to(tmp_path / "elsewhere")
    assert ask("/bundles/0/model.json")[0].status == 404


def test_a_link_that_is_there_is_followed(tmp_path):
    directory = write_bundle(tmp_path / "bundle")
    (directory / "model.tflite").rename(tmp_path / "stored")
    (directory / "model.tflite").symlink_to(tmp_path / "stored")
    table = serve.bundles(serve.find([str(directory)]))
    assert serve.content(table["bundles/0/model.tflite"]) == MODEL


@pytest.mark.parametrize("name", ["model.json", "model.tflite"])
def test_a_pipe_or_device_is_no_bundle(tmp_path, name):
    directory = write_bundle(tmp_path / "bundle")
    (directory / name).unlink()
    os.mkfifo(directory / name)
    with pytest.raises(InputError, match=f"{name} cannot be read: it is no file"):
        serve.bundles([directory])
    (directory / name).unlink()
    (directory / name).symlink_to("/dev/zero")
    with pytest.raises(InputError, match=f"{name} cannot be read: it is no file"):
        serve.bundles([directory])


def test_folders_that_are_hidden_are_no_bundles(tmp_path):
    write_bundle(tmp_path / ".run" / "export" / ".float32-part")
    write_bundle(tmp_path / ".run" / "export" / "int8")
    assert serve.find([str(tmp_path / ".run")]) == [tmp_path / ".run" / "export" / "int8"]


def test_a_port_in_use_is_one_line(ask):
    port = ask.server.server_port
    with pytest.raises(InputError, match=f"port {port} cannot be used .*--port={port + 1}"):
        serve.listen({}, port)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name a run or a bundle"),
        (("nowhere",), "no model.json in nowhere"),
        (("nowhere", "--port=99999"), "port"),
        (("nowhere", "--prot=1"), "prot"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_code_2(python, arguments, message):
    result = python("-m", "distill.serve", *arguments)
    lines = result.stderr.splitlines()
    assert result.returncode == 2 and len(lines) == 1, lines
    assert message in lines[0] and lines[0].startswith("error: ")
