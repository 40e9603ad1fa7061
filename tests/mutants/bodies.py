"""Mutants of what requests may hold: names, values and forms."""

from tests.mutants.mutant import Mutant

NAMES = "tests/test_unknown_names.py"

MUTANTS = [
    Mutant(
        "defaults-in-bodies",
        "A generated client sends no default, which would empty a note.",
        "cloudnotes/api/schema.py",
        '            schema.pop("default", None)\n',
        "",
        ("tests/test_schema.py::test_generated_clients_send_what_the_user_set_and_nothing_else",),
    ),
    Mutant(
        "unknown-members-dropped",
        "A member of a body that is not known is refused by name.",
        "cloudnotes/api/validation.py",
        """                errors[name] = unknown("field", name, [*self.fields])
""",
        "                continue\n",
        (f"{NAMES}::test_an_unknown_member",),
    ),
    Mutant(
        "unknown-parameters-dropped",
        "A parameter of a query that is not known is refused by name.",
        "cloudnotes/api/views.py",
        """                errors[name] = unknown("parameter", name, {*fields, *paging})
""",
        "                continue\n",
        (f"{NAMES}::test_an_unknown_parameter",),
    ),
    Mutant(
        "bodies-where-none-is-taken",
        "A body is refused where none is taken.",
        "cloudnotes/api/views.py",
        "in self.bodiless and not takes_body and request.data:",
        "in self.bodiless and not takes_body and False:",
        (f"{NAMES}::test_an_unknown_member",),
    ),
    Mutant(
        "read-only-members-dropped",
        "A member that the service writes is refused if it would change something.",
        "cloudnotes/api/validation.py",
        'elif value is not None and not is_same(value, self.context["shown"][name]):',
        "elif False:",
        (f"{NAMES}::TestWhatWasShown::test_what_would_change_something_is_refused",),
    ),
    Mutant(
        "names-with-invisible-characters",
        "A name has no invisible character, or two names would look the same.",
        "cloudnotes/characters.py",
        'return f"U+{ord(found[0]):04X}" if found else ""',
        'return ""',
        ("tests/cloudnotes/test_characters.py::test_unusable",),
    ),
    Mutant(
        "names-without-joiners",
        "A name may have the joiners that its script or an emoji needs.",
        "cloudnotes/characters.py",
        'found = _UNUSABLE.search(_USABLE_THERE.sub("", name))',
        "found = _UNUSABLE.search(name)",
        ("tests/cloudnotes/test_characters.py::test_usable",),
    ),
    Mutant(
        "file-names-changed-by-the-form",
        "A file keeps the name that the form has.",
        "notes/api/uploading.py",
        "    def sanitize_file_name(self, file_name: str) -> str:\n        return file_name\n",
        "",
        ("tests/notes/api/test_file.py::test_a_name_is_kept_as_sent_on_every_way_in",),
    ),
    Mutant(
        "packed-bodies-stored",
        "A packed body is refused, not stored as it is.",
        "cloudnotes/api/parsers.py",
        'if encoding in ("", "identity"):',
        "if True:",
        ("tests/test_input.py::test_packed_bodies_are_415",),
    ),
    Mutant(
        "unknown-address-like-a-lost-note",
        "An address that is not there is told from a note that is not there.",
        "cloudnotes/api/errors.py",
        "if isinstance(exception, Resolver404):",
        "if False:",
        ("tests/test_input.py::test_an_address_that_is_not_there_is_no_lost_note",),
    ),
    Mutant(
        "put-without-content",
        "A replacement without the content does not empty the note.",
        "notes/api/notes.py",
        """    title = TitleField()
    content = ContentField()
""",
        """    title = TitleField()
    content = ContentField(default="")
""",
        ("tests/notes/api/test_notes.py::test_put_replaces_patch_changes_title_titles",),
    ),
    Mutant(
        "second-file-dropped",
        "A form with a second file is refused.",
        "notes/api/uploading.py",
        'raise serializers.ValidationError({"file": [repeated()]})',
        "return",
        (f"{NAMES}::TestForms::test_two_files",),
    ),
]
