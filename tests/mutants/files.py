"""Mutants of what stores, checks and serves the files of notes."""

from tests.mutants.mutant import Mutant

ATTACHMENTS = "tests/notes/api/test_attachments.py"
FILE = "tests/notes/api/test_file.py"
UPLOADS = "tests/notes/api/test_uploads.py"
OBJECTS = "tests/notes/actions/test_objects.py"
PICTURES = "tests/cloudnotes/test_pictures.py"
THUMBNAILING = "tests/notes/test_thumbnailing.py"

MUTANTS = [
    # Objects and what points at them.
    Mutant(
        "history-lets-go-of-files",
        "A file that the history has is not deleted.",
        "notes/models/objects.py",
        "            kept_files=None,\n",
        "",
        (f"{ATTACHMENTS}::TestHistory", f"{OBJECTS}::test_after_the_commit_that_let_go"),
    ),
    Mutant(
        "sweep-deletes-pictures",
        "The sweep deletes no picture that somebody has.",
        "notes/models/objects.py",
        '            ~Exists(Avatar.objects.filter(key=OuterRef("key"))),\n',
        "",
        (f"{OBJECTS}::test_a_picture_is_never_swept",),
    ),
    Mutant(
        "file-removed-for-good-stays",
        "A file that is removed for good is gone from the storage.",
        "notes/actions/attachments.py",
        "            KeptFile.objects.filter(revision=revision, object__in=freed_ids).delete()\n",
        "",
        (f"{FILE}::test_upload_read_replace_delete",),
    ),
    Mutant(
        "deletion-without-a-second-look",
        "An object that another note has too stays when one note lets go of it.",
        "notes/actions/objects.py",
        "due = list(StoredObject.objects.due_to_go(now).filter(pk__in=locked))",
        "due = list(StoredObject.objects.filter(pk__in=locked))",
        (f"{ATTACHMENTS}::TestCopies", f"{FILE}::test_deleting_note_or_account_deletes_the_object"),
    ),
    Mutant(
        "refused-file-stays-in-the-storage",
        "A file that is refused leaves no object.",
        "notes/actions/objects.py",
        "    except DomainError:\n        discard(row.key)\n        raise",
        "    except DomainError:\n        raise",
        (
            "tests/notes/api/test_preconditions.py::test_a_stale_upload_leaves_no_object",
            f"{ATTACHMENTS}::test_a_note_has_at_most_100_files",
        ),
    ),
    Mutant(
        "account-deleted-with-its-files-left",
        "With an account its files go from the storage.",
        "accounts/actions/users.py",
        "        release_owner(owner=user)\n",
        "",
        (f"{OBJECTS}::test_deleting_an_account_deletes_its_files_and_its_picture",),
    ),
    # Limits and quotas.
    Mutant(
        "file-size-unlimited",
        "A file above MAX_FILE_BYTES is refused and leaves nothing.",
        "notes/actions/objects.py",
        "        if self.size > settings.MAX_FILE_BYTES:\n            raise FileTooLarge\n",
        "",
        (f"{FILE}::test_too_large_is_413_and_leaves_nothing",),
    ),
    Mutant(
        "files-of-a-note-off-by-one",
        "A note has at most 100 files.",
        "notes/actions/attachments.py",
        "        if len(files) >= MAX_FILES:",
        "        if len(files) > MAX_FILES:",
        (f"{ATTACHMENTS}::test_a_note_has_at_most_100_files",),
    ),
    Mutant(
        "quota-of-bytes-off-by-one",
        "An account may hold exactly as many bytes as its quota.",
        "notes/quotas.py",
        "if size + coming.size > settings.MAX_ACCOUNT_BYTES:",
        "if size + coming.size >= settings.MAX_ACCOUNT_BYTES:",
        (f"{ATTACHMENTS}::TestQuota::test_bytes_are_counted",),
    ),
    Mutant(
        "quota-of-files-off-by-one",
        "An account holds at most as many files as its quota.",
        "notes/quotas.py",
        "if number + 1 > settings.MAX_ACCOUNT_FILES:",
        "if number > settings.MAX_ACCOUNT_FILES:",
        (f"{UPLOADS}::test_announced_files_are_counted_too",),
    ),
    Mutant(
        "announced-files-not-in-the-quota",
        "A file counts in the quota from its announcement on.",
        "notes/models/objects.py",
        'Q(state="ready") | Q(state="pending", upload__isnull=False)',
        'Q(state="ready")',
        (f"{UPLOADS}::test_it_counts_from_the_announcement_on",),
    ),
    # Uploads past the service.
    Mutant(
        "upload-without-checksum",
        "A file whose bytes are not the announced ones never counts.",
        "notes/actions/uploads.py",
        "    if sha256 != upload.sha256:",
        "    if not sha256:",
        (f"{UPLOADS}::test_bytes_that_differ_never_count",),
    ),
    Mutant(
        "checksum-of-the-client-believed",
        "A checksum that a store only repeats is not believed.",
        "notes/files/s3.py",
        'return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))',
        "return bool(host)",
        (f"{UPLOADS}::test_bytes_that_differ_never_count",),
    ),
    Mutant(
        "upload-completed-after-its-time",
        "An upload counts within its time or never.",
        "notes/actions/uploads.py",
        "upload.state == Upload.State.FAILED or upload.expires_at < timezone.now():",
        "upload.state == Upload.State.FAILED:",
        (f"{UPLOADS}::test_in_time_or_never",),
    ),
    # What files are called, and how they are served.
    Mutant(
        "bidi-characters-in-file-names",
        "The name of a file holds no characters that turn its direction.",
        "notes/files/filetypes.py",
        'not in ("Cc", "Cf", "Cs", "Zl", "Zp")',
        'not in ("Cc", "Cs", "Zl", "Zp")',
        (f"{FILE}::test_clean_name",),
    ),
    Mutant(
        "pdf-shown-inline",
        "A file that may run something is saved, never shown in its place.",
        "notes/files/filetypes.py",
        "INLINE_TYPES = (*IMAGE_TYPES, TEXT_TYPE)",
        'INLINE_TYPES = (*IMAGE_TYPES, TEXT_TYPE, "application/pdf")',
        (f"{ATTACHMENTS}::test_inline_is_for_what_cannot_run",),
    ),
    Mutant(
        "text-served-as-html",
        "No file is served as HTML, whatever its sender says.",
        "notes/files/filetypes.py",
        'TEXT_TYPE = "text/plain; charset=utf-8"',
        'TEXT_TYPE = "text/html; charset=utf-8"',
        (f"{FILE}::test_content_type_of_keeps_to_the_list",),
    ),
    Mutant(
        "bucket-shows-files-inline",
        "The link to a file in the bucket has it saved.",
        "notes/files/s3.py",
        "as_attachment=not is_inline, filename=name",
        "as_attachment=False, filename=name",
        (f"{FILE}::test_upload_read_replace_delete",),
    ),
    Mutant(
        "download-without-sandbox",
        "A file of the disk is served in a sandbox.",
        "notes/downloads.py",
        """"sandbox; default-src 'none'\"""",
        """"default-src 'none'\"""",
        (f"{ATTACHMENTS}::TestDownloads::test_head_and_headers",),
    ),
    Mutant(
        "content-range-off-by-one",
        "Content-Range names the last byte that is sent.",
        "notes/downloads.py",
        'f"bytes {start}-{end - 1}/{stored.size}"',
        'f"bytes {start}-{end}/{stored.size}"',
        (f"{ATTACHMENTS}::TestDownloads::test_ranges",),
    ),
    Mutant(
        "signed-link-without-end",
        "A signed link to a file is good for 300 seconds.",
        "notes/downloads.py",
        "max_age = None if is_of_any_age else settings.FILE_LINK_SECONDS",
        "max_age = None",
        ("tests/notes/api/test_display.py",),
    ),
    # Thumbnails.
    Mutant(
        "thumbnail-of-too-many-pixels",
        "A picture of more than 50 million pixels is not decoded.",
        "notes/files/thumbnailing.py",
        "MAX_PIXELS = 50_000_000",
        "MAX_PIXELS = 500_000_000",
        (f"{THUMBNAILING}::test_bombs_are_refused_by_their_pixels",),
    ),
    Mutant(
        "thumbnail-process-without-memory-limit",
        "The process that decodes pictures has a limit of memory.",
        "cloudnotes/pictures/decoder.py",
        "        (resource.RLIMIT_AS, MAX_MEMORY_BYTES),\n",
        "",
        (f"{PICTURES}::test_the_child_is_bounded",),
    ),
    Mutant(
        "picture-process-inherits-descriptors",
        "The process that decodes pictures has no connection or socket of the service.",
        "cloudnotes/pictures/renditions.py",
        "            bufsize=0,\n",
        "            bufsize=0,\n            close_fds=False,\n",
        (f"{PICTURES}::test_the_child_inherits_no_descriptor",),
    ),
    Mutant(
        "picture-process-without-alarm",
        "The process that decodes pictures ends by itself, should the service be killed.",
        "cloudnotes/pictures/decoder.py",
        "    signal.alarm(seconds)\n",
        "",
        (f"{PICTURES}::test_the_child_ends_by_itself_should_nobody_wait_for_it",),
    ),
]
