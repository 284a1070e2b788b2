"""What `frank hub pull` makes of a repository, whoever wrote it."""

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
from hub_stub import Repository

import frankrl
from frankrl.cli.main import main
from frankrl.core.errors import DamagedError, FrankError, FrankWarning, HubError, RunFolderError
from frankrl.runs import INITIAL, RunFolder
from frankrl.runs.checkpoint import manifest_of
from frankrl.runs.contents import others_in

STATES = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)


@pytest.fixture
def repository(hub, files):
    """The run's repository on the Hub."""
    repository = hub.repositories["jane/cart"] = Repository()
    repository.commit("main", files, "pushed")
    return repository


@pytest.fixture(scope="module")
def tuned(run, tmp_path_factory):
    """A run that began with the weights of another."""
    path = tmp_path_factory.mktemp("tuned") / "run"
    settings = {"total_env_steps": 130, "learning_starts_env_steps": 100, "hidden_widths": [8]}
    settings |= {"evaluate_every_env_steps": None, "final_evaluation_episodes": 1}
    frankrl.train("CartPole-v1", preset="default", init_from=run, out=path, **settings)
    return path


def changed(repository, change, *, rewrite=True):
    """A commit with other files, whose manifest fits them: the most that an attacker can do."""
    files = dict(repository.files())
    described = json.loads(files["manifest.json"])["files"]
    change(files, described)
    if rewrite:
        for name, content in files.items():
            if name in described:
                described[name] = entry(content)
        files["manifest.json"] = manifest_of(described)
    repository.commit("main", files, "changed")


def entry(content):
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def test_a_pulled_run_is_the_run_that_was_pushed(run, repository, tmp_path):
    path = frankrl.hub.pull("jane/cart")
    assert path == tmp_path / "runs" / "jane" / "cart"
    pulled, original = frankrl.load(path), frankrl.load(run)
    np.testing.assert_array_equal(pulled.q_values(STATES), original.q_values(STATES))
    best = frankrl.load(path, best=True), frankrl.load(run, best=True)
    np.testing.assert_array_equal(best[0].q_values(STATES), best[1].q_values(STATES))
    settings = RunFolder.open(run).description.settings
    assert RunFolder.open(path).description.settings == settings
    assert list(frankrl.evaluate(pulled, episodes=3).returns) == list(
        frankrl.evaluate(original, episodes=3).returns
    )


def test_what_tells_people_of_the_run_lies_in_a_folder_of_its_own(hub, run, repository):
    path = frankrl.hub.pull("jane/cart")
    assert sorted(os.listdir(path)) == [
        "best",
        "checkpoints",
        "config.toml",
        "hub",
        "metrics.sqlite",
        "report.json",
    ]
    about = {name: (path / "hub" / name).read_bytes() for name in os.listdir(path / "hub")}
    source = json.loads(about.pop("source.json"))
    assert source == {"repository": "jane/cart", "commit": repository.branches["main"]}
    assert about.keys() == {"README.md", "results.json", "config.json", "manifest.json"}
    assert about == {name: repository.files()[name] for name in about}
    assert others_in(path) == []


def test_a_pulled_run_can_be_plotted_filmed_opened_and_listed(repository, tmp_path, capsys):
    from frankrl.dashboard.run_table import RunTable

    path = frankrl.hub.pull("jane/cart", out=tmp_path / "pulled")
    assert main(["plot", str(path)]) == 0
    assert main(["film", str(path)]) == 0
    assert main(["explain", str(path), "--update", "150"]) == 0
    table = RunTable(tmp_path)
    table.refresh()
    (row,) = json.loads(table.rows_since(0)[1])["rows"]
    assert row["state"] == "finished"
    capsys.readouterr()


def test_a_pulled_run_continues_with_an_empty_buffer_and_says_so(repository):
    path = frankrl.hub.pull("jane/cart")
    with pytest.warns(FrankWarning, match="holds no replay buffer .*or pulled without it"):
        result = frankrl.resume(path, total_env_steps=420)
    assert result.env_steps == 420
    assert [mark["env_steps"] for mark in result.not_reproducible] == [300]


def test_the_weights_that_a_run_began_with_come_along(hub, tuned):
    frankrl.hub.push(tuned, "jane/tuned", film=False)
    path = frankrl.hub.pull("jane/tuned")
    assert (path / INITIAL).read_bytes() == (tuned / INITIAL).read_bytes()
    # Without the buffer, it is repeated from its first weights on.
    opened, original = (frankrl.explain(place, update=3) for place in (path, tuned))
    np.testing.assert_array_equal(opened.q_values, original.q_values)
    frankrl.hub.push(path, "jane/again", film=False)
    assert others_in(path) == []


@pytest.mark.parametrize("content", [None, b"others"])
def test_a_run_without_the_weights_that_it_began_with_is_refused(hub, tuned, tmp_path, content):
    copy = shutil.copytree(tuned, tmp_path / "copy")
    (copy / INITIAL).unlink()
    if content is not None:
        (copy / INITIAL).write_bytes(content)
    with pytest.raises(DamagedError, match=INITIAL):
        frankrl.hub.push(copy, "jane/tuned", film=False)
    assert hub.repositories == {}

    def change(files, described):
        del files[INITIAL], described[INITIAL]
        if content is not None:
            files[INITIAL], described[INITIAL] = content, {}

    frankrl.hub.push(tuned, "jane/cart", film=False)
    changed(hub.repositories["jane/cart"], change)
    assert_refused(tmp_path, f"holds no run that this Frank reads: .*{INITIAL}")


def test_a_run_that_was_pushed_with_its_buffer_continues_to_the_same_bits(hub, run, tmp_path):
    # As if killed at env step 200.
    killed = shutil.copytree(run, tmp_path / "killed")
    shutil.rmtree(killed / "checkpoints" / "000000000300")
    (killed / "report.json").unlink()
    frankrl.hub.push(killed, "jane/cart", film=False, episodes=1, with_replay=True)
    path = frankrl.hub.pull("jane/cart")
    result = frankrl.resume(path)
    assert (result.env_steps, result.not_reproducible) == (300, [])
    for file in (run / "checkpoints" / "000000000300").glob("*.safetensors"):
        assert (path / "checkpoints" / "000000000300" / file.name).read_bytes() == file.read_bytes()
    assert result.evaluation == json.loads((run / "report.json").read_text())["evaluation"]


def test_a_pulled_run_can_be_pushed_again(hub, repository):
    path = frankrl.hub.pull("jane/cart")
    frankrl.hub.push(path, "jane/again", film=False)
    again, first = hub.repositories["jane/again"].files(), repository.files()
    differing = {name for name in first if again.get(name) != first[name]}
    # They name the repository, or hold what was played when.
    assert differing <= {
        "README.md",
        "report.json",
        "results.json",
        "manifest.json",
        "metrics.sqlite",
    }


def test_a_revision_is_a_branch_or_a_commit(run, repository):
    first = repository.branches["main"]
    changed(
        repository, lambda files, described: files.update({"README.md": b"---\n---\nrewritten"})
    )
    path = frankrl.hub.pull("jane/cart", out="old", revision=first)
    assert b"rewritten" not in (path / "hub" / "README.md").read_bytes()
    path = frankrl.hub.pull("jane/cart", out="new")
    assert (path / "hub" / "README.md").read_bytes().endswith(b"rewritten")


def test_files_that_the_manifest_does_not_name_are_left_on_the_hub(repository):
    files = {**repository.files(), "evil.py": b"x", "checkpoints/evil.py": b"x"}
    repository.commit("main", files, "more")
    path = frankrl.hub.pull("jane/cart")
    assert not list(path.rglob("*.py"))


@pytest.mark.parametrize(
    "name",
    [
        "../evil.py",
        "/tmp/evil.py",
        "checkpoints/../../evil.py",
        "evil.py",
        "checkpoints/000000000300/evil.py",
        "checkpoints/000000000300/../../../evil.json",
        "config.toml\n",
        ".cache/huggingface/x",
        "hub/source.json",
        ".lock",
        "metrics.sqlite-wal",
        "videos/000000000300-s0.mp4",
        "manifest.json",
        "",
    ],
)
def test_a_manifest_that_names_anything_else_is_refused(repository, tmp_path, name):
    def add(files, described):
        files[name] = b"import os"
        described[name] = entry(b"import os")

    changed(repository, add)
    assert_refused(tmp_path, "which no run holds")


def _without_weights(files, described):
    del files["checkpoints/000000000300/q_network.safetensors"]


def _other_weights(files, described):
    name = "checkpoints/000000000300/q_network.safetensors"
    files[name] = files[name][:-1] + b"x"


def _longer_weights(files, described):
    files["checkpoints/000000000300/q_network.safetensors"] += b"x"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_without_weights, "q_network.safetensors is missing, its manifest.json says"),
        (_other_weights, "q_network.safetensors of jane/cart is damaged: .* bytes with SHA-256"),
        (_longer_weights, r"q_network.safetensors has \d+ bytes, its manifest.json says"),
    ],
)
def test_a_file_that_differs_from_the_manifest_is_refused(repository, tmp_path, change, words):
    changed(repository, change, rewrite=False)
    assert_refused(tmp_path, words)


@pytest.mark.parametrize(
    "manifest",
    [
        b"{}",
        b"[]",
        b"no json",
        b'{"files": []}',
        b'{"files": {}}',
        b'{"files": {"config.toml": {"bytes": -1, "sha256": ""}}}',
        b'{"files": ' + b"[" * 100_000,
        manifest_of({"config.toml": {"bytes": 1, "sha256": "0" * 63}}),
        manifest_of({"config.toml": {"bytes": True, "sha256": "0" * 64}}),
        manifest_of({"config.toml": {"bytes": 1, "sha256": "0" * 64, "more": []}}),
        manifest_of({"config.toml": []}),
    ],
)
def test_a_damaged_manifest_is_refused(repository, tmp_path, manifest):
    repository.commit("main", {**repository.files(), "manifest.json": manifest}, "damaged")
    assert_refused(tmp_path, "manifest.json of jane/cart is damaged: it is not as Frank writes it")


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"README.md": 1 << 25}, "README.md with 33,554,432 bytes; at most 16,777,216 can be"),
        ({"replay.mp4": 1 << 31}, "at most 1,073,741,824 can be right"),
        ({"metrics.sqlite": 1 << 50}, "at most 68,719,476,736 can be right"),
        (
            {f"checkpoints/{n:012d}/replay.safetensors": 1 << 35 for n in range(3)},
            "holds 3 files of 103,079,215,104 bytes",
        ),
        (
            {f"checkpoints/{n:012d}/state.json": 0 for n in range(10_001)},
            "holds 10,001 files of 0 bytes; at most 10,000",
        ),
    ],
)
def test_sizes_are_bounded_before_anything_is_downloaded(
    hub, repository, tmp_path, described, words
):
    manifest = manifest_of(
        {name: {"bytes": size, "sha256": "0" * 64} for name, size in described.items()}
    )
    repository.commit("main", {"manifest.json": manifest}, "large")
    assert_refused(tmp_path, words)
    fetched = {
        request.split("/")[-1] for request in hub.requests if request.startswith("GET /jane")
    }
    assert fetched == {"manifest.json"}


def test_a_run_that_does_not_fit_on_the_disk_is_refused(repository, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=1 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert_refused(tmp_path, "bytes and 1,048,576 are free on the disk")


def _marked(files, described):
    config = files["config.toml"].decode()
    files["config.toml"] = config.replace('mark = ""', f'mark = "{"0" * 64}"').encode()


def _no_config(files, described):
    del files["config.toml"], described["config.toml"]


def _odd_config(files, described):
    files["config.toml"] = b"[run]\nenv_id = 7\n"


def _no_checkpoint(files, described):
    for name in [name for name in files if name.startswith("checkpoints/")]:
        del files[name], described[name]


def _other_environment(files, described):
    config = files["config.toml"].replace(b'"CartPole-v1"', b'"Acrobot-v1"')
    files["config.toml"] = config


def _other_format(files, described):
    name = "checkpoints/000000000300/state.json"
    files[name] = files[name].replace(b'"format": 8', b'"format": 7')
    checkpoint = "checkpoints/000000000300/manifest.json"
    inner = json.loads(files[checkpoint])["files"]
    inner["state.json"] = entry(files[name])
    files[checkpoint] = manifest_of(inner)


def _inner_manifest(files, described):
    name = "checkpoints/000000000300/state.json"
    files[name] = files[name] + b" "


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_marked, "its config.toml has a mark"),
        (_no_config, "holds no readable config.toml"),
        (_odd_config, "config.toml is damaged: table .run. must hold env_id"),
        (_no_checkpoint, "it has no checkpoint"),
        (_other_environment, "was made for 'CartPole-v1', but .* says 'Acrobot-v1'"),
        (_other_format, "has the format 7, this version of Frank reads 8"),
        (_inner_manifest, "state.json is damaged"),
    ],
)
def test_what_is_no_run_of_frank_is_refused(repository, tmp_path, change, words):
    changed(repository, change)
    assert_refused(tmp_path, f"^jane/cart holds no run that this Frank reads: .*{words}")


def test_a_repository_of_another_library_is_refused(repository, tmp_path):
    repository.commit("main", {"dqn-CartPole-v1.zip": b"PK"}, "another")
    assert_refused(tmp_path, "holds no run of Frank: it has no manifest.json")


def assert_refused(place, words):
    """A pull is refused and leaves nothing; where a run is, that run stays."""
    before = sorted(place.rglob("*"))
    with pytest.raises((HubError, RunFolderError), match=words) as caught:
        frankrl.hub.pull("jane/cart", out=place / "pulled")
    assert ".pulled.new" not in str(caught.value)
    assert sorted(place.rglob("*")) == before


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError(28, "No space left")])
def test_an_interrupted_pull_leaves_what_was_there(run, repository, tmp_path, interruption):
    path = shutil.copytree(run, tmp_path / "pulled")
    before = sorted(tmp_path.rglob("*"))

    def interrupted(done, of):
        if done == 4:
            raise interruption

    with pytest.raises((KeyboardInterrupt, RunFolderError)):
        frankrl.hub.pull("jane/cart", out=path, overwrite=True, on_file=interrupted)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_is_there_is_replaced_only_on_request(run, repository, tmp_path):
    path = shutil.copytree(run, tmp_path / "pulled")
    with pytest.raises(RunFolderError, match=r"exists already; .* replace it with overwrite=True"):
        frankrl.hub.pull("jane/cart", out=path)
    for _ in range(2):
        frankrl.hub.pull("jane/cart", out=path, overwrite=True)
        assert (path / "hub" / "source.json").exists()
        assert not (path / "checkpoints" / "000000000200").exists()
    (path / "hub" / "thesis.tex").write_text("mine")
    with pytest.raises(RunFolderError, match=r"also holds hub/thesis\.tex"):
        frankrl.hub.pull("jane/cart", out=path, overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(RunFolderError, match="exists and is not a run"):
        frankrl.hub.pull("jane/cart", out=tmp_path / "other", overwrite=True)
    assert set(os.listdir(tmp_path)) == {"pulled", "other"}


@pytest.mark.parametrize("arguments", [{"overwrite": 1}, {"revision": 7}, {"repository": "x"}])
def test_arguments_of_a_pull_are_checked(hub, arguments):
    with pytest.raises(FrankError, match=r"must be|names no repository"):
        frankrl.hub.pull(**{"repository": "jane/cart", **arguments})
    assert hub.requests == []
