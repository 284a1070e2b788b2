"""A Hub on loopback: the endpoints that `huggingface_hub` uses to push and pull a model.

Its answers have the form of huggingface.co's: errors carry `X-Error-Code`, files an `ETag` and the
commit that they are of, large files are uploaded by the LFS protocol before the commit names them.
"""

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

TOKEN, USER = "hf_of_jane", "jane"
_ID = r"(?P<id>[^/]+/[^/]+)"
_LARGE_BYTES = 10_000
"""Files from this size on go by the LFS protocol."""


class Repository:
    """A model repository: its commits, each with all its files."""

    def __init__(self, private: bool = False) -> None:
        self.private = private
        self.commits: dict[str, dict[str, bytes]] = {}
        self.branches: dict[str, str] = {}
        self.messages: list[str] = []
        self.commit("main", {".gitattributes": b"*.zst filter=lfs\n"}, "initial commit")

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        """Add a commit that holds exactly these files."""
        text = repr((sorted(files.items()), branch, len(self.messages)))
        sha = hashlib.sha1(text.encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.branches[branch] = sha
        self.messages.append(message)
        return sha

    def files(self, branch: str = "main") -> dict[str, bytes]:
        """The files of a branch."""
        return self.commits[self.branches[branch]]


class Hub:
    """What the stub holds, and what it does wrongly on purpose."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        """Contents that were uploaded by the LFS protocol, by SHA-256."""
        self.failing: dict[str, tuple[int, str]] = {}
        """By a part of a request's path: the status and the error code that it gets."""
        self.requests: list[str] = []
        self.gated: set[str] = set()
        self.url = ""


class _Refused(Exception):  # noqa: N818 - an answer, not an error
    def __init__(self, status: int, code: str = "", text: str = "") -> None:
        super().__init__(text)
        self.status, self.code, self.text = status, code, text


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and content leave together, so that nobody waits for an acknowledgement.
    wbufsize = 1 << 16
    hub: Hub

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        try:
            for part, (status, code) in self.hub.failing.items():
                if part in path:
                    raise _Refused(status, code, "as the test wants it")
            for method, pattern, answer in _ROUTES:
                found = re.fullmatch(pattern, path)
                if found and self.command in method:
                    answer(self, **found.groupdict())
                    return
            raise _Refused(404, "", f"no endpoint {path}")
        except _Refused as refused:
            headers = {"X-Error-Message": refused.text}
            if refused.code:
                headers["X-Error-Code"] = refused.code
            self._send(json.dumps({"error": refused.text}).encode(), refused.status, headers)

    do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""

    def _send(
        self, content: bytes = b"{}", status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _json(self, value: Any) -> None:
        self._send(json.dumps(value).encode())

    def _is_known(self) -> bool:
        token = self.headers.get("Authorization")
        if token not in (None, f"Bearer {TOKEN}"):
            raise _Refused(401, "", "Invalid credentials in Authorization header")
        return token is not None

    def _writing(self, id: str) -> Repository:
        if not self._is_known():
            raise _Refused(401, "", "Invalid username or password.")
        if not id.startswith(f"{USER}/"):
            raise _Refused(403, "", f"You don't have the rights to write to {id}")
        return self._repository(id)

    def _repository(self, id: str) -> Repository:
        known = self._is_known()
        repository = self.hub.repositories.get(id)
        if id in self.hub.gated:
            raise _Refused(403, "GatedRepo", "Access to this model is restricted")
        if repository is None or (repository.private and not known):
            raise _Refused(404 if known else 401, "RepoNotFound", "Repository not found")
        return repository

    def _commit_of(self, repository: Repository, rev: str) -> str:
        sha = repository.branches.get(rev, rev)
        if sha not in repository.commits:
            raise _Refused(404, "RevisionNotFound", f"Invalid rev id: {rev}")
        return sha

    def whoami(self) -> None:
        if not self._is_known():
            raise _Refused(401, "", "Invalid credentials in Authorization header")
        self._json({"type": "user", "name": USER, "orgs": []})

    def create(self) -> None:
        asked = json.loads(self.body)
        id = f"{asked['organization']}/{asked['name']}"
        if id in self.hub.repositories:
            self._writing(id)
            body = json.dumps({"url": f"{self.hub.url}/{id}"}).encode()
            self._send(body, 409, {"X-Error-Message": "You already created this model repo"})
            return
        if asked["organization"] != USER:
            raise _Refused(403, "", f"You don't have the rights to create a model under {id}")
        self.hub.repositories[id] = Repository(asked.get("visibility") == "private")
        self._json({"url": f"{self.hub.url}/{id}"})

    def validate(self) -> None:
        head = json.loads(self.body)["content"].split("---\n")
        assert len(head) >= 3, "a card begins with its metadata"
        self._json({"errors": [], "warnings": []})

    def branch(self, id: str, rev: str) -> None:
        repository = self._writing(id)
        if rev in repository.branches:
            raise _Refused(409, "", "Reference already exists")
        repository.branches[rev] = repository.branches["main"]
        self._json({})

    def info(self, id: str, rev: str | None = None) -> None:
        repository = self._repository(id)
        sha = self._commit_of(repository, rev or "main")
        siblings = [
            {"rfilename": name, "size": len(content), "blobId": hashlib.sha1(content).hexdigest()}
            for name, content in repository.commits[sha].items()
        ]
        self._json(
            {
                "id": id,
                "_id": "1",
                "modelId": id,
                "sha": sha,
                "private": repository.private,
                "siblings": siblings,
                "tags": [],
                "downloads": 0,
                "likes": 0,
            }
        )

    def preupload(self, id: str, rev: str) -> None:
        self._commit_of(self._writing(id), rev)
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["size"] >= _LARGE_BYTES else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(self.body)["files"]
        ]
        self._json({"files": files})

    def batch(self, id: str) -> None:
        self._writing(id)
        objects = []
        for object in json.loads(self.body)["objects"]:
            upload = {"href": f"{self.hub.url}/lfs/{object['oid']}"}
            verify = {"href": f"{self.hub.url}/lfs-verify"}
            wanted = (
                {} if object["oid"] in self.hub.stored else {"upload": upload, "verify": verify}
            )
            objects.append({**object, **({"actions": wanted} if wanted else {})})
        self._json({"transfer": "basic", "objects": objects})

    def put(self, oid: str) -> None:
        assert hashlib.sha256(self.body).hexdigest() == oid
        self.hub.stored[oid] = self.body
        self._json({})

    def verify(self) -> None:
        asked = json.loads(self.body)
        assert len(self.hub.stored[asked["oid"]]) == asked["size"]
        self._json({})

    def commit(self, id: str, rev: str) -> None:
        repository = self._writing(id)
        files = dict(repository.commits[self._commit_of(repository, rev)])
        message = ""
        for line in self.body.splitlines():
            key, value = json.loads(line)["key"], json.loads(line)["value"]
            if key == "header":
                message = value["summary"]
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.hub.stored[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        sha = repository.commit(rev, files, message)
        self._json({"commitUrl": f"{self.hub.url}/{id}/commit/{sha}", "commitOid": sha})

    def resolve(self, id: str, rev: str, name: str) -> None:
        repository = self._repository(id)
        sha = self._commit_of(repository, rev)
        content = repository.commits[sha].get(name)
        if content is None:
            raise _Refused(404, "EntryNotFound", "Entry not found")
        etag = hashlib.sha256(content).hexdigest()
        self._send(content, 200, {"ETag": f'"{etag}"', "X-Repo-Commit": sha})


_ROUTES = (
    ("GET", "/api/whoami-v2", _Handler.whoami),
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.validate),
    ("POST", f"/api/models/{_ID}/branch/(?P<rev>.+)", _Handler.branch),
    ("POST", f"/api/models/{_ID}/preupload/(?P<rev>.+)", _Handler.preupload),
    ("POST", f"/api/models/{_ID}/commit/(?P<rev>.+)", _Handler.commit),
    ("GET", f"/api/models/{_ID}", _Handler.info),
    ("GET", f"/api/models/{_ID}/revision/(?P<rev>.+)", _Handler.info),
    ("POST", rf"/{_ID}\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", "/lfs/(?P<oid>[0-9a-f]{64})", _Handler.put),
    ("POST", "/lfs-verify", _Handler.verify),
    ("GET HEAD", f"/{_ID}/resolve/(?P<rev>[^/]+)/(?P<name>.+)", _Handler.resolve),
)


@contextlib.contextmanager
def serving() -> Iterator[Hub]:
    """A Hub on a free port of loopback, for the time of a block."""
    hub = Hub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
