"""Mutants of ``notes.markdown`` and of links between notes."""

from tests.mutants.mutant import Mutant

LINKS = "tests/notes/api/test_links.py"
MARKDOWN = "tests/notes/markdown"

MUTANTS = [
    Mutant(
        "rename-leaves-links",
        "A note that is renamed is called by its new title where others link to it.",
        "notes/actions/links.py",
        "content = wikilinks.retitle(note.content, _replacer(reached))",
        "content = note.content",
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
        "second-rename-leaves-links",
        "Links follow also a note that was renamed twice meanwhile.",
        "notes/actions/indexing.py",
        "linked_key = renamed_from or title_key",
        "linked_key = title_key",
        (f"{LINKS}::test_a_second_rename_before_the_links_have_followed",),
    ),
]
