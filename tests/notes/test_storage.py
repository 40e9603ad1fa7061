"""What both storages do the same: objects by their keys."""

import pytest

from notes.files import storage
from notes.files.filesystem import FolderStorage
from notes.files.types import Storage


def write(key, content):
    writer = storage.open_writer(key, on_parts=lambda _: None)
    writer.write(content)
    writer.finish()


@pytest.mark.service
def test_an_object_has_another_key_in_place_of_what_is_there(stored_keys):
    source, key = storage.new_key(), storage.new_key()
    write(source, b"new")
    write(key, b"old")
    storage._storage.rename(source, key)
    assert stored_keys() == {key}
    assert storage.read(key) == b"new"


def test_a_folder_takes_no_parts(tmp_path):
    folder: Storage = FolderStorage(location=tmp_path)
    assert not folder.takes_parts
    with pytest.raises(NotImplementedError):
        folder.begin_parts("files/00/k")
    with pytest.raises(NotImplementedError):
        folder.part_link("files/00/k", "u", 1, size=1)
    with pytest.raises(NotImplementedError):
        folder.finish_parts("files/00/k", "u", {})
