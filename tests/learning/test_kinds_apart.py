"""What a kind of head needs is in its own file: no other module asks which kind it has."""

import ast
import typing
from pathlib import Path

import frankrl
from frankrl.config import NetworkSettings
from frankrl.learning.heads import ExpectedHead
from frankrl.networks import Head

SOURCE = Path(frankrl.__file__).parent
CHOOSING = ("learning/heads", "config", "experiments")
"""Where settings are made of: what is allowed, and which kinds a study compares."""
TRANSLATING = "exporting/heads.py"
"""Where each kind is written in ONNX, of which a head knows nothing."""
KINDS = {*typing.get_args(typing.get_type_hints(NetworkSettings)["distribution"])} - {"mean"}


def subclasses(kind):
    for subclass in kind.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


CLASSES = {kind.__name__ for kind in subclasses(Head) if kind.__module__.startswith("frankrl")}
CLASSES -= {ExpectedHead.__name__}


def kinds_named_in(text):
    """Kinds, and classes of kinds, that stand in code; comments and docstrings may name them."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and node.value in KINDS:
            yield node.value
        elif isinstance(node, ast.alias) and node.name in CLASSES:
            yield node.name
        elif isinstance(node, ast.Name) and node.id in CLASSES:
            yield node.id
        elif isinstance(node, ast.Attribute) and node.attr in CLASSES:
            yield node.attr


def test_no_module_but_the_heads_own_names_a_kind_of_head():
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        name = path.relative_to(SOURCE).as_posix()
        if name.startswith((*CHOOSING, TRANSLATING)):
            continue
        if kinds := list(kinds_named_in(path.read_text())):
            found[name] = kinds
    assert found == {}


def test_a_module_that_names_a_kind_would_be_found():
    assert {"c51", "qr", "iqn"} == KINDS
    assert {"CategoricalHead", "QuantileHead", "ImplicitHead", "QuantileLearning"} <= CLASSES
    for text, kind in {
        "if settings.network.distribution == 'c51': pass": "c51",
        "match kind:\n    case 'qr' | 'iqn': pass": "qr",
        "isinstance(head, CategoricalHead)": "CategoricalHead",
        "from frankrl.learning.heads import ImplicitHead": "ImplicitHead",
        "heads.QuantileHead(5)": "QuantileHead",
    }.items():
        assert kind in kinds_named_in(text)
    assert not list(kinds_named_in('"""c51 and iqn."""'))
