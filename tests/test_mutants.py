"""The list of mutants is true: each fault can be made, and the tests that it names exist."""

import ast
import functools

from tests.cases import failures
from tests.mutants.__main__ import MUTANTS, ROOT

APPS = ("accounts/", "cloudnotes/", "notes/")
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}


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
    assert len(BY_NAME) == len(MUTANTS)


def test_every_fault_can_be_made():
    assert failures(BY_NAME, assert_can_be_made) == {}


def assert_can_be_made(mutant):
    assert mutant.path.startswith(APPS)
    assert "/migrations/" not in mutant.path
    source = (ROOT / mutant.path).read_text()
    assert source.count(mutant.old) == 1
    assert mutant.old != mutant.new
    ast.parse(source.replace(mutant.old, mutant.new))


def test_the_tests_of_each_exist():
    assert failures(BY_NAME, assert_has_tests) == {}


def assert_has_tests(mutant):
    assert mutant.leg in ("sqlite", "postgresql")
    assert mutant.promise.endswith(".")
    assert mutant.tests
    for test in mutant.tests:
        path, _, name = test.partition("::")
        assert path.startswith("tests/"), test
        assert (ROOT / path).is_file(), test
        assert not name or name in names_in(path), test
