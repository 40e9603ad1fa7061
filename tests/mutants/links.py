"""Mutants of ``notes.markdown`` and of links between notes."""

from tests.mutants.mutant import Mutant

LINKS = "tests/notes/api/test_links.py"
MARKDOWN = "tests/notes/markdown"

MUTANTS = [
    Mutant(
        "rename-leaves-links",
        "A note that is renamed is called by its new title where others link to it.",
        "notes/actions/links.py",
        'changes, now = {"content": content}, timezone.now()',
        'changes, now = {"content": note.content}, timezone.now()',
        (f"{LINKS}::test_a_rename_keeps_them_right",),
    ),
    Mutant(
        "link-in-a-block-of-code",
        "A link within a block of code is no link.",
        "notes/markdown/wikilinks.py",
        "        if not block.is_code:\n",
        "        if True:\n",
        (f"{MARKDOWN}/test_wikilinks.py::test_which_there_are",),
    ),
    Mutant(
        "link-in-a-code-span",
        "A link within a code span is no link.",
        "notes/markdown/inline.py",
        "return Span(Kind.CODE, start, span_end) if span_end > 0 else None",
        "return None",
        (f"{MARKDOWN}/test_wikilinks.py::test_which_there_are",),
    ),
    Mutant(
        "quote-marks-are-read-as-text",
        "The marks of a quote are no part of the text in it.",
        "notes/markdown/blocks.py",
        "                self.prefixes.append((start, first))\n",
        "                pass\n",
        (f"{MARKDOWN}/test_wikilinks.py::test_which_there_are",),
    ),
    Mutant(
        "task-in-fenced-code-of-a-list",
        "What is in fenced code within a list is no task.",
        "notes/markdown/blocks.py",
        "if is_raw and depth == len(self.containers):",
        "if is_raw and depth == len(self.containers) == 0:",
        (f"{MARKDOWN}/test_tasks.py::test_what_a_task_is",),
    ),
    Mutant(
        "file-link-in-code-is-signed",
        "An address of a file within code is left as it is.",
        "notes/markdown/file_links.py",
        "        if match.end() <= start:\n",
        "        if match:\n",
        (f"{MARKDOWN}/test_file_links.py::test_all_but_those_in_code",),
    ),
    Mutant(
        "rename-of-no-title-kept",
        "A rename is known from the write, not from the index.",
        "notes/models/notes.py",
        'condition="OLD.title <> NEW.title",',
        'condition="OLD.title <> NEW.title AND NEW.version > 2",',
        (f"{LINKS}::test_a_rename_that_no_index_saw",),
    ),
    Mutant(
        "rename-before-its-links-are-indexed",
        "A rename waits until the index has the links that were written before it.",
        "notes/actions/links.py",
        "Renaming.objects.filter(~Exists(later), owner_id=owner.pk)",
        "Renaming.objects.filter(owner_id=owner.pk)",
        (f"{LINKS}::test_a_rename_waits_for_the_links_that_were_written_before_it",),
    ),
    Mutant(
        "rename-meanwhile-forgotten",
        "A note that is renamed while its links are rewritten is followed once more.",
        "notes/actions/links.py",
        "[row for row in rows if titles.get(row.note_id) == row.title]",
        "rows",
        (f"{LINKS}::test_a_rename_during_the_rename",),
    ),
    Mutant(
        "shorter-title-means-the-note",
        "A link means the note of its longest title that a note has.",
        "notes/api/links.py",
        "Q(title_key=key) & ~_means_a_longer_title(caller)",
        "Q(title_key=key)",
        (f"{LINKS}::test_the_longest_title_that_a_note_has_is_meant",),
    ),
    Mutant(
        "number-of-another-host",
        "The number of a note on another host is no link.",
        "notes/markdown/wikilinks.py",
        'if address["root"] is None or is_own(address["root"]):',
        "if address:",
        (f"{LINKS}::test_a_note_of_another_host_is_no_link",),
    ),
]
