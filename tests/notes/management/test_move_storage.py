"""``move_storage``: from disk to a bucket, back, and between buckets, while notes are written."""

import io

import pytest
from django.core.management import CommandError, call_command

from cloudnotes import storage_urls
from notes.files import moving
from notes.models import StoredObject
from tests.notes.files import add, fetch, image, new_note, path_of

pytestmark = pytest.mark.django_db(transaction=True)


def run():
    told, code = io.StringIO(), 0
    try:
        call_command("move_storage", stdout=told)
    except SystemExit as end:
        code = end.code
    return told.getvalue(), code


@pytest.fixture
def slots(s3, tmp_path):
    """Two storages as STORAGES says them."""

    def bucket():
        name = s3.new_bucket()
        key = f"{s3.key}:{s3.secret}"
        return storage_urls.read(f"s3://{key}@{name}?endpoint={s3.url}&region=us-east-1", "")

    return {
        "disk": storage_urls.read(f"file://{tmp_path}/one", ""),
        "bucket": bucket(),
        "other bucket": bucket(),
    }


@pytest.mark.parametrize(
    ("source", "target"), [("disk", "bucket"), ("bucket", "disk"), ("bucket", "other bucket")]
)
def test_every_file_is_to_be_had_all_the_time(as_alice, settings, slots, source, target):
    others = {name: value for name, value in settings.STORAGES.items() if name != "default"}

    def use(default, other=None):
        more = {"other": slots[other]} if other else {}
        settings.STORAGES = {**others, "default": slots[default], **more}

    def all_there():
        for content, file in files.items():
            assert fetch(as_alice, file["url"])[2] == content

    url = new_note(as_alice)
    settings.MAX_FILE_BYTES = 2**24
    use(source)
    contents = [b"one", b"", image(), b"x" * 9 * 2**20]
    files = {content: add(as_alice, url, content).json() for content in contents}
    # Every process knows both before any of them stores in the new place.
    use(source, target)
    all_there()
    use(target, source)
    all_there()
    gone = add(as_alice, url, b"gone").json()
    files[b"new"] = add(as_alice, url, b"new").json()
    told, code = run()
    assert (code, told.splitlines()[-1]) == (0, "4 brought (9.0 MiB), 2 there already, 0 missing.")
    assert "6 of 6" in told
    assert run()[0].splitlines()[-1] == "0 brought (0.0 MiB), 6 there already, 0 missing."
    all_there()
    as_alice.delete(path_of(gone["url"]) + "?permanent=true")
    use(target)
    all_there()
    use(source)
    assert as_alice.get(path_of(files[b"new"]["url"])).status_code in (302, 404)


def test_stopped_and_started_again(as_alice, settings, slots):
    others = {name: value for name, value in settings.STORAGES.items() if name != "default"}
    settings.STORAGES = {**others, "default": slots["disk"]}
    url = new_note(as_alice)
    for number in range(5):
        add(as_alice, url, b"%d" % number)
    settings.STORAGES = {**others, "default": slots["bucket"], "other": slots["disk"]}

    class Stopped(BaseException):
        pass

    def stop(done, total):
        if done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        moving.move(tell=stop)
    assert run()[0].splitlines()[-1] == "2 brought (0.0 MiB), 3 there already, 0 missing."


def test_other_bytes_are_never_taken(as_alice, settings, slots, tmp_path):
    others = {name: value for name, value in settings.STORAGES.items() if name != "default"}
    settings.STORAGES = {**others, "default": slots["disk"]}
    url = new_note(as_alice)
    files = [add(as_alice, url, content).json() for content in (b"right", b"wrong", b"lost")]
    rows = {row.sha256: row.key for row in StoredObject.objects.all()}
    keys = [rows[file["sha256"]] for file in files]
    (tmp_path / "one" / keys[1]).write_bytes(b"gnorw")
    (tmp_path / "one" / keys[2]).unlink()
    settings.STORAGES = {**others, "default": slots["bucket"], "other": slots["disk"]}
    told, code = run()
    assert code == 1
    for key in keys[1:]:
        assert f"not in the other storage as it was stored: {key}" in told
    assert told.splitlines()[-1] == "1 brought (0.0 MiB), 0 there already, 2 missing."


def test_without_another_storage(db):
    with pytest.raises(CommandError, match="OTHER_STORAGE"):
        run()


@pytest.mark.parametrize("url", ["", "/data", "file://data", "http://x", "s3://", "s3:///x"])
def test_what_is_no_storage(url):
    with pytest.raises(SystemExit, match="OTHER_STORAGE is not"):
        storage_urls.read(url, "")


def test_a_bucket_by_its_address():
    read = storage_urls.read("s3://k:s%2F%3D@name?endpoint=https://e.example", "eu-1")
    assert read["OPTIONS"] == {
        "bucket_name": "name",
        "region_name": "eu-1",
        "access_key": "k",
        "secret_key": "s/=",
        "endpoint_url": "https://e.example",
        "addressing_style": "path",
        "querystring_expire": 300,
    }
    assert storage_urls.read("s3://name", "eu-1")["OPTIONS"]["access_key"] is None
