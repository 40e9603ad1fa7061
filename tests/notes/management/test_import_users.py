"""``import_users``: a whole store, each rule, twice, broken off, several at once."""

import copy
import datetime as dt
import io
import json
import re
import subprocess
import sys
import time

import bcrypt
import pytest
import requests
from django.contrib.auth.hashers import make_password
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError
from django.utils import timezone

from accounts.actions import users
from accounts.models import User
from notes import transfer
from notes.actions import imports
from notes.actions import notes as actions
from notes.models import ImportedItem, Note
from tests.conftest import PASSWORD, client_of
from tests.hashers import RAW_SALT
from tests.servers import ROOT
from tests.waiting import TIMEOUT_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)
LOGIN = "/api/v1/auth/login"
BCRYPT = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
CREATED = "2024-05-06T07:08:09.000010+02:00"
CREATED_AT = dt.datetime(2024, 5, 6, 5, 8, 9, 10, tzinfo=dt.UTC)


def user(name="dora", **fields):
    return {
        "username": name,
        "email": f"{name}@example.org",
        "hashed_password": BCRYPT,
        "full_name": name.title(),
        "disabled": False,
        "created_at": CREATED,
        **fields,
    }


def item(id=1, owner="dora", **fields):
    return {
        "id": id,
        "title": f"Title {id}",
        "description": f"Text {id}",
        "owner": owner,
        "created_at": CREATED,
        **fields,
    }


STORE = {
    "users": {"dora": user(), "emil": user("emil", disabled=True, full_name=None)},
    "items": {"dora": [item(1), item("two")], "emil": [item(1, "emil")]},
}


@pytest.fixture
def bring(tmp_path):
    """Run the command on a store and return what it printed."""

    def run(store, *options):
        path = tmp_path / "store.json"
        path.write_text(json.dumps(store))
        told = io.StringIO()
        call_command("import_users", str(path), *options, stdout=told)
        return told.getvalue()

    return run


def bring_user(bring, **fields):
    return bring({"users": {"dora": user(**fields)}, "items": {}})


def bring_items(bring, *records):
    return bring({"users": {"dora": user()}, "items": {"dora": records}})


def rows():
    found = [model.objects.order_by("pk").values() for model in (User, Note, ImportedItem)]
    return copy.deepcopy([list(each) for each in found])


def test_a_whole_store(bring):
    assert bring(STORE).splitlines() == [
        "Users: 2 imported, 0 already there, 0 skipped.",
        "Items: 3 imported, 0 already there, 0 skipped.",
    ]
    dora, emil = User.objects.order_by("email_folded")
    assert (dora.email, dora.username, dora.full_name) == ("dora@example.org", "dora", "Dora")
    assert (dora.is_active, dora.is_staff, dora.created_at) == (True, False, CREATED_AT)
    assert (emil.is_active, emil.full_name) == (False, "")
    one, two = dora.notes.order_by("pk")
    assert (one.title, one.content, one.version) == ("Title 1", "Text 1", 1)
    assert (one.created_at, one.updated_at) == (CREATED_AT, CREATED_AT)
    found = ImportedItem.objects.order_by("pk").values_list("owner_id", "source", "note_id")
    assert list(found) == [
        (dora.pk, "1", one.pk),
        (dora.pk, "two", two.pk),
        (emil.pk, "1", emil.notes.get().pk),
    ]


def test_twice_changes_nothing(bring):
    bring(STORE)
    before = rows()
    assert bring(STORE).splitlines() == [
        "Users: 0 imported, 2 already there, 0 skipped.",
        "Items: 0 imported, 3 already there, 0 skipped.",
    ]
    assert rows() == before


def test_a_dry_run_says_the_same_and_keeps_nothing(bring, caplog):
    dry = bring(STORE, "--dry-run")
    assert rows() == [[], [], []]
    assert not [record for record in caplog.records if hasattr(record, "event")]
    assert dry == bring(STORE) + "A dry run: nothing of this was kept.\n"


def test_every_note_is_recorded_as_created(bring, caplog):
    caplog.set_level("INFO")
    bring(STORE)
    told = [record.event for record in caplog.records if hasattr(record, "event")]
    assert told == ["user_imported"] * 2 + ["note_created"] * 3


@pytest.mark.parametrize(
    "hashed",
    [
        bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4).replace(b"2b", b"2a")).decode(),
        BCRYPT,
        BCRYPT.replace("$2b$", "$2y$"),
        make_password(PASSWORD, hasher="pbkdf2_sha256"),
        make_password(PASSWORD, hasher="bcrypt_sha256"),
        make_password(PASSWORD, hasher="argon2"),
        RAW_SALT,
    ],
    ids=["2a", "2b", "2y", "pbkdf2_sha256", "bcrypt_sha256", "argon2", "passlib"],
)
def test_passwords_keep_working_and_are_hashed_anew_at_log_in(bring, anonymous, hashed):
    assert "hash" not in bring_user(bring, hashed_password=hashed)
    for password, status in (("wrong", 401), (PASSWORD, 200), (PASSWORD, 200), ("wrong", 401)):
        body = {"username": "dora", "password": password}
        assert anonymous.post(LOGIN, body, format="json").status_code == status
    dora = User.objects.get()
    assert dora.password.startswith("bcrypt_sha256$")
    assert dora.check_password(PASSWORD)


@pytest.mark.parametrize(
    "hashed",
    [None, "", "!", "CANARY", "md5$s$CANARY", BCRYPT[:-1], RAW_SALT.replace("1000", "10000001")],
    ids=["none", "empty", "unusable", "plain text", "md5", "bcrypt cut", "10,000,001 rounds"],
)
def test_an_unknown_hash_leaves_the_account_without_a_password(bring, anonymous, hashed):
    told = bring_user(bring, hashed_password=hashed)
    assert "user 'dora': the password's hash cannot be used: they log in after" in told
    assert "Users: 1 imported" in told
    assert not User.objects.get().has_usable_password()
    for password in (PASSWORD, "CANARY"):
        body = {"username": "dora", "password": password}
        assert anonymous.post(LOGIN, body, format="json").status_code == 401


@pytest.mark.parametrize("disabled", [True, False])
def test_disabled_users_stay_out(bring, anonymous, disabled):
    bring_user(bring, disabled=disabled)
    body = {"username": "dora", "password": PASSWORD}
    response = anonymous.post(LOGIN, body, format="json")
    assert response.status_code == (401 if disabled else 200)


@pytest.mark.parametrize(
    "email",
    [
        None, "", "  ", "no address", "a@b", "d\0@example.org", "d\ud800@example.org",
        "d" * 250 + "@example.org", "f@" + ".".join(["\ufdfa" * 5] * 10) + ".org", 7, ["a@b.org"],
    ],
)  # fmt: skip
def test_without_a_valid_email_a_user_and_the_items_are_skipped(bring, email):
    told = bring({"users": {"dora": user(email=email)}, "items": {"dora": [item(), item(2)]}})
    lines = told.splitlines()
    assert lines[0].startswith("user 'dora' skipped: ")
    assert lines[1:] == [
        "Users: 0 imported, 0 already there, 1 skipped.",
        "item '1' of 'dora' skipped: its user was not imported.",
        "item '2' of 'dora' skipped: its user was not imported.",
        "Items: 0 imported, 0 already there, 2 skipped.",
    ]
    assert rows() == [[], [], []]


@pytest.mark.parametrize(
    "username", ["a@b", "a＠b", "\u200b", "a\u202eb", "a\0b", "\ud800", "x" * 61]
)
def test_an_unfit_username_is_left_out(bring, anonymous, username):
    assert "user 'dora': imported without the username: " in bring_user(bring, username=username)
    assert User.objects.get().username is None
    body = {"username": "dora@example.org", "password": PASSWORD}
    assert anonymous.post(LOGIN, body, format="json").status_code == 200


@pytest.mark.parametrize("username", [None, ""])
def test_without_a_username_the_key_is_what_they_logged_in_with(bring, username):
    bring_user(bring, username=username)
    assert User.objects.get().username == "dora"


def test_a_long_full_name_is_cut_and_an_unfit_one_left_out(bring):
    store = {
        "users": {
            "dora": user(full_name="x" * 201),
            "emil": user("emil", full_name="CANARY\0"),
        }
    }
    told = bring(store)
    assert "user 'dora': the full name was cut to 200 characters.\n" in told
    assert "user 'emil': imported without the full name: " in told
    assert "CANARY" not in told
    assert [each.full_name for each in User.objects.order_by("pk")] == ["x" * 200, ""]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "it is not an object"),
        ("text", "it is not an object"),
        (user(username=1), "username is not text"),
        (user(hashed_password=["CANARY"]), "hashed_password is not text"),
        (user(full_name={}), "full_name is not text"),
        (user(disabled="no"), "disabled is neither true nor false"),
    ],
)
def test_a_user_of_odd_types_is_skipped(bring, record, reason):
    told = bring({"users": {"dora": record, "emil": user("emil")}, "items": {}})
    assert f"user 'dora' skipped: {reason}.\n" in told
    assert "Users: 1 imported, 0 already there, 1 skipped." in told
    assert "CANARY" not in told


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2024-05-06T07:08:09", dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=dt.UTC)),
        ("2024-05-06 07:08:09Z", dt.datetime(2024, 5, 6, 7, 8, 9, tzinfo=dt.UTC)),
        ("2024-05-06", dt.datetime(2024, 5, 6, tzinfo=dt.UTC)),
        (CREATED, CREATED_AT),
    ],
)
def test_times_without_a_zone_are_utc(bring, written, expected):
    told = bring({
        "users": {"dora": user(created_at=written)}, "items": {"dora": [item(created_at=written)]}
    })  # fmt: skip
    assert "created_at" not in told
    assert User.objects.get().created_at == expected
    note = Note.objects.get()
    assert (note.created_at, note.updated_at) == (expected, expected)


@pytest.mark.parametrize(
    "written",
    [
        None, "", "yesterday", 1715000000, True, [], "2024-13-01", "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00", "2999-01-01", "2024-05-06T07:08:09\ud800",
    ],
)  # fmt: skip
def test_odd_times_become_now(bring, written):
    before = timezone.now()
    told = bring({
        "users": {"dora": user(created_at=written)}, "items": {"dora": [item(created_at=written)]}
    })  # fmt: skip
    assert told.count("the time of the import is kept.") == 2
    assert before <= User.objects.get().created_at <= timezone.now()
    assert before <= Note.objects.get().created_at <= timezone.now()


def test_an_account_that_is_there_is_left_as_it_is_and_gets_its_items(bring, alice):
    User.objects.update(email_verified_at=timezone.now())
    before = User.objects.values().get()
    record = user("other", email="ALICE@Example.org", disabled=True)
    told = bring({"users": {"al": record}, "items": {"al": [item(1, "al"), item(2, "other")]}})
    assert told.splitlines() == [
        "Users: 0 imported, 1 already there, 0 skipped.",
        "Items: 2 imported, 0 already there, 0 skipped.",
    ]
    assert User.objects.values().get() == before
    assert alice.notes.count() == 2


def test_a_stranger_who_registered_the_address_gets_nothing(bring, alice):
    record = user("other", email="ALICE@Example.org")
    told = bring({"users": {"al": record}, "items": {"al": [item(1, "al")]}})
    assert "user 'al' skipped: somebody has registered its e-mail address" in told
    assert alice.notes.count() == 0


def test_a_taken_username_is_left_out(bring, alice):
    told = bring({"users": {"ALICE": user("ALICE", email="other@example.org")}, "items": {}})
    assert "user 'ALICE': imported without the username, which somebody else has.\n" in told
    assert User.objects.get(email="other@example.org").username is None
    alice.refresh_from_db()
    assert alice.username == "alice"


def test_two_users_of_one_address_are_one_account_and_lose_no_item(bring):
    store = {
        "users": {"dora": user(), "Dora2": user("Dora2", email="DORA@example.org")},
        "items": {"dora": [item(1)], "Dora2": [item(1, "Dora2", title="Another")]},
    }
    told = bring(store)
    assert "user 'Dora2': it has the e-mail address of 'dora': one account.\n" in told
    assert "Items: 2 imported" in told
    assert {note.title for note in User.objects.get().notes.all()} == {"Title 1", "Another"}
    before = rows()
    assert bring(store).splitlines() == [
        "Users: 0 imported, 2 already there, 0 skipped.",
        "Items: 0 imported, 2 already there, 0 skipped.",
    ]
    assert rows() == before


@pytest.mark.parametrize("owner", ["emil", "Dora", "stranger", "emil@example.org"])
def test_an_item_of_somebody_else_is_skipped(bring, owner):
    store = {
        "users": {"dora": user(), "emil": user("emil")},
        "items": {"dora": [item(1, owner, title="CANARY")]},
    }
    told = bring(store)
    assert "item '1' of 'dora' skipped: its owner is somebody else.\n" in told
    assert "CANARY" not in told
    assert not Note.objects.exists()


def test_a_username_that_is_another_users_key_means_that_user(bring):
    store = {
        "users": {"dora": user(username="emil"), "emil": user("emil")},
        "items": {"dora": [item(1, "emil")]},
    }
    assert "its owner is somebody else" in bring(store)
    assert not Note.objects.exists()


@pytest.mark.parametrize("owner", [None, "", "dora", "Dora the User", "d@example.org"])
def test_an_item_without_an_owner_or_with_another_name_of_the_user_is_theirs(bring, owner):
    record = user(username="Dora the User", email="d@example.org")
    bring({"users": {"dora": record}, "items": {"dora": [item(1, owner)]}})
    assert Note.objects.get().owner.email == "d@example.org"


def test_items_of_nobody_are_skipped(bring):
    told = bring({"users": {}, "items": {"ghost": [item(), "text", item(id=None)]}})
    assert re.findall(r"item (.*) of 'ghost' skipped", told) == ["'1'", "number 2", "number 3"]
    assert "Items: 0 imported, 0 already there, 3 skipped." in told


def test_a_long_title_is_cut_and_stands_whole_in_the_text(bring):
    title = "Word " * 50
    told = bring_items(bring, item(title=title))
    assert "item '1' of 'dora': the title was cut to 200 characters" in told
    note = Note.objects.get()
    assert (note.title, note.content) == (title[:200], f"{title}\n\nText 1")


def test_more_than_a_mebibyte_is_skipped_and_exactly_one_is_not(bring):
    records = [item(1, description="é" * 2**19), item(2, description="é" * 2**19 + "x")]
    told = bring_items(bring, *records)
    assert "item '2' of 'dora' skipped: its text has more than 1048576 bytes in UTF-8." in told
    assert "Items: 1 imported, 0 already there, 1 skipped." in told


def test_nul_is_taken_out_and_half_a_surrogate_pair_refused(bring):
    told = bring_items(
        bring,
        item(1, title="a\0b", description="\0c"),
        item(2, title="\ud800"),
        item(3, description="\udfff"),
        item(4, title="😀"),
    )
    assert "item '1' of 'dora': NUL characters were taken out.\n" in told
    assert told.count("skipped: its text holds half of a surrogate pair.") == 2
    assert [(n.title, n.content) for n in Note.objects.order_by("pk")] == [
        ("ab", "c"),
        ("😀", "Text 4"),
    ]


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (None, "it is not an object"),
        ([item()], "it is not an object"),
        (item(title=7), "title is not text"),
        (item(description=["CANARY"]), "description is not text"),
        (item(owner={}), "owner is not text"),
        (item(1.5), "id is neither text nor a whole number"),
        (item(id=True), "id is neither text nor a whole number"),
        (item({"a": 1}), "id is neither text nor a whole number"),
    ],
)
def test_an_item_of_odd_types_is_skipped(bring, record, reason):
    told = bring_items(bring, record, item("fine"))
    assert f" of 'dora' skipped: {reason}.\n" in told
    assert "Items: 1 imported, 0 already there, 1 skipped." in told
    assert "CANARY" not in told


def test_items_that_are_no_list_are_skipped(bring):
    told = bring({"users": {"dora": user()}, "items": {"dora": {"1": item()}}})
    assert "items of 'dora' skipped: they are not a list.\n" in told


def test_null_title_and_text_are_empty(bring):
    bring_items(bring, item(title=None, description=None))
    note = Note.objects.get()
    assert (note.title, note.content) == ("", "")


def test_items_without_an_id_or_with_an_unfit_one_are_known_all_the_same(bring):
    unfit = [None, "", "x" * 101, "\0", "\ud800", 10**200]
    records = [item(each, title=str(n), description="") for n, each in enumerate(unfit)]
    assert "Items: 6 imported, 0 already there, 0 skipped." in bring_items(bring, *records)
    sources = ImportedItem.objects.values_list("source", flat=True)
    assert all(re.fullmatch("sha256:[0-9a-f]{64}", source) for source in sources)
    before = rows()
    assert "Items: 0 imported, 6 already there, 0 skipped." in bring_items(bring, *records)
    assert rows() == before


def test_one_id_for_two_items_loses_none_and_the_same_item_twice_is_one(bring):
    records = [item(1), item("1", description="Other"), item(1)]
    assert "Items: 2 imported, 1 already there" in bring_items(bring, *records)
    before = rows()
    assert "Items: 0 imported, 3 already there" in bring_items(bring, *records)
    assert rows() == before


def test_a_note_that_its_owner_changed_or_deleted_stays_so(bring):
    bring(STORE)
    dora = User.objects.get(username="dora")
    client = client_of(dora)
    changed, deleted = dora.notes.order_by("pk")
    client.patch(f"/api/v1/notes/{changed.pk}", {"title": "Mine now"}, format="json")
    assert client.delete(f"/api/v1/notes/{deleted.pk}?permanent=true").status_code == 204
    assert ImportedItem.objects.get(source="two").note_id is None
    assert "Items: 0 imported, 3 already there" in bring(STORE)
    assert [note.title for note in dora.notes.all()] == ["Mine now"]


def test_what_was_imported_dies_with_the_account_and_can_come_again(bring):
    bring(STORE)
    dora = User.objects.get(username="dora")
    users.delete(user=dora, by=dora)
    assert ImportedItem.objects.count() == 1
    told = bring(STORE)
    assert "Users: 1 imported, 1 already there" in told
    assert "Items: 2 imported, 1 already there" in told


def test_a_run_that_broke_off_is_finished_by_the_next(bring, monkeypatch):
    real, calls = actions.create_note, []

    def dies(**fields):
        note = real(**fields)
        calls.append(note)
        if len(calls) == 2:
            raise KeyboardInterrupt  # inside of the transaction
        return note

    monkeypatch.setattr(actions, "create_note", dies)
    with pytest.raises(KeyboardInterrupt):
        bring(STORE)
    assert Note.objects.count() == ImportedItem.objects.count() == 1
    monkeypatch.undo()
    assert "Items: 2 imported, 1 already there, 0 skipped." in bring(STORE)
    assert Note.objects.count() == 3


def test_a_user_who_is_brought_in_by_another_run_meanwhile_is_already_there(bring, monkeypatch):
    real = users.import_user

    def late(**fields):
        if not User.objects.exists():
            real(**fields)
        return real(**fields)

    monkeypatch.setattr(users, "import_user", late)
    assert bring_user(bring).splitlines()[0] == "Users: 0 imported, 1 already there, 0 skipped."
    assert User.objects.get().username == "dora"


def test_an_account_that_is_deleted_meanwhile_costs_its_items_alone(bring, monkeypatch):
    def gone(**fields):
        raise IntegrityError

    monkeypatch.setattr(imports, "import_item", gone)
    assert "item '1' of 'dora' skipped: the account was deleted meanwhile.\n" in bring(STORE)


def test_the_database_refuses_an_item_of_no_account(alice):
    ghost = User(pk=alice.pk + 1)
    with pytest.raises(IntegrityError):
        imports.import_item(
            owner=ghost, source="1", title="", content="", created_at=timezone.now()
        )


def test_parallel_processes_bring_everything_in_once(server, tmp_path):
    names = [f"p{number}{time.monotonic_ns()}" for number in range(4)]
    store = {
        "users": {name: user(name) for name in names},
        "items": {name: [item(number, name) for number in range(25)] for name in names},
    }
    path = tmp_path / "store.json"
    path.write_text(json.dumps(store))
    running = [
        subprocess.Popen(
            [sys.executable, "manage.py", "import_users", str(path)],
            cwd=ROOT, env=server.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]  # fmt: skip
    told = [process.communicate(timeout=TIMEOUT_SECONDS) for process in running]
    assert [process.returncode for process in running] == [0] * 3, told
    for kind, number in (("Users", 4), ("Items", 100)):
        counts = [
            [int(each) for each in re.findall(rf"(?m)^{kind}: (\d+) \D+(\d+) \D+(\d+)", out)[0]]
            for out, _ in told
        ]
        assert sum(imported for imported, _, _ in counts) == number
        assert [sum(each) for each in counts] == [number] * 3
        assert all(skipped == 0 for _, _, skipped in counts)
    assert all("without" not in out for out, _ in told)
    for name in names:
        body = {"username": name, "password": PASSWORD}
        tokens = requests.post(f"{server.api}/auth/login", json=body, timeout=60).json()
        header = {"Authorization": f"Bearer {tokens['access_token']}"}
        notes = requests.get(f"{server.api}/notes?count=true", headers=header, timeout=60)
        assert notes.json()["count"] == 25


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not valid JSON"),
        (b'{"users": CANARY', "not valid JSON"),
        (b'{"users": {}, "items": {"a": NaN}}', "not valid JSON: NaN is not a number"),
        (b'{"users": {"a": {}, "a": {}}, "items": {}}', "a name occurs twice in one object"),
        (b'{"users": {"a": "\xff"}}', "not valid JSON"),
        (b'{"users": {"a": ' + b"9" * 5000 + b"}}", "not valid JSON"),
        (b'{"users": ' + b"[" * 100_000, "nested too deeply"),
        (b"[]", "no store"),
        (b"null", "no store"),
        (b'{"items": {}}', "no store"),
        (b'{"users": []}', "no store"),
        (b'{"users": {}, "items": []}', "no store"),
        (b'{"users": {}, "items": null}', "no store"),
    ],
)
def test_a_file_that_is_no_store_is_refused_in_one_line(tmp_path, content, reason):
    path = tmp_path / "store.json"
    path.write_bytes(content)
    with pytest.raises(CommandError, match=reason) as refused:
        call_command("import_users", str(path))
    assert "\n" not in str(refused.value)
    assert "CANARY" not in str(refused.value)


def test_a_missing_file_and_a_folder_are_refused_in_one_line(tmp_path):
    for path in (tmp_path / "none.json", tmp_path):
        with pytest.raises(CommandError, match=r"^The file cannot be read: .*\.$"):
            call_command("import_users", str(path))


def test_a_byte_order_mark_and_missing_items_are_taken(tmp_path):
    path = tmp_path / "store.json"
    path.write_text(json.dumps({"users": {"dora": user()}}), encoding="utf-8-sig")
    call_command("import_users", str(path), stdout=io.StringIO())
    assert User.objects.get().username == "dora"


def test_a_database_that_is_down_is_said_in_one_line(bring, monkeypatch):
    def down(**fields):
        raise OperationalError("CANARY")

    monkeypatch.setattr(imports, "import_item", down)
    with pytest.raises(CommandError, match=r"^The database cannot be used.*Run the command again"):
        bring(STORE)


def test_neither_hashes_nor_text_are_printed_or_logged(bring, caplog):
    caplog.set_level("DEBUG")
    canary = "CANARY"
    store = {
        "users": {
            "dora": user(full_name=canary * 50),
            "emil": user("emil", hashed_password=canary),
            "fred": user("fred", email=f"{canary}@"),
            "gus": user("gus", created_at=canary, username=f"{canary}@x", disabled=canary),
        },
        "items": {
            "dora": [
                item(1, title=canary * 50, description=canary),
                item(2, title=canary + "\0", created_at=canary),
                item(3, title=canary + "\ud800"),
                item(None, description=canary * 2**18),
                item(4, owner=canary),
                item(5, title=[canary]),
            ],
            "fred": [item(6, "fred", title=canary)],
        },
    }
    told = bring(store) + bring(store, "--dry-run")
    assert canary not in told
    assert canary not in caplog.text
    for record in caplog.records:
        assert canary not in str(record.__dict__) or record.name == "django.db.backends"
    for secret in (BCRYPT, BCRYPT[-20:]):
        assert secret not in told


def test_names_are_printed_so_that_no_terminal_is_harmed(bring, tmp_path):
    key = "\x1b[2J\n\ud800é"
    told = bring({"users": {key: 1}, "items": {key: [item("\x1b" + "x" * 200)]}})
    assert "user '\\x1b[2J\\n\\ud800é' skipped: it is not an object.\n" in told
    assert "\x1b" not in told
    assert transfer.shown("x" * 200) == repr("x" * 79 + "…")
    path, out = tmp_path / "store.json", io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    call_command("import_users", str(path), stdout=out)
    out.seek(0)
    assert "\\xe9' skipped: it is not an object.\n" in out.read()
