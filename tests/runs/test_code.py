"""Where a module would come from, without importing anything."""

import sys

import pytest

from frankrl.core.named_code import name_of
from frankrl.runs.code import code_versions, files_of


@pytest.fixture
def tree(tmp_path, monkeypatch):
    code = "raise AssertionError('imported')\n"
    for file in ("alone.py", "pack/__init__.py", "pack/deep/inner.py", "spaces/deep/inner.py"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("module", "files"),
    [
        ("alone", ["alone.py"]),
        ("pack", ["pack/__init__.py"]),
        ("pack.deep.inner", ["pack/__init__.py", "pack/deep/inner.py"]),
        ("spaces.deep.inner", ["spaces/deep/inner.py"]),
        ("spaces.deep.missing", []),
        ("pack.missing.inner", ["pack/__init__.py"]),
        ("missing", []),
        ("", []),
        (".alone", []),
        ("not a name", []),
        ("sys", []),
    ],
)
def test_the_files_of_a_module_are_found_and_not_run(tree, module, files):
    before = set(sys.modules)
    assert files_of(module) == [tree / file for file in files]
    assert set(sys.modules) == before


def test_the_files_of_an_imported_module_are_its_own():
    import frankrl.runs.code

    assert files_of("frankrl.runs.code")[-1].samefile(frankrl.runs.code.__file__)


def test_versions_of_code_change_with_its_file_and_name_its_distribution(tree):
    first = code_versions(["alone:make"])
    (tree / "alone.py").write_text("make = None\n")
    second = code_versions(["alone:make"])
    assert first.keys() == second.keys() == {"code of alone"}
    assert first != second
    assert code_versions(["alone:make"]) == second
    assert "optax" in code_versions(["optax:adam"])


def test_versions_of_an_object_are_those_of_its_source():
    one = code_versions([name_of(lambda x: x)])
    other = code_versions([name_of(lambda x: x + 1)])
    assert one.keys() == other.keys()
    assert one != other
