"""The Django app of notes, their files, history, search and sync."""

from django.apps import AppConfig


class NotesConfig(AppConfig):
    name = "notes"
