"""`frank doctor` says what there is, and advises only where something would help."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from frankrl.cli.doctor import Findings, advice_on, missing_of_extras
from frankrl.cli.main import main

WELL = Findings(
    versions={"python": "3.13.0", "frankrl": "0.2.0", "jax": "0.9.1"},
    system="Linux 6, x86_64",
    processor="A processor",
    cores=2,
    memory=2**34,
    devices=["gpu: A card"],
    has_gpu=True,
    cache="/home/frank/.cache/frank/jaxlib",
    cache_is_own=True,
    cache_bytes=10,
    ffmpeg="/usr/bin/ffmpeg",
    extras={},
)


def test_it_prints_the_versions_that_are_installed(capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert f"jax {jax.__version__}" in printed
    assert f"numpy {np.__version__}" in printed


def test_as_json_it_is_one_object_that_says_the_same(capsys):
    assert main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["versions"]["numpy"] == np.__version__
    assert found["cores"] >= 1
    assert set(found) == {field.name for field in dataclasses.fields(Findings)} | {"advice"}


def test_the_size_of_the_cache_is_that_of_the_folder_that_is_named(tmp_path, capsys):
    (tmp_path / "beside").write_bytes(bytes(1 << 20))
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "code").write_bytes(bytes(50_000))
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", str(folder))
    try:
        assert main(["doctor"]) == 0
        printed = capsys.readouterr().out
        assert main(["doctor", "--json"]) == 0
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    found = json.loads(capsys.readouterr().out)
    assert found["cache"] == str(folder)
    assert 50_000 <= found["cache_bytes"] < 100_000
    assert "with other versions" not in printed


def test_without_a_gpu_there_is_no_advice_for_one():
    assert list(advice_on(dataclasses.replace(WELL, devices=["cpu"], has_gpu=False), {})) == []


def test_where_all_is_well_there_is_no_advice():
    assert list(advice_on(WELL, {})) == []


@pytest.mark.parametrize(
    ("changes", "environment", "words"),
    [
        ({"cores": 1}, {}, "two cores"),
        ({"memory": 2**30}, {}, "Little memory"),
        ({"devices": ["cpu"]}, {}, "jax[cuda13]==0.9.1"),
        ({"cache": ""}, {}, "JAX_COMPILATION_CACHE_DIR"),
        ({"ffmpeg": ""}, {}, "imageio-ffmpeg"),
        ({}, {"NPROC": "4"}, "NPROC is 4"),
        ({}, {"PYTHONDONTWRITEBYTECODE": "1"}, "PYTHONDONTWRITEBYTECODE"),
    ],
)
def test_each_fault_is_told_with_what_to_do(changes, environment, words):
    (sentence,) = advice_on(dataclasses.replace(WELL, **changes), environment)
    assert words in sentence


def test_an_extra_lacks_what_it_needs_itself_and_through_other_extras():
    requirements = [
        "numpy>=2.0",
        "no-such-thing>=1; extra == 'one'",
        'numpy[all]>=2; extra == "one"',
        "frankrl[one]; extra == 'two'",
        "none-of-it; python_version < '4' and extra == 'two'",
        "numpy; extra == 'three'",
        "pytest; extra == 'test'",
        "no-such-thing; extra == 'test-more'",
    ]
    assert dict(missing_of_extras(requirements)) == {
        "one": ["no-such-thing"],
        "three": [],
        "two": ["no-such-thing", "none-of-it"],
    }


def test_a_wrong_option_is_one_line(capsys):
    assert main(["doctor", "--jsno"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
