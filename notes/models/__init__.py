"""The tables of notes."""

from notes.files.models import StoredObject, Thumbnail
from notes.models.attachments import Attachment, KeptFile
from notes.models.changes import Change, Feed, Generation
from notes.models.imports import ImportedItem
from notes.models.links import Link, Renaming
from notes.models.notes import Note
from notes.models.revisions import Revision
from notes.models.saved_searches import SavedSearch
from notes.models.searches import IndexedNote, SearchIndex
from notes.models.tags import Tagging
from notes.models.uploads import Upload

__all__ = [
    "Attachment",
    "Change",
    "Feed",
    "Generation",
    "ImportedItem",
    "IndexedNote",
    "KeptFile",
    "Link",
    "Note",
    "Renaming",
    "Revision",
    "SavedSearch",
    "SearchIndex",
    "StoredObject",
    "Tagging",
    "Thumbnail",
    "Upload",
]
