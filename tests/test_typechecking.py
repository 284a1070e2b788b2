"""How types are checked while tests run: the first calls of each function, in each test anew."""

import importlib
import sys

import pytest
import typechecking
from jaxtyping import TypeCheckError, install_import_hook

MODULE = """
def function(number: int) -> int:
    return number


class Class:
    def __init__(self, number: int) -> None:
        self.number = number

    def method(self, number: int) -> int:
        return number

    @classmethod
    def of_class(cls, number: int) -> int:
        return number

    @staticmethod
    def static(number: int) -> int:
        return number

    @property
    def answer(self) -> int:
        return self.number


def outer(number: object) -> object:
    def inner(number: int) -> int:
        return number

    return inner(number)
"""
OFTEN = 200
WRONG = "no number"


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "some_checked_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    with install_import_hook("some_checked_module", "typechecking.check"):
        yield importlib.import_module("some_checked_module")
    del sys.modules["some_checked_module"]


def answer_of(module, number):
    made = module.Class(1)
    made.number = number
    return made.answer


CALLS = {
    "function": lambda module, number: module.function(number),
    "method": lambda module, number: module.Class(1).method(number),
    "class method": lambda module, number: module.Class.of_class(number),
    "static method": lambda module, number: module.Class.static(number),
    "property": answer_of,
    "initialiser": lambda module, number: module.Class(number).number,
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_the_first_calls_are_checked_in_each_test_and_later_ones_are_not(call, module):
    for _ in range(2):
        typechecking.check_again()  # as at the start of a test
        with pytest.raises(TypeCheckError, match="Type-check error"):
            call(module, WRONG)
        for number in range(OFTEN):
            assert call(module, number) == number
        assert call(module, WRONG) == WRONG


def test_a_function_within_a_function_is_checked_as_often_as_it_is_defined_first(module):
    for _ in range(2):
        with pytest.raises(TypeCheckError, match="inner"):
            module.outer(WRONG)
    for number in range(OFTEN):
        assert module.outer(number) == number
    assert module.outer(WRONG) == WRONG
