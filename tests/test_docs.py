"""What documents name exists: links, anchors, commands, settings, code, routes and states.

README.md's own commands are executed by ``test_readme``.
"""

import functools
import re

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from rest_framework.exceptions import UnsupportedMediaType

from accounts.models import Mail
from notes.models import StoredObject, Upload
from notes.models.fields import NOTE_FIELDS
from tests.cases import failures
from tests.routes import ROUTES
from tests.servers import ROOT

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
]
# What happened to a name is told there, after it has gone.
CURRENT = [page for page in PAGES if page.name != "CHANGELOG.md"]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SPAN = re.compile(r"`([^`\n]+(?:\n[^`\n]+)?)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
PATH = re.compile(r"(?:accounts|benchmarks|cloudnotes|deploy|docs|notes|tests)/[\w./-]*")
# ``what`` in ``path.py``.
NAMED_IN = re.compile(r"`([A-Za-z_.]+)`\s+(?:in|of)\s+`([\w/.-]+\.py)`")
CAPITALS = re.compile(r"(?<![\w.…{/])([A-Z][A-Z0-9]*_[A-Z0-9_]*[A-Z0-9])(?![\w(])")
SOURCES = ("accounts", "benchmarks", "cloudnotes", "notes", "tests")
# What Railway and gunicorn read.
ELSEWHERE = {"RAILWAY_DEPLOYMENT_DRAINING_SECONDS"}
# The first generation's names for two of the others.
UNPREFIXED = {"register", "login"}


def ids(page):
    return str(page.relative_to(ROOT))


def slug(heading):
    """Return the anchor that GitHub gives a heading."""
    words = re.sub(r"[^\w\s-]", "", heading.lower())
    return re.sub(r"\s", "-", words.strip())


def code(text):
    """Return the code of a page: its spans and its blocks."""
    blocks = [block for _, block in FENCED.findall(text)]
    return [*SPAN.findall(FENCED.sub("", text)), *blocks]


def section(page, heading):
    """Return the text below a heading, to the next one of its level or above."""
    level, _, title = heading.partition(" ")
    text = (ROOT / page).read_text()
    start = text.index(f"\n{level} {title}\n")
    end = re.compile(rf"^#{{1,{len(level)}}} ", re.MULTILINE).search(text, start + 1 + len(heading))
    return text[start : end.start() if end else None]


@functools.cache
def words_of_the_code():
    paths = [path for name in SOURCES for path in (ROOT / name).rglob("*.py")]
    paths += [ROOT / name for name in ("Makefile", ".env.example", "compose.yaml")]
    return set(re.findall(r"\w+", "\n".join(path.read_text() for path in paths)))


def wrong(cases, check):
    """Return what is wrong with those of some cases that fail."""
    return failures({str(case): case for case in cases}, check)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_to_files_and_headings(page):
    links = LINK.findall(FENCED.sub("", page.read_text()))
    assert wrong(links, lambda link: follow(page, link)) == {}


def follow(page, link):
    if re.match(r"https?://", link):
        return
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    assert target.is_relative_to(ROOT), link
    assert target.exists(), link
    if anchor:
        headings = HEADING.findall(FENCED.sub("", target.read_text()))
        assert anchor in map(slug, headings), link


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        name for each in code(page.read_text()) for name in re.findall(r"\bmake ([a-z-]+)", each)
    }
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_management_commands_and_their_options_exist(page):
    named = [
        found
        for each in code(page.read_text())
        for found in re.findall(r"manage\.py ([a-z_]+)((?: [^\s`&|]+)*)", each)
    ]
    assert wrong(named, is_a_command) == {}


def test_options_that_operators_are_told_of_exist():
    text = (ROOT / "docs/operations.md").read_text()
    known = {
        option for name in re.findall(r"manage\.py ([a-z_]+)", text) for option in options(name)
    }
    told = re.findall(r"`(--[a-z-]+)", text)
    assert told
    assert set(told) <= known


def options(name):
    """Return the options of a management command."""
    command = load_command_class(get_commands()[name], name)
    return set(command.create_parser("manage.py", name)._option_string_actions)


def is_a_command(named):
    name, rest = named
    assert name in get_commands(), name
    assert set(re.findall(r"(?<!\S)(--[a-z-]+)", rest)) <= options(name), named


@pytest.mark.parametrize("page", CURRENT, ids=ids)
def test_paths_in_the_repository_exist(page):
    named = {
        path
        for each in SPAN.findall(FENCED.sub("", page.read_text()))
        for path in re.findall(rf"(?<![\w/.{{]){PATH.pattern}", each)
        if "." in path or path.startswith(("tests/", "docs/", "deploy/", "benchmarks/"))
    }
    if page.name == "architecture.md":
        diagram = section("docs/architecture.md", "## The layers")
        named |= set(re.findall(rf"(?<![\w/.]){PATH.pattern}", FENCED.findall(diagram)[0][1]))
    missing = {path for path in named if not (ROOT / path).exists()}
    # Reports of benchmarks are there once one has run.
    assert {path for path in missing if not path.startswith("benchmarks/results/")} == set()


@pytest.mark.parametrize("page", CURRENT, ids=ids)
def test_names_occur_where_documents_say(page):
    assert wrong(NAMED_IN.findall(page.read_text()), is_named_in) == {}


def is_named_in(named):
    name, path = named
    source = (ROOT / path).read_text()
    for part in name.split("."):
        defined = rf"\b(?:def|class) {part}\b|^\s*{part}(?:: [^=\n]+)? = |name=\"{part}\""
        assert re.search(defined, source, re.MULTILINE), named


@pytest.mark.parametrize("page", CURRENT, ids=ids)
def test_names_in_capitals_are_known(page):
    """Settings, variables of the environment and constants."""
    known = words_of_the_code() | ELSEWHERE
    named = {name for each in code(page.read_text()) for name in CAPITALS.findall(each)}
    assert named - known == set()


def test_operators_are_told_of_every_setting():
    shown = set(re.findall(r"^#([A-Z0-9_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    rows = re.findall(
        r"^\| (`[A-Z].*?) \|", section("docs/operations.md", "## Settings"), re.MULTILINE
    )
    told = {name for row in rows for name in re.findall(r"`([A-Z0-9_]+)`", row)}
    assert told == shown


def test_operators_are_told_of_every_job_and_limit():
    worker = section("docs/operations.md", "## The worker").split("|")
    told = {name.strip() for cell in worker for name in cell.split(",")}
    assert set(settings.WORKER_JOBS) <= told
    limits = section("docs/operations.md", "## Limits")
    counts = {f"{count:,}" for rules in settings.LIMITS.values() for _, count, _ in rules}
    assert counts <= set(re.findall(r"[\d,]*\d", limits))


def test_the_reference_has_every_route_and_method():
    told = set()
    for paths, methods in re.findall(
        r"^\| (`[a-z][^|]*) \| ([A-Z, ;]+) \|", (ROOT / "docs/api.md").read_text(), re.MULTILINE
    ):
        names = re.findall(r"`([^`]+)`", paths)
        groups = methods.split(";") if ";" in methods else [methods] * len(names)
        for name, group in zip(names, groups, strict=True):
            told |= {(anonymous(name), verb.strip().lower()) for verb in group.split(",")}
    routed = {
        (anonymous(route), verb)
        for route, verbs in ROUTES.items()
        for verb in verbs
        if route not in UNPREFIXED
    }
    assert told == routed


def anonymous(route):
    """Return a route without the names of its numbers."""
    return re.sub(r"<[^>]+>|\{[^}]+\}", "*", route)


def test_requests_in_the_reference_go_to_routes():
    text = (ROOT / "docs/api.md").read_text()
    requests = [block.split("\n", 1)[0] for kind, block in FENCED.findall(text) if kind == "http"]
    assert len(requests) > 10
    routes = {anonymous(route): verbs for route, verbs in ROUTES.items()}
    for request in requests:
        verb, address = request.split(" ")
        path = re.sub(r"/\d+", "/*", address.partition("?")[0])
        assert verb.lower() in routes[path.removeprefix("/api/v1/")], request


def test_codes_in_the_reference_are_those_of_the_code():
    cells = re.findall(
        r"^\| [45]\d\d \| ([^|]*) \|", section("docs/api.md", "## Errors"), re.MULTILINE
    )
    codes = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    sources = [path for app in SOURCES[:1] + SOURCES[2:4] for path in (ROOT / app).rglob("*.py")]
    quoted = set(re.findall(r'"(\w+)"', "\n".join(path.read_text() for path in sources)))
    assert len(codes) > 20
    assert codes <= quoted | {UnsupportedMediaType.default_code}


def test_the_reference_has_every_field_of_a_note():
    told = set(re.findall(r"`(\w+)`", section("docs/api.md", "## Notes")))
    assert {field.name for field in NOTE_FIELDS} <= told


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("### A stored object", StoredObject.State.values),
        ("### An upload", Upload.State.values),
        ("### A mail", ["due_at", "sent_at", "failed_at", "used_at"]),
    ],
)
def test_diagrams_have_the_states_of_the_models(heading, names):
    text = section("docs/architecture.md", heading)
    assert set(names) <= set(re.findall(r"\w+", text))
    if heading == "### A mail":
        assert set(names) <= {field.name for field in Mail._meta.fields}


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 200
