"""The list of mutants is true: each fault can be made, and the tests that it names exist."""

import ast
import functools

import pytest

from tests.mutants.__main__ import MUTANTS, ROOT

APPS = ("accounts/", "cloudnotes/", "notes/")
by_name = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


@functools.cache
def names_in(path):
    """Return the tests of a file as node ids have them, and its classes."""
    names = set()
    for node in ast.parse((ROOT / path).read_text()).body:
        if isinstance(node, ast.ClassDef):
            names |= {node.name} | {f"{node.name}::{each.name}" for each in functions(node)}
    return names | {each.name for each in functions(ast.parse((ROOT / path).read_text()))}


def functions(node):
    return [each for each in node.body if isinstance(each, ast.FunctionDef)]


def test_there_are_many_and_no_name_occurs_twice():
    assert len(MUTANTS) >= 40
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)


@by_name
def test_the_fault_can_be_made(mutant):
    assert mutant.path.startswith(APPS)
    assert "/migrations/" not in mutant.path
    source = (ROOT / mutant.path).read_text()
    assert source.count(mutant.old) == 1
    assert mutant.old != mutant.new
    ast.parse(source.replace(mutant.old, mutant.new))


@by_name
def test_its_tests_exist(mutant):
    assert mutant.leg in ("sqlite", "postgresql")
    assert mutant.promise.endswith(".")
    assert mutant.tests
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert path.startswith("tests/"), test
        assert (ROOT / path).is_file(), test
        assert not name or name in names_in(path), test
