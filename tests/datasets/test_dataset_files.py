"""Data sets that Frank writes, read by Frank and by Minari; and those that Minari writes."""

import dataclasses
import json
import os
import shutil

import gymnasium
import h5py
import jax
import minari
import numpy as np
import pytest
from data_sets import (
    MIXED,
    NAME,
    SPACES,
    VECTOR,
    assert_same_episode,
    described,
    made,
    random_episodes,
)
from gymnasium import spaces

import frankrl
from frankrl.core.errors import MissingExtraError, SettingError
from frankrl.datasets import names, open_dataset, write_dataset
from frankrl.datasets.hdf5 import begun as begun_file
from frankrl.environments import extras


@pytest.fixture(autouse=True)
def minaris_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    return tmp_path / "minari"


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("name", SPACES)
def test_what_is_written_is_read_by_frank_and_by_minari(name, masked, minaris_folder):
    description = described(SPACES[name])
    episodes = random_episodes(description, 5, masked=masked)
    path = write_dataset(NAME, None, description, iter(episodes))
    assert path == minaris_folder / NAME
    found = open_dataset(NAME)
    assert (found.observation_space, found.action_space) == (
        SPACES[name],
        spaces.Discrete(4, start=2),
    )
    assert (found.name, found.env_id, found.num_episodes) == (NAME, "CartPole-v1", 5)
    assert found.num_steps == sum(len(episode.actions) for episode in episodes)
    returns = [episode.rewards.sum() for episode in episodes]
    assert found.mean_return == pytest.approx(np.mean(returns))
    for one, other in zip(found.episodes(), episodes, strict=True):
        assert_same_episode(one, other)
    theirs = minari.load_dataset(NAME)
    assert (theirs.total_episodes, theirs.total_steps) == (5, found.num_steps)
    assert (theirs.observation_space, theirs.action_space) == (
        found.observation_space,
        found.action_space,
    )
    metadata = theirs.storage.get_episode_metadata(range(5))
    for one, noted, other in zip(theirs, metadata, episodes, strict=True):
        assert_same(one.observations, other.observations)
        assert_same((one.actions, one.rewards), (other.actions, other.rewards))
        assert one.terminations.tolist() == [False] * (len(one) - 1) + [other.terminated]
        assert one.truncations.tolist() == [False] * (len(one) - 1) + [other.truncated]
        assert noted.get("seed") == other.seed
        if masked:
            np.testing.assert_array_equal(one.infos["action_mask"], other.masks)


class Mixed(gymnasium.Env):
    """Shows a mask in its info, and a state with a picture, numbers and bits."""

    observation_space, action_space = MIXED, spaces.Discrete(3, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        self.steps = 0
        return self._seen(), self._info()

    def step(self, action):
        self.steps += 1
        ends = self.steps % 5 == 0
        return self._seen(), self.steps / 3, ends, False, self._info()

    def _seen(self):
        found = self.observation_space.sample()
        # A grey picture of one shade survives a JPEG.
        found["camera"][:] = 128
        return found

    def _info(self):
        return {"action_mask": self.np_random.integers(2, size=3).astype(np.int8), "other": 1.5}


@pytest.mark.filterwarnings("ignore:env_spec is None")
@pytest.mark.parametrize("jpeg", [False, True])
def test_what_minaris_collector_writes_is_what_the_environment_gave(jpeg):
    env = minari.DataCollector(Mixed(), record_infos=True, jpeg_encoding=jpeg)
    given = []
    for episode in range(3):
        observation, info = env.reset(seed=episode)
        seen, actions, rewards, masks, done = [observation], [], [], [info["action_mask"]], False
        # The last episode is left before its end.
        while not done and not (episode == 2 and len(actions) == 3):
            actions.append(int(env.action_space.sample()))
            observation, reward, done, _, info = env.step(actions[-1])
            seen.append(observation)
            rewards.append(reward)
            masks.append(info["action_mask"])
        given.append((seen, actions, rewards, masks))
    before = env._tmp_dir
    env.create_dataset("collected/mixed-v0", algorithm_name="x", author="y", code_permalink="z",
                       author_email="a", description="b", eval_env="CartPole-v1")  # fmt: skip
    # Its own `close` leaves them to the garbage collector, which warns.
    for folder in (before, env._tmp_dir):
        folder.cleanup()
    found = open_dataset("collected/mixed-v0")
    assert (found.num_episodes, found.num_steps) == (3, 13)
    for number, (one, (seen, actions, rewards, masks)) in enumerate(
        zip(found.episodes(), given, strict=True)
    ):
        assert_same(one.observations, jax.tree.map(lambda *parts: np.stack(parts), *seen))
        np.testing.assert_array_equal(one.actions, actions)
        np.testing.assert_array_equal(one.rewards, rewards)
        np.testing.assert_array_equal(one.masks, masks)
        assert (one.terminated, one.truncated) == (number < 2, number == 2)
        assert one.seed == number


def test_what_goes_wrong_while_an_episode_is_made_is_no_fault_of_the_disk(tmp_path):
    def episodes():
        yield from random_episodes(description, 1)
        raise ConnectionError("the game has gone")

    description = described()
    with pytest.raises(ConnectionError, match="the game has gone"):
        write_dataset(NAME, tmp_path, description, episodes())
    assert list((tmp_path / "made").iterdir()) == []


def test_what_a_killed_process_has_left_is_removed_and_what_is_being_written_stays(tmp_path):
    description = described()
    begun = iter(random_episodes(description, 2))
    left = tmp_path / "made" / ".up-v3.new-1"
    (left / "data").mkdir(parents=True)
    (left / "data" / "main_data.hdf5").write_bytes(b"half")
    other = tmp_path / "made" / ".up-v3.new-2"
    (other / "data").mkdir(parents=True)
    with begun_file(other / "data" / "main_data.hdf5") as file:
        file.append(next(begun))
        made(tmp_path)
        assert other.exists()
    assert not left.exists()


def test_a_large_folder_of_data_sets_is_not_searched_for_ever(minaris_folder, monkeypatch):
    for number in range(20):
        (minaris_folder / f"{number}" / "deep").mkdir(parents=True)
    walked, walk = [], os.walk
    monkeypatch.setattr(names, "_MAX_FOLDERS", 5)
    monkeypatch.setattr(
        names.os, "walk", lambda top: (walked.append(each) or each for each in walk(top))
    )
    with pytest.raises(SettingError, match="there is no data set"):
        open_dataset("some-v0")
    assert len(walked) == 5


@pytest.mark.parametrize("inner", ["made/up-v3/x-v0", "made/up-v3/data/x-v0"])
def test_a_data_set_holds_no_other(inner, tmp_path):
    made(tmp_path)
    description = described()
    with pytest.raises(SettingError, match="is a data set, and holds no other: choose another"):
        write_dataset(inner, tmp_path, description, random_episodes(description, 1))
    assert len(list((tmp_path / "made/up-v3").rglob("*"))) == 3


def test_the_digest_says_what_is_learned_from_and_nothing_else(tmp_path):
    description = described(MIXED)
    episodes = random_episodes(description, 4, masked=True)

    def digest(name, found, changed=description):
        return open_dataset(write_dataset(name, tmp_path, changed, found)).digest

    first = digest("one-v0", episodes)
    assert len(first) == 64
    other = dataclasses.replace(description, env_id=None, author="somebody", facts={"a": 1})
    unseeded = [episode._replace(seed=None) for episode in episodes]
    assert digest("two-v0", unseeded, other) == first
    repacked = _repacked(tmp_path / "one-v0", tmp_path / "three-v0")
    assert open_dataset(repacked).digest == first
    last = episodes[-1]
    changes = {
        "rewards": np.nextafter(last.rewards, 9),
        "terminated": not last.terminated,
        "masks": ~last.masks,
        "actions": last.actions[::-1] if len(last.actions) > 1 else 5 - last.actions,
        "observations": last.observations | {"camera": last.observations["camera"] ^ np.uint8(1)},
    }
    for number, (field, value) in enumerate(changes.items()):
        changed = [*episodes[:-1], last._replace(truncated=True, **{field: value})]
        assert digest(f"changed-v{number}", changed) != first
    assert digest("order-v0", episodes[::-1]) != first


def _repacked(source, target):
    """The same content in a file of another form, as Minari's own writer makes it and more so."""
    shutil.copytree(source, target)
    path = target / "data" / "main_data.hdf5"
    with h5py.File(source / "data" / "main_data.hdf5") as before, h5py.File(path, "w") as after:

        def copy(name, part):
            if not isinstance(part, h5py.Dataset):
                after.create_group(name).attrs.update(part.attrs)
            elif part.dtype.kind == "b":
                after.create_dataset(name, data=part[()], chunks=True)
            else:
                after.create_dataset(
                    *(name, part.shape, part.dtype.newbyteorder(">"), part[()]),
                    chunks=True, shuffle=True, compression="lzf", fletcher32=True,
                )  # fmt: skip

        before.visititems(copy)
    return target


def test_a_data_set_is_found_by_its_folder_by_its_files_and_by_its_name(tmp_path, monkeypatch):
    data = made(tmp_path / "minari")
    monkeypatch.chdir(tmp_path / "minari")
    expected = open_dataset(data).digest
    for given in (data.parent, str(data.parent), NAME, "./made/up-v3", "made/up-v3/data"):
        found = frankrl.open_dataset(given)
        assert found.digest == expected
        # It is called by the folder that people name, and not by that of its files.
        assert found.folder.absolute() == data.parent
        assert found.files.absolute() == data
    assert minari.list_local_datasets()[NAME]["total_episodes"] == 3


@pytest.mark.parametrize(
    "name",
    ["", "up", "up-v", "up-v01", "a/up-v0", "../up-v0", "/up-v0", "up-v0/x", "ü-v0", 3, None],
)
def test_a_name_that_minari_could_not_read_is_refused(name, tmp_path):
    description = described()
    with pytest.raises(SettingError, match="needs a name such as lander/medium-v0"):
        write_dataset(name, tmp_path, description, random_episodes(description, 1))
    assert not list(tmp_path.iterdir())


def test_an_existing_data_set_is_never_replaced(tmp_path):
    data = made(tmp_path)
    before = {path: path.read_bytes() for path in data.iterdir()}
    with pytest.raises(SettingError, match="exists already: choose another name or version"):
        made(tmp_path)
    assert {path: path.read_bytes() for path in data.iterdir()} == before


class FailsError(Exception):
    pass


@pytest.mark.parametrize("error", [FailsError, KeyboardInterrupt])
def test_a_data_set_that_is_not_whole_leaves_nothing(error, tmp_path):
    description = described()

    def episodes():
        yield from random_episodes(description, 2)
        assert [path.name for path in (tmp_path / "made").iterdir()] != ["up-v3"]
        with pytest.raises(SettingError, match="was not written to its end"):
            open_dataset(next((tmp_path / "made").iterdir()))
        raise error

    with pytest.raises(error):
        write_dataset(NAME, tmp_path, description, episodes())
    assert list((tmp_path / "made").iterdir()) == []


def test_what_cannot_be_a_data_set_is_not_written(tmp_path):
    description = described()
    (good,) = random_episodes(description, 1, seed=5)
    bad = good._replace(rewards=good.rewards * np.nan)
    with pytest.raises(SettingError, match="episode 1 cannot be written: it has rewards that are"):
        write_dataset(NAME, tmp_path, description, [good, bad])
    with pytest.raises(SettingError, match="no whole episodes"):
        write_dataset(NAME, tmp_path, description, [])
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(SettingError, match=r"file/made/up-v3 cannot be written: "):
        write_dataset(NAME, file, description, [good])
    assert os.listdir(tmp_path / "made") == []


@pytest.mark.parametrize("room", [0, 1_000, 100_000, 400_000])
def test_a_disk_that_is_full_ends_in_one_sentence_and_leaves_nothing(room, tmp_path, capfd):
    """HDF5 alone would print hundreds of tracebacks, and end the process."""
    description = described(MIXED)
    episodes = random_episodes(description, 30)
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(SettingError, match=r"up-v3 cannot be written: File too large"):
            write_dataset(NAME, tmp_path, description, episodes)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list((tmp_path / "made").iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_without_the_extra_the_error_says_what_to_install(tmp_path, monkeypatch):
    data = made(tmp_path)

    def missing(name):
        raise ModuleNotFoundError(name=name)

    monkeypatch.setattr(extras.importlib, "import_module", missing)
    for ask in (lambda: open_dataset(data), lambda: made(tmp_path / "other")):
        with pytest.raises(MissingExtraError, match=r'pip install "frankrl\[minari\]"'):
            ask()


def test_metadata_are_those_of_minaris_form(tmp_path):
    data = made(tmp_path)
    found = json.loads((data / "metadata.json").read_text())
    assert found["minari_version"] in minari.supported_dataset_versions
    assert found["dataset_id"] == NAME
    assert json.loads(found["observation_space"]) == json.loads(
        minari.serialization.serialize_space(VECTOR)
    )
