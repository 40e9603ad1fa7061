"""The OpenAPI document: complete, valid, and what the service really answers."""

import re
import secrets
import subprocess

import pytest
import requests
from django.core.management import call_command

from tests.conftest import PASSWORD
from tests.lengths import length
from tests.routes import OWN_WORDS, REPLACED, TABLE
from tests.servers import BIN

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,unsupported_method,ignored_auth"
)


def test_generating_it_warns_of_nothing(capsys):
    call_command("spectacular", validate=True, fail_on_warn=True, file="/dev/null")


@pytest.mark.django_db
def test_every_route_is_in_it_and_the_unprefixed_ones_are_not(anonymous):
    document = anonymous.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    described = {
        (
            path.removeprefix("/api/v1/")
            .replace("{id}", "<int:pk>")
            .replace("{version}", "<int:version>")
            .replace("{attachment_id}", "<int:attachment_id>")
            .replace("{upload_id}", "<int:upload_id>")
            .replace("{name}", "<path:name>")
            .replace("{category}", "<path:category>"),
            verb,
        )
        for path, verbs in document["paths"].items()
        for verb in verbs
    }
    assert described == {key for key in TABLE if key[0] not in UNPREFIXED}
    assert all(path.startswith("/api/v1/") for path in document["paths"])


@pytest.mark.django_db
def test_every_post_with_a_token_tells_of_its_key(anonymous):
    document = anonymous.get("/openapi.json").json()
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            takes = [each["name"] for each in operation.get("parameters", ())]
            is_keyed = verb == "post" and bool(operation.get("security"))
            assert ("Idempotency-Key" in takes) == is_keyed, (verb, path)
            assert not is_keyed or {"409", "422"} <= set(operation["responses"])


@pytest.mark.django_db
def test_generated_clients_send_what_the_user_set_and_nothing_else(anonymous):
    document = anonymous.get("/openapi.json").json()
    schemas = document["components"]["schemas"]

    def schemas_in(value):
        if isinstance(value, dict):
            yield value
            if reference := value.get("$ref", ""):
                yield from schemas_in(schemas[reference.rpartition("/")[2]])
        for member in value.values() if isinstance(value, dict) else value:
            if isinstance(member, dict | list):
                yield from schemas_in(member)

    bodies = [
        operation["requestBody"]
        for verbs in document["paths"].values()
        for operation in verbs.values()
        if "requestBody" in operation
    ]
    sent = [schema for body in bodies for schema in schemas_in(body)]
    assert len(sent) > 100
    assert [schema for schema in sent if "default" in schema] == []
    objects = [schema for schema in sent if "properties" in schema]
    assert {schema["additionalProperties"] for schema in objects} == {False}
    # A replacement says what the note is to say; a change says what it changes.
    note = document["paths"]["/api/v1/notes/{id}"]

    def required(verb):
        body = note[verb]["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        return schemas[body.rpartition("/")[2]].get("required", [])

    assert required("put") == ["content", "title"]
    assert required("patch") == []


@pytest.mark.django_db
def test_whole_numbers_have_64_bits(anonymous):
    text = anonymous.get("/openapi.json").content.decode()
    integers = re.findall(r'\{[^{}]*"type":\s*"integer"[^{}]*\}', text)
    assert len(integers) > 50
    assert [schema for schema in integers if '"int64"' not in schema] == []


UNPREFIXED = {*REPLACED, *OWN_WORDS}
ENDING = "auth/(logout|me|2fa$|sessions/|tokens/)"
# Operations that end what the others live by get a session and rows of their own.
WHAT_LASTS = ["--exclude-path-regex", "auth/logout", "--exclude-method", "DELETE"]
WHAT_ENDS_A_ROW = ["--include-method", "DELETE", "--exclude-path-regex", "auth"]
WHAT_ENDS_A_SESSION = ["--include-path-regex", ENDING]

# Of each operation, beside what its examples and the coverage of its schema give. All three runs
# together send over 10,000 requests in the full form.
EXAMPLES = str(length(short=4, full=200))

BODIES = {"notes": {"title": "t"}, "contacts": {"first_name": "f"}}


@pytest.mark.long
@pytest.mark.parametrize(
    ("selected", "operations"),
    [
        (WHAT_LASTS, lambda route, verb: verb != "delete" and "auth/logout" not in route),
        (WHAT_ENDS_A_ROW, lambda route, verb: verb == "delete" and "auth" not in route),
        (WHAT_ENDS_A_SESSION, lambda route, verb: re.search(ENDING, route)),
    ],
)
def test_schemathesis_finds_no_server_error_and_no_undocumented_answer(
    server, tmp_path, selected, operations
):
    account = {"email": f"{secrets.token_hex(6)}@example.org", "password": PASSWORD}
    tokens = requests.post(f"{server.api}/auth/register", json=account, timeout=60).json()
    header = {"Authorization": f"Bearer {tokens['access_token']}"}
    rows = {
        path: requests.post(f"{server.api}/{path}", json=body, headers=header, timeout=60).json()
        for path, body in BODIES.items()
    }
    note, header_of_file = rows["notes"]["id"], {"headers": header, "timeout": 30}
    files = f"{server.api}/notes/{note}/attachments"
    sent = {"files": {"file": ("f.txt", b"text")}, **header_of_file}
    file = requests.post(files, **sent).json()
    announced = {"name": "n", "size": 1, "sha256": "0" * 64}
    upload = requests.post(f"{files}/uploads", json=announced, **header_of_file).json()
    config = tmp_path / "schemathesis.toml"
    config.write_text(
        "".join(
            f'[[operations]]\ninclude-path-regex = "/{path}/"\n'
            f'parameters = {{ "path.id" = {row["id"]}, "path.version" = 1,'
            f' "path.attachment_id" = {file["id"]}, "path.upload_id" = {upload["id"]} }}\n'
            for path, row in rows.items()
        )
    )
    command = [BIN / "st", "--config-file", config, "run", f"{server.url}/openapi.json", *selected]
    command += ["--header", f"Authorization: {header['Authorization']}"]
    command += ["--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--seed", "1"]
    command += ["--max-redirects", "0", "--max-examples", EXAMPLES, "--continue-on-failure"]
    # One worker: CPython 3.11 cannot parse in two threads at once (python/cpython#106905).
    command += ["--workers", "1", "--request-timeout", "30", "--no-color"]
    command += ["--generation-database", "none"]
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=10_800,
        cwd=tmp_path,
    )
    print(run.stdout)  # noqa: T201 - pytest shows it when the test fails
    assert run.returncode == 0
    chosen = [key for key in TABLE if key[0] not in UNPREFIXED and operations(*key)]
    assert re.search(rf"Tested: {len(chosen)}$", run.stdout, re.MULTILINE)
    generated, passed = re.findall(r"(\d+) generated, (\d+) passed", run.stdout)[0]
    assert generated == passed
    assert int(generated) > len(chosen) * length(short=1, full=100)
