"""The server and its answers to friendly and hostile clients."""

import asyncio
import http.client
import json
import random
import re
import socket
import subprocess
import sys

import pytest
from dashboard_runs import event, get, make_run, rows, served
from dashboard_sweeps import make_sweep
from hanging import HANGS_AFTER_SECONDS

from frankrl.cli.main import main as frank
from frankrl.core.errors import SettingError
from frankrl.dashboard.app import make_app
from frankrl.dashboard.guard import Guard, local_names

SECRET = "what nobody may read"


def test_the_page_and_all_that_it_is_made_of_is_served(port):
    status, headers, page = get(port, "/")
    assert status == 200
    for name in re.findall(rb'(?:src|href)="(page/[^"]+)"', page):
        status, _, content = get(port, f"/{name.decode()}")
        assert status == 200, name
        for imported in re.findall(rb'from "\./([^"]+)"', content) if name.endswith(b".js") else []:
            assert get(port, f"/page/{imported.decode()}")[0] == 200, imported
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"


def test_no_file_of_the_page_names_another_server(port):
    for name in (
        "",
        *(f"page/{n}.js" for n in ("main", "learning", "watch", "update", "sweep", "jobs", "dom")),
    ):
        content = get(port, f"/{name}")[2].decode()
        addresses = set(re.findall(r"https?://[^\"' )]+", content))
        assert addresses <= {"http://www.w3.org/2000/svg"}, name


def test_a_sweep_is_served_by_its_id_only(tmp_path):
    make_sweep(tmp_path / "sweep", made=3)
    with served(tmp_path) as port:
        (sweep,) = event(port)["sweeps"]
        status, headers, content = get(port, f"/sweep/{sweep['id']}")
        assert (status, headers["content-type"]) == (200, "application/json")
        assert [trial["number"] for trial in json.loads(content)["trials"]] == [0, 1, 2]
        for wrong in ("sweep", "..%2fsweep", "0" * 12):
            status, _, content = get(port, f"/sweep/{wrong}")
            assert status == 404, wrong
            assert SECRET.encode() not in content
        status, _, content = get(port, "/jobs")
        assert (status, json.loads(content)) == (200, {"jobs": [], "limit": 0})


def hostile_paths(count):
    """Paths that try to leave a folder, in many encodings."""
    random_number = random.Random(0)
    up = [
        "..",
        "%2e%2e",
        "%2E%2e",
        "..%2f",
        "%2e%2e%2f",
        "..\\",
        "..%5c",
        "%252e%252e",
        "....//",
        ".",
    ]
    ends = [
        *("config.toml", "metrics.sqlite", "secret.txt", ".lock", "etc/passwd", "app.py"),
        *("checkpoints", "state.json", "%00", "index.html%00.js", "proc/self/environ"),
    ]
    begins = [
        *(
            "",
            "page/",
            "curves/",
            "sweep/",
            "jobs/",
            "warnings/",
            "episode/",
            "update/",
            "diagnostics/",
            "pieces/",
        ),
        *("pieces/0000000000000000/", "events/", "static/", "page//", "//", "page/%2f"),
    ]
    made = set()
    while len(made) < count:
        depth = random_number.randrange(1, 6)
        middle = "/".join(random_number.choice(up) for _ in range(depth))
        made.add(f"/{random_number.choice(begins)}{middle}/{random_number.choice(ends)}")
    return sorted(made)


def test_a_thousand_hostile_paths_lead_nowhere(root, port):
    (root / "secret.txt").write_text(SECRET)
    (root.parent / "secret.txt").write_text(SECRET)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANGS_AFTER_SECONDS)
    for path in hostile_paths(1_000):
        connection.putrequest("GET", path, skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status in (400, 404), (path, answer.status)
        assert len(content) < 200, path
        assert SECRET.encode() not in content
    connection.close()


def test_runs_have_numbers_that_are_no_paths(root, port):
    served_rows = rows(port)
    assert len(served_rows) == 2
    assert all(re.fullmatch(r"[0-9a-f]{12}", row["id"]) for row in served_rows)
    text = json.dumps(served_rows)
    assert str(root) not in text


@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:{port}",
            "127.0.0.1",
            "127.0.0.1:1",
            "localhost.evil:{port}",
        ),
        *(
            "127.0.0.1.evil.example:{port}",
            "0.0.0.0:{port}",
            "[::]:{port}",
            "",
            "127.0.0.1:{port}:{port}",
        ),
        *("[127.0.0.1]:{port}", "user@127.0.0.1:{port}", "2130706433:{port}"),
    ],
)
def test_a_foreign_host_is_refused(port, host):
    for path in ("/", "/events", "/page/main.js", "/curves?runs=x"):
        assert get(port, path, Host=host.format(port=port))[0] in (400, 421), path


def test_a_request_without_a_host_or_with_two_is_refused(port):
    assert get(port, "/", Host=None)[0] in (400, 421)
    with socket.create_connection(("127.0.0.1", port), timeout=HANGS_AFTER_SECONDS) as raw:
        own = f"127.0.0.1:{port}"
        raw.sendall(f"GET / HTTP/1.1\r\nHost: {own}\r\nHost: evil.example\r\n\r\n".encode())
        assert raw.recv(20).split()[1] in (b"400", b"421")


@pytest.mark.parametrize(
    "origin",
    [
        *("http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1"),
        *(
            "http://127.0.0.1",
            "http://localhost:{port}",
            "file://",
            "",
            "http://127.0.0.1:{port}.evil",
        ),
    ],
)
def test_a_foreign_origin_is_refused(port, origin):
    for path in ("/", "/events", "/curves?runs=x"):
        assert get(port, path, Origin=origin.format(port=port))[0] == 403, path


def test_its_own_names_and_origin_are_let_in(port):
    assert get(port, "/", Host=f"localhost:{port}")[0] == 200
    assert get(port, "/", Origin=f"http://127.0.0.1:{port}")[0] == 200
    assert get(port, "/events", **{"Sec-Fetch-Site": "cross-site"})[0] == 403
    visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert get(port, "/", **visit)[0] == 200


@pytest.mark.parametrize(
    "method", ["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "FRANK"]
)
def test_only_get_is_answered(port, method):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANGS_AFTER_SECONDS)
    connection.request(method, "/curves?runs=x")
    assert connection.getresponse().status in (400, 405)
    connection.close()


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("/curves", 400, "name at least one run"),
        ("/curves?runs=0123456789ab", 404, "no such run"),
        ("/curves?runs=" + ",".join("x" * 30), 400, "at most 24 runs"),
        ("/curves?runs={run}&x=money", 400, "x must be one of env_steps, updates, seconds"),
        ("/episode/{run}?seed=-1", 400, "seed must be a whole number"),
        ("/episode/{run}?seed=1e3", 400, "seed must be a whole number"),
        ("/episode/{run}?seed=99999999999999999999", 400, "seed must be a whole number"),
        ("/update/{run}?number=%27", 400, "number must be a whole number"),
        ("/update/nowhere?number=1", 404, "no such run"),
        ("/pieces/0123456789abcdef/0", 404, "no longer kept"),
        ("/page/nothing.js", 404, "no such file"),
    ],
)
def test_a_mistake_is_answered_with_a_sentence(port, path, status, sentence):
    run = rows(port)[0]["id"]
    answered, _, body = get(port, path.format(run=run))
    assert answered == status
    assert sentence in json.loads(body)["error"]


def test_at_any_other_address_a_token_is_demanded(tmp_path):
    make_run(tmp_path / "run")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "frankrl", "dashboard", str(tmp_path)),
            *("--port", "0", "--host", "0.0.0.0"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        line = process.stdout.readline()
        host, port, token = re.match(r"http://([\d.]+):(\d+)/\?token=(\S{32})$", line).groups()
        port, cookie = int(port), f"frank-dashboard-{port}"
        assert host != "0.0.0.0"
        for path in ("/", "/events", "/page/main.js", "/?token=guess", "/?token="):
            assert get(port, path)[0] == 401, path
        assert get(port, "/", Cookie=f"{cookie}=guess")[0] == 401
        assert get(port, "/", Cookie=f"frank-dashboard-1={token}")[0] == 401
        for host in ("evil.example", f"evil.example:{port}", f"192.0.2.7:{port}"):
            assert get(port, "/", Host=host, Cookie=f"{cookie}={token}")[0] == 421
        status, headers, _ = get(port, f"/?token={token}")
        assert (status, headers["location"]) == (303, "/")
        cookie, *flags = headers["set-cookie"].split("; ")
        assert {"HttpOnly", "SameSite=Lax"} <= set(flags)
        assert get(port, "/", Cookie=cookie)[0] == 200
        visit = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert get(port, "/", Cookie=cookie, **visit)[0] == 200
        # Whatever address of this machine it is asked at: that of the connection itself.
        with socket.create_connection(("127.0.0.2", port), timeout=HANGS_AFTER_SECONDS) as raw:
            asked = f"GET / HTTP/1.1\r\nHost: 127.0.0.2:{port}\r\nCookie: {cookie}\r\n\r\n"
            raw.sendall(asked.encode())
            assert raw.recv(15) == b"HTTP/1.1 200 OK"
        assert get(port, "/page/main.js", Authorization=f"Bearer {token}")[0] == 200
    finally:
        process.terminate()
        process.communicate()


def test_names_of_an_address():
    assert local_names("127.0.0.1") == {"127.0.0.1", "localhost", "[::1]"}
    assert local_names("192.0.2.7") == {"192.0.2.7", socket.gethostname().lower()}
    assert "0.0.0.0" not in local_names("0.0.0.0")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("[::1]", 200),
        ("[::1]:80", 200),
        ("localhost", 200),
        ("[::1]:81", 421),
        ("[fe80::1]", 421),
        ("::1", 421),
    ],
)
def test_an_address_without_a_port_means_80(host, status):
    async def ask():
        answered = []

        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def send(message):
            answered.append(message.get("status"))

        async def receive():
            return {"type": "http.request"}

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/",
            "query_string": b"",
            "headers": [(b"host", host.encode())],
            "server": ("::1", 80),
        }
        await Guard(app, port=80, names=local_names("::1"))(scope, receive, send)
        return answered[0]

    assert asyncio.run(ask()) == status


def test_a_port_that_is_taken_gives_an_error(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert frank(["dashboard", str(tmp_path), "--port", str(port)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"frank: port {port} is taken")
    assert "--port 0" in line


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nowhere"], "there is no folder nowhere"),
        (["--port", "70000"], "--port must be from 0 to 65535, got 70000"),
        (["--host", "frank.example"], "--host must be an IP address"),
        (["--host", "192.0.2.1"], "cannot listen at 192.0.2.1"),
    ],
)
def test_mistakes_on_the_command_line(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert frank(["dashboard", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert sentence in line


@pytest.mark.parametrize("words", [["dashboard"], ["train", "CartPole-v1", "--dashboard"]])
@pytest.mark.parametrize("package", ["starlette", "uvicorn", "plotly"])
def test_without_the_extra_the_error_says_what_to_install(
    words, package, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    assert frank(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{package!r}" in line
    assert 'pip install "frankrl[dashboard]"' in line
    assert list(tmp_path.iterdir()) == []


def test_nothing_of_the_extra_is_imported_before_it_is_needed():
    code = (
        "import sys; from frankrl.cli.main import main; main(['--help']); "
        "import frankrl.cli.dashboard, frankrl.cli.train; "
        "print(sorted({'starlette', 'uvicorn', 'plotly'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_empty_folder_is_shown_and_ctrl_c_ends_quietly(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with served("runs") as port:
        assert get(port, "/")[0] == 200
        assert rows(port) == []


def test_listening_and_errors_are_of_one_kind():
    from frankrl.dashboard.serving import listen

    with pytest.raises(SettingError, match="IP address"):
        listen("", 0)


def test_a_page_beyond_the_limit_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("frankrl.dashboard.app.MAX_STREAMS", 0)

    async def ask():
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request"}

        scope = {
            "type": "http",
            "method": "GET",
            "path": "/events",
            "raw_path": b"/events",
            "query_string": b"",
            "headers": [],
            "root_path": "",
        }
        await make_app(tmp_path)(scope, receive, send)
        return sent

    start, body = asyncio.run(ask())
    assert start["status"] == 503
    assert "close one of them" in json.loads(body["body"])["error"]
