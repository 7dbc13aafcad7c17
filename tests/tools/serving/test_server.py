"""`python -m tools.serve` over HTTP: the contract, and what it defends against (docs/serve.md#defences)."""

import hashlib
import json
import os
import re
import resource
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from detector.base.errors import UserError
from tests.support import finder, serving, stage
from tests.support.serving import Served
from tests.support.stage import REPOSITORY
from tests.tools.serving.test_pool import FOUND, encoded, photo
from tools import serve
from tools.cloud import lineage
from tools.serving import snapshots
from tools.serving.guard import Rates, Refusal

TOKEN = "0123456789abcdef0123"  # noqa: S105
DIGITS = r"[0-9a-f]{64}"


def project(root: Path) -> Path:
    """A project whose model finds red and white rectangles; dvc.lock names it."""
    finder.save(root / "model/export")
    record = {"score_threshold": 0.4, "metrics": {"AP": 0.5}, "classes": {"1": "red", "2": "white"}}
    (root / "model/export/model.json").write_text(json.dumps(record))
    shutil.copy(REPOSITORY / "params.yaml", root)
    exported = root / "model/export"
    names = sorted(path.relative_to(exported).as_posix() for path in exported.rglob("*") if path.is_file())
    listed = [{"md5": md5((exported / name).read_bytes()), "relpath": name} for name in names]
    digest = md5(json.dumps(listed).encode())
    write_lock(root, f"export: {{cmd: x, outs: [{{path: model/export, md5: {digest}.dir}}]}}")
    return root


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def write_lock(root: Path, stages: str) -> None:
    (root / "dvc.lock").write_text(f"schema: '2.0'\nstages: {{{stages}}}\n")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))  # what it starts with; it asks for more
    try:
        with serving.served(project(tmp_path_factory.mktemp("served"))) as one:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            yield one
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One with a token, which answers 10 requests from one address at once and then 5 a second; in bfloat16."""
    root = project(tmp_path_factory.mktemp("guarded"))
    settings = (root / "params.yaml").read_text()
    (root / "params.yaml").write_text(settings.replace("precision: float32", "precision: bfloat16"))
    with serving.served(
        root, "--model=model/export", "--rate=5", "--threshold=0.9", "--name=detector.example", PASSO_TOKEN=TOKEN
    ) as one:
        yield one


@serving.needed
def test_a_precision_that_it_does_not_have_is_said(guarded: Served) -> None:
    assert "bfloat16 needs OpenVINO, which the server does not have: float32 instead" in guarded.log()


# The contract.


@serving.needed
def test_a_photo_gives_its_detections(server: Served) -> None:
    answer = server.detect(photo())
    assert answer.status == 200, answer.body
    assert {name: answer.json[name] for name in FOUND} == FOUND
    assert answer.json["threshold"] == 0.4
    assert re.fullmatch(DIGITS, answer.json["model"])
    assert set(answer.json["seconds"]) == {"waiting", "detecting"}
    assert answer.headers["content-type"] == "application/json"


@serving.needed
def test_threshold_and_classes(server: Served) -> None:
    half = Image.new("RGB", (80, 40))
    half.paste((255, 0, 0), (0, 0, 20, 20))
    half.paste((0, 0, 0), (5, 5, 15, 15))  # 300 of 400 pixels are red
    for query, expected in (
        ("?threshold=0.75", ["red"]),
        ("?threshold=0.76", []),
        ("?threshold=0&class=red&class=white", ["red", "white"]),
        ("?threshold=0&class=white", ["white"]),
    ):
        assert [one["class"] for one in server.detect(encoded(half), query).json["detections"]] == expected


@serving.needed
def test_the_orientation_of_exif_is_applied(server: Served) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    answer = server.detect(encoded(Image.new("RGB", (80, 40)), "JPEG", exif=exif))
    assert (answer.json["width"], answer.json["height"]) == (40, 80)


@serving.needed
def test_the_model_says_what_it_is(server: Served) -> None:
    about = server.ask("GET", "/v1/model").json
    assert about["classes"] == [{"id": 1, "name": "red"}, {"id": 2, "name": "white"}]
    assert (about["threshold"], about["record"]["metrics"]) == (0.4, {"AP": 0.5})
    assert about["model"] == server.detect(photo()).json["model"]


@serving.needed
def test_health_and_metrics(server: Served) -> None:
    assert server.ask("GET", "/health").json == {"status": "ok"}
    server.detect(photo(), "?class=red")
    server.ask("GET", "/no/such/" + "x" * 99)
    text = server.ask("GET", "/metrics").body.decode()
    for line in (
        r'passo_requests_total{method="POST",route="/v1/detect",status="200"} [1-9]',
        r'passo_requests_total{method="GET",route="other",status="404"} [1-9]',
        r'passo_request_seconds_bucket{le="10.0",route="/v1/detect"} [1-9]',
        r'passo_detections_total{class="red"} [1-9]',
        r"passo_photos_waiting 0.0",
        r"passo_workers_alive 1.0",
    ):
        assert re.search(f"(?m)^{line}", text), line
    assert "xxx" not in text


@serving.needed
def test_the_contract_is_openapi_with_examples(server: Served) -> None:
    described = server.ask("GET", "/openapi.json").json
    assert described["openapi"].startswith("3.")
    assert set(described["paths"]) == {"/v1/detect", "/v1/model", "/health", "/metrics"}
    detect = described["paths"]["/v1/detect"]["post"]
    assert set(detect["requestBody"]["content"]) == {"image/*", "application/octet-stream"}
    assert {one["name"] for one in detect["parameters"]} == {"threshold", "class"}
    assert {*map(int, detect["responses"])} == {200, 400, 401, 403, 408, 413, 415, 421, 422, 429, 431, 500, 501, 503}
    example = detect["responses"]["200"]["content"]["application/json"]["example"]
    assert set(example) == set(server.detect(photo()).json)
    assert all(answer["content"]["application/json"]["example"] for answer in detect["responses"].values())
    for path, asked in described["paths"].items():
        (about,) = asked.values()
        assert about.get("security", []) == ([] if path == "/health" else [{"token": []}, {}]), path
        for status, answer in about["responses"].items():
            (kind,) = answer["content"].values()
            assert kind["schema"] and (status == "200" or "Error" in str(kind["schema"])), (path, status)
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    for page in ("/docs", "/redoc"):  # they would load scripts from elsewhere
        assert server.ask("GET", page).status == 404


# Mistakes, and attacks.


@serving.needed
@pytest.mark.parametrize(
    ("query", "content", "headers", "status", "words"),
    [
        ("", b"", {}, 400, "the photo is empty: no byte of it came"),
        ("?threshold=2", b"x", {}, 422, "threshold: Input should be less than or equal to 1"),
        ("?threshold=nan", b"x", {}, 422, "threshold: "),
        ("?class=bird", b"x", {}, 400, "class: there is no bird; there are red, white"),
        ("?class=%1b[31m%0a", b"x", {}, 400, r"class: there is no \x1b[31m"),
        ("", b"x", {"Content_Type": "text/plain"}, 415, "send a photo's bytes, with Content-Type: image/jpeg"),
        ("", b"x", {"Content_Type": "multipart/form-data; boundary=x"}, 415, "send a photo's bytes"),
        ("", b"x", {"Content_Encoding": "gzip"}, 415, "send the photo without Content-Encoding"),
        ("", b"no picture", {}, 422, "photo: is not an image that can be read; "),
        ("", encoded(Image.new("1", (5000, 5000))), {}, 422, "photo: is too large: 5000x5000 pixels"),
        ("", encoded(Image.new("I;16", (8, 8))), {}, 422, "photo: has more than 8 bits a value"),
        ("", b"x", {"Host": "evil.example"}, 421, "this host name is not served here"),
        ("", b"x", {"Origin": "http://evil.example"}, 403, "pages of other sites may not ask this server"),
    ],
)
def test_a_mistake_is_one_line(
    server: Served, query: str, content: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    answer = server.detect(content, query, **headers)
    assert (answer.status, answer.json["error"][: len(words)]) == (status, words)
    assert set(answer.json) == {"error"}
    assert not re.search(r"/|\\n|Traceback|File", answer.json["error"].replace("image/jpeg", ""))
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in answer.headers


@serving.needed
def test_other_paths_and_methods_are_one_line_too(server: Served) -> None:
    assert server.ask("GET", "/..%2f..%2fetc/passwd").json == {"error": "Not Found"}
    answer = server.ask("DELETE", "/v1/model")
    assert (answer.status, answer.json) == (405, {"error": "Method Not Allowed"})


@serving.needed
def test_nothing_that_a_client_names_is_opened(server: Served, tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.2)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/cat.jpg"
    (tmp_path / "cat.png").write_bytes(photo())
    for name in (url, str(tmp_path / "cat.png"), f"file://{tmp_path}/cat.png"):
        assert server.detect(name.encode()).status == 422
        assert server.detect(b"", f"?image={name}&url={name}&path={name}").status == 400
    with pytest.raises(TimeoutError):
        listener.accept()
    listener.close()


@serving.needed
def test_a_body_that_is_too_large_is_refused_before_it_is_sent(server: Served) -> None:
    head = b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n"
    answer = server.raw(head + b"Content-Length: 20000001\r\nExpect: 100-continue\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ") and b"connection: close" in answer
    assert b"100 Continue" not in answer
    chunk = b"%x\r\n%s\r\n" % (10_500_000, bytes(10_500_000))
    assert b" 413 " in server.raw(head + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + chunk + b"0\r\n\r\n")[:20]


@serving.needed
def test_long_headers_are_refused(server: Served) -> None:
    head = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX: "
    assert server.raw(head + b"x" * 20_000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    assert server.raw(head + b"x" * 17_000).startswith(b"HTTP/1.1 431 ")  # with no end
    assert server.raw(head + b"x" * 100_000)[:13] in (b"HTTP/1.1 431 ", b"")


@serving.needed
@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\n\r\n", 400),
        (b"GET /health HTTP/1.1\r\nHost: localhost\r\nno header\r\n\r\n", 400),
        (b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400),
        (b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n", 400),
        (b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(40), 400),
    ],
)
def test_a_broken_request_gets_one_line_and_ends_its_connection(server: Served, content: bytes, status: int) -> None:
    head, _, body = server.raw(content).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status) and b"\r\nx-content-type-options: nosniff\r\n" in head
    assert set(json.loads(body)) == {"error"}
    assert server.ask("GET", "/health").status == 200


@serving.needed
def test_a_broken_request_is_in_the_log_and_counted(server: Served) -> None:
    assert server.raw(b"GET /secret HTTP/1.1\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert "127.0.0.1 - - 400 0.000 s\n" in server.log() and "secret" not in server.log()
    counted = r'(?m)^passo_requests_total{method="other",route="other",status="400"} [1-9]'
    assert re.search(counted, server.ask("GET", "/metrics").body.decode())


@serving.needed
def test_a_broken_body_ends_its_connection_alone(server: Served) -> None:
    head = b"POST /v1/detect HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
        client.sendall(head)
        assert client.recv(13) == b"HTTP/1.1 421 "
        client.sendall(b"no chunk\r\n")
        assert b"HTTP/1.1" not in b"".join(iter(lambda: client.recv(65536), b""))
    content = b"HEAD /v1/model HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n"
    assert server.raw(content).endswith(b"\r\n\r\n")  # an answer to HEAD has no body
    assert "Fatal" not in server.log() and "Invalid HTTP" not in server.log()


@serving.needed
@pytest.mark.long
def test_slow_clients_are_given_up(server: Served) -> None:
    """One that says nothing, one whose headers do not end, one whose body does not."""
    slow = [
        b"",
        b"GET /health HTTP/1.1\r\nX: ",
        b"POST /v1/detect HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n1",
    ]
    started = time.monotonic()
    clients = [socket.create_connection(("127.0.0.1", server.port), timeout=30) for _ in slow]
    for client, content in zip(clients, slow, strict=True):
        client.sendall(content)
    answers = []
    for client in clients:
        try:
            answers.append(client.recv(20))
        except ConnectionResetError:
            answers.append(b"")
    assert answers == [b"", b"", b"HTTP/1.1 408 Request"]
    assert 9 < time.monotonic() - started < 20
    assert server.ask("GET", "/health").status == 200


@serving.needed
@pytest.mark.long
def test_who_takes_no_answers_holds_no_request(tmp_path: Path) -> None:
    asked = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving.served(project(tmp_path), "--rate=0") as server, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(30)
        client.connect(("127.0.0.1", server.port))
        with pytest.raises(ConnectionError):  # the server's doing, once answers find no room on their way
            for _ in range(1000):
                client.sendall(asked * 1000)
        end = time.monotonic() + 5
        while not re.search(r"GET /openapi\.json 200 (9|1\d)\.", server.log()):  # the seconds of the one that waited
            assert time.monotonic() < end, server.log()[-300:]
            time.sleep(0.05)


def opened(server: Served, address: str, count: int) -> list[socket.socket]:
    place = ("127.0.0.1", server.port)
    return [socket.create_connection(place, timeout=30, source_address=(address, 0)) for _ in range(count)]


def open_still(clients: list[socket.socket]) -> int:
    """How many the server has not closed, nor said anything on."""
    found = 0
    for client in clients:
        client.setblocking(False)
        try:
            client.recv(1)
        except BlockingIOError:
            found += 1
        except ConnectionResetError:
            pass
    return found


@serving.needed
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have 127.0.0.1 alone")
def test_idle_connections_leave_room_for_others(server: Served) -> None:
    """More of them than the files that the server could open as it was started."""
    clients = opened(server, "127.0.0.2", 260)
    assert server.ask("GET", "/health").status == 200  # of another address
    assert open_still(clients) == 250
    others = [*opened(server, "127.0.0.3", 250), *opened(server, "127.0.0.4", 150)]
    end = time.monotonic() + 5
    while open_still(clients + others) > 600:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert open_still(clients + others) >= 599  # the one that asked may be on its way out
    for client in clients + others:
        client.close()
    time.sleep(0.1)
    assert server.ask("GET", "/health").status == 200
    assert "system resource" not in server.log() and "Traceback" not in server.log()


@serving.needed
def test_a_token_and_a_rate(guarded: Served) -> None:
    own = {"Authorization": f"Bearer {TOKEN}", "Host": "detector.example"}
    assert guarded.detect(photo(), **own).json["threshold"] == 0.9
    for wrong in ({}, {"Authorization": f"Bearer {TOKEN}0"}, {"Authorization": f"Bearer {TOKEN[:-1]}"}):
        answer = guarded.detect(photo(), f"?token={TOKEN}", **wrong)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert guarded.ask("GET", "/health").status == 200
    answers = [guarded.ask("GET", "/health") for _ in range(20)]
    assert {answer.status for answer in answers} == {200, 429}
    assert answers[-1].headers["retry-after"] == "1"


@serving.needed
def test_logs_have_neither_queries_nor_tokens_nor_control_characters(guarded: Served) -> None:
    time.sleep(1)  # the test before has used up the rate
    guarded.ask("GET", "/%1b[31m%0aerror:?secret=1", Authorization=f"Bearer {TOKEN}")
    line, end = "127.0.0.1 GET /\\x1b[31m\\nerror: 404 ", time.monotonic() + 10
    while line not in (log := guarded.log()):  # it comes after the answer
        assert time.monotonic() < end, log
        time.sleep(0.05)
    assert "secret" not in log and TOKEN[:8] not in log and "\x1b" not in log
    assert "Traceback" not in log


@serving.needed
def test_a_model_that_changes_under_the_server_changes_nothing(server: Served) -> None:
    before = server.detect(photo()).json["model"]
    (server.output.parent / "model/export/model.onnx").write_bytes(b"another")
    copies = list(server.output.parent.glob("passo-*"))
    assert [path.stat().st_mode & 0o777 for path in copies] == [0o700]
    (worker,) = children(server.process.pid)
    os.kill(worker, signal.SIGKILL)
    time.sleep(0.1)
    assert server.detect(photo()).json["model"] == before  # of a new worker


@serving.needed
def test_sigterm_ends_it_cleanly(server: Served) -> None:
    """The last one to use that server."""
    root, workers = server.output.parent, children(server.process.pid)
    assert server.stop() == 0
    assert not list(root.glob("passo-*"))
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert "Traceback" not in server.log() and "Error" not in server.log()


@serving.needed
def test_a_terminal_that_is_closed_ends_it_cleanly(guarded: Served) -> None:
    """The last one to use that server."""
    root, workers = guarded.output.parent, children(guarded.process.pid)
    assert guarded.stop(signal.SIGHUP) == 0
    assert not list(root.glob("passo-*"))
    assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]
    assert "Traceback" not in guarded.log()


def test_a_name_and_a_token_are_enough() -> None:  # `guarded` is started so
    serve.check_token("127.0.0.1", TOKEN, ["detector.example"])
    serve.check_token("localhost", "")
    serve.check_token("::1", "")


def test_a_slow_rate_lets_the_first_request_through() -> None:
    limits = serve.limits_of(0.1)
    rates = Rates(limits.rate, limits.burst)
    rates.check("10.0.0.1", now=0)
    with pytest.raises(Refusal) as caught:
        rates.check("10.0.0.1", now=1)
    assert caught.value.retry == pytest.approx(9)
    rates.check("10.0.0.1", now=10)


def children(pid: int) -> list[int]:
    """The workers of a server. (The other process that it has looks after semaphores.)"""
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(one) for one in found if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]


# What is refused before anything is loaded.


@pytest.mark.parametrize(
    ("arguments", "token", "words"),
    [
        (["--host=0.0.0.0"], "", "0.0.0.0: other machines could ask, and PASSO_TOKEN holds no token; make one"),
        (["--host=192.168.1.5"], "", "192.168.1.5: other machines could ask"),
        (["--host=::"], "", "::: other machines could ask"),
        (["--name=detector.example"], "", "detector.example: other machines could ask"),
        (["--name=detector.example"], "short", "PASSO_TOKEN: is no token of 16 letters or more"),
        ([], "short", "PASSO_TOKEN: is no token of 16 letters or more"),
        ([], "with spaces in it, long enough", "PASSO_TOKEN: is no token"),
    ],
)
def test_other_addresses_need_a_token(
    arguments: list[str], token: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSO_TOKEN", token)
    done = stage.call(serve.main, tmp_path, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {words}") and done.stderr.count("\n") == 1


@serving.needed
@pytest.mark.long
def test_a_model_that_is_not_what_dvc_lock_names_is_refused(tmp_path: Path) -> None:
    project(tmp_path)
    write_lock(tmp_path, "export: {cmd: x, outs: [{path: model/export, md5: 0123456789abcdef0123456789abcdef.dir}]}")
    refused = "error: model/export: is not what dvc.lock names; run: dvc checkout, or serve it unchecked: MODEL="
    assert started(tmp_path).startswith(refused)
    (tmp_path / "model/export/model.onnx").unlink()
    assert "model/export/model.onnx: no model yet" in started(tmp_path, "--model=model/export")
    shutil.rmtree(tmp_path / "model")
    assert (
        started(tmp_path)
        == "error: model/export: no model there; run: make train (or make pull, for one from before)\n"
    )
    assert started(tmp_path, "--threshold=2").startswith("error: THRESHOLD: 2 is not a score")


def test_a_model_is_served_unchecked_only_where_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project(tmp_path))
    copied = Path("model/export/model.json").read_bytes()
    with snapshots.taken("") as folder:
        assert (folder / "model.json").read_bytes() == copied
    write_lock(tmp_path, "pretrained: {cmd: x}")
    for _ in range(2):  # without that stage, and then without a file
        with pytest.raises(UserError) as caught, snapshots.taken(""):
            pass
        words = "is not in dvc.lock, so it may be any model; serve it unchecked: MODEL=model/export"
        assert caught.value.line() == f"model/export: {words}"
        Path("dvc.lock").unlink(missing_ok=True)
    with snapshots.taken("model/export") as folder:
        assert (folder / "model.json").read_bytes() == copied


def test_what_was_copied_is_compared_and_not_what_came_back_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project(tmp_path))
    (digest,) = [digest for _, digest in lineage.locked()]
    (tmp_path / "copy").mkdir()
    shutil.copy("model/export/model.json", "copy")
    assert lineage.is_what(Path("model/export"), digest, Path("copy"))
    Path("copy/model.json").write_text("{}")
    assert not lineage.is_what(Path("model/export"), digest, Path("copy"))


@serving.needed
@pytest.mark.long
def test_a_port_that_is_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        words = started(project(tmp_path), f"--port={port}")
    assert started(tmp_path, "--port=99999").startswith("error: 127.0.0.1:99999: is no port; give one from 1 to ")
    assert words.startswith(f"error: 127.0.0.1:{port}: cannot listen there: ") and words.count("\n") == 1


def started(root: Path, *arguments: str) -> str:
    """What a server prints that does not start."""
    with pytest.raises(serving.NotStartedError) as caught, serving.served(root, *arguments):
        pass
    return str(caught.value)
