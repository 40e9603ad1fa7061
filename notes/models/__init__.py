"""The tables of notes."""

from notes.models.attachments import Attachment
from notes.models.changes import Change, Feed, Generation
from notes.models.imports import ImportedItem
from notes.models.links import Link
from notes.models.notes import Note
from notes.models.objects import StoredObject
from notes.models.revisions import Revision
from notes.models.saved_searches import SavedSearch
from notes.models.searches import IndexedNote, SearchIndex
from notes.models.tags import Tagging

__all__ = [
    "Attachment",
    "Change",
    "Feed",
    "Generation",
    "ImportedItem",
    "IndexedNote",
    "Link",
    "Note",
    "Revision",
    "SavedSearch",
    "SearchIndex",
    "StoredObject",
    "Tagging",
]
