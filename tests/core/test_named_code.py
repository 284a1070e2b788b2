"""Code that settings name: its names, the objects behind them, and what may be imported."""

import copy
import sys
from dataclasses import dataclass

import numpy as np
import optax
import pytest

from frankrl.config.validation import Checked, code
from frankrl.core.errors import SettingError
from frankrl.core.named_code import GivenCode, load_code, module_of, name_of


def plain(x):
    return x


class Outer:
    class Inner:
        pass


@dataclass(frozen=True)
class Record(Checked):
    optimiser: str = code("adam", among=("adam", "sgd"))
    network: str | None = code(None)
    wrappers: tuple[str, ...] = code(())
    words: tuple[str, ...] = ()


def test_an_object_that_its_module_holds_is_named_by_it_and_found_again():
    for found in (plain, Outer, Outer.Inner):
        name = name_of(found)
        assert name == f"{__name__}:{found.__qualname__}"
        assert not isinstance(name, GivenCode)
        assert load_code(name, "network") is found
        assert module_of(name) == __name__


def test_any_other_object_is_carried_by_its_name():
    made = [lambda x: x, lambda x: x, Outer()]
    names = [name_of(each) for each in made]
    qualified = "test_any_other_object_is_carried_by_its_name.lambda"
    assert list(map(str, names)) == [f"object:{qualified}"] * 2 + ["object:Outer"]
    assert [load_code(name, "network") for name in names] == made
    assert names[0] != names[1]
    assert names[0] == name_of(made[0])
    assert names[0] == f"object:{qualified}"
    assert copy.deepcopy(names[0]) is names[0]
    assert not any(map(module_of, names))


def test_an_object_that_cannot_be_looked_at_has_a_name():
    class Awkward:
        def __getattr__(self, name):
            raise RuntimeError(name)

    class Named:
        def __init__(self):
            self.__qualname__ = 5

    for made in (Awkward(), Named()):
        name = name_of(made)
        assert name == f"object:{name_of(type(made)).removeprefix('object:')}"
        assert name.given is made


def test_a_named_tuple_may_be_code():
    assert isinstance(Record(optimiser=optax.sgd(0.1)).optimiser, GivenCode)


def test_an_object_is_not_found_by_its_text_alone():
    with pytest.raises(SettingError, match="give the same object again, as network="):
        load_code("object:Outer", "network")


def test_a_class_of_the_main_module_has_no_name_to_import_it_by(monkeypatch):
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "Mine", type("Mine", (), {"__module__": "__main__"}), raising=False)
    assert isinstance(name_of(main.Mine), GivenCode)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module_here:make", "there is no module 'no_such_module_here'"),
        (f"{__name__}:plian", "has no 'plian'; did you mean 'plain'?"),
        (f"{__name__}:Outer.Missing", "has no 'Outer.Missing'"),
        ("frank_broken_module:make", "cannot be imported: ZeroDivisionError"),
        ("frank_lacking_module:make", "needs the Python module 'no_such_module_there'"),
    ],
)
def test_code_that_is_not_there_is_named(tmp_path, monkeypatch, name, message):
    (tmp_path / "frank_broken_module.py").write_text("1 / 0\n")
    (tmp_path / "frank_lacking_module.py").write_text("import no_such_module_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SettingError, match=message.replace("?", r"\?")):
        load_code(name, "network")


def test_settings_take_names_objects_and_their_own_words():
    record = Record(optimiser="sgd", network=plain, wrappers=["a.b:C", Outer], words="one")
    assert record.optimiser == "sgd"
    assert record.network == f"{__name__}:plain"
    assert record.wrappers == ("a.b:C", f"{__name__}:Outer")
    assert record.words == ("one",)
    assert Record(network=None, words=["one", "two"]).words == ("one", "two")
    assert Record(network="none").network is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimiser": "adma"}, "must be one of adam, sgd, or module:attribute.*mean 'adam'"),
        ({"network": "module"}, "network must be module:attribute"),
        ({"network": "a b:c"}, "network must be module:attribute"),
        ({"wrappers": ["a:b", "../x:y"]}, "wrappers must be module:attribute"),
        ({"network": 5}, "network must be module:attribute.*, got 5"),
        ({"network": True}, "network must be module:attribute.*, got True"),
        ({"network": np.float32(0.5)}, "network must be module:attribute"),
        ({"network": {"width": 3}}, "network must be module:attribute"),
        ({"optimiser": None}, "optimiser must be one of adam, sgd, or .*, got None"),
        ({"optimiser": ("adam", 1e-3)}, "optimiser must be one of adam, sgd"),
        ({"wrappers": [plain, 2]}, "wrappers must be module:attribute.*, got 2"),
        ({"words": [1]}, "words must be a list of texts"),
        ({"words": 1}, "words must be a list of texts"),
    ],
)
def test_other_values_are_refused(values, message):
    with pytest.raises(SettingError, match=message):
        Record(**values)
