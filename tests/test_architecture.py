"""Rules that no single test owns."""

import ast
import re
from collections import Counter
from importlib import metadata

import psycopg
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from cloudnotes.environment import ALIASES
from tests.servers import ROOT

APPS = ("cloudnotes", "accounts", "notes")
SOURCES = [
    path
    for app in APPS
    for path in sorted((ROOT / app).rglob("*.py"))
    if "migrations" not in path.parts
]


def test_every_setting_that_is_read_is_in_the_example_and_the_reverse():
    settings = (ROOT / "cloudnotes" / "settings.py").read_text()
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', settings))
    read -= {name for name in read if name.startswith("RAILWAY_")}  # Railway sets these itself
    read -= set(ALIASES)
    shown = set(re.findall(r"^#([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read == shown


@pytest.mark.parametrize(
    ("package", "floor"),
    [("Django", "5.2.19"), ("djangorestframework", "3.18.3"), ("PyJWT", "2.15.1")],
)
def test_floors_below_which_there_are_known_holes(package, floor):
    assert Version(metadata.version(package)) >= Version(floor)


def pinned(name):
    lines = (ROOT / name).read_text().splitlines()
    return [Requirement(line.partition("#")[0]) for line in lines if line[:1].isalnum()]


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned(name):
    for requirement in pinned(name):
        assert [each.operator for each in requirement.specifier] == ["=="], requirement


def test_everything_that_runs_in_production_is_named_in_requirements():
    named = {re.sub(r"[-_.]+", "-", each.name).lower() for each in pinned("requirements.txt")}
    waiting, seen = list(named), set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        try:
            needs = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # needed on other Pythons only
        for each in map(Requirement, needs):
            needed = re.sub(r"[-_.]+", "-", each.name).lower()
            if (each.marker is None or each.marker.evaluate({"extra": ""})) and needed not in seen:
                waiting.append(needed)
    assert seen - named <= {"setuptools"}


def test_synced_tables_are_written_in_actions_alone():
    """``save``, ``create``, ``update`` and ``delete`` on rows of notes stand in ``actions``.

    ``files`` writes its own rows, and by a contract of imports it knows no others.
    """
    writes = {"save", "create", "bulk_create", "update", "bulk_update", "delete", "get_or_create"}
    for path in (ROOT / "notes").rglob("*.py"):
        if {"actions", "files", "migrations"} & set(path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert node.func.attr not in writes, f"{path.name}:{node.lineno}"


def test_one_module_knows_simplejwt():
    for path in SOURCES:
        names = re.findall(r"^(?:from|import) ([\w.]+)", path.read_text(), re.MULTILINE)
        known = {name.partition(".")[0] for name in names} & {"jwt", "rest_framework_simplejwt"}
        assert not known or path == ROOT / "accounts" / "jwt.py", path


def test_psycopg_has_its_speedups():
    assert psycopg.pq.__impl__ in ("binary", "c")


def test_no_file_has_grown_past_its_second_reason_to_change():
    for path in SOURCES:
        assert len(path.read_text().splitlines()) <= 450, path


# Named by Django or by drf-spectacular, which look for it.
FOUND_BY_FRAMEWORKS = {"handler400", "handler403", "handler404", "handler500", "BearerScheme"}


def test_nothing_at_the_top_of_a_module_is_unused():
    """A name that the product has once, where it is defined, is dead, or used by tests alone."""
    texts = {path: path.read_text() for path in SOURCES}
    others = [ROOT / "gunicorn.conf.py", ROOT / "manage.py", *(ROOT / "templates").rglob("*.*")]
    others += [path for app in APPS for path in (ROOT / app).rglob("migrations/*.py")]
    texts_of_others = [path.read_text() for path in others]
    words = Counter(re.findall(r"\w+", "\n".join([*texts.values(), *texts_of_others])))
    for path, text in texts.items():
        if path.name in ("settings.py", "apps.py"):
            continue
        for node in ast.parse(text).body:
            names = [target.id for target in getattr(node, "targets", ()) if hasattr(target, "id")]
            if hasattr(node, "decorator_list") and not node.decorator_list:
                names.append(node.name)
            dead = {name for name in names if words[name] == 1} - FOUND_BY_FRAMEWORKS
            assert not dead, f"{path}: {dead}"


def test_init_files_hold_at_most_a_docstring():
    for path in SOURCES:
        if path.name == "__init__.py" and path.parent.name != "models":
            body = ast.parse(path.read_text()).body
            assert all(isinstance(node, ast.Expr) for node in body), path


def test_no_module_imports_from_a_test_module():
    """Test modules share their helpers through modules that contain no tests."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = (getattr(node, "module", None) or "").split(".")
                names = module + [part for each in node.names for part in each.name.split(".")]
                assert not any(name.startswith("test_") for name in names), f"{path}:{node.lineno}"
