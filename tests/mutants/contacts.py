"""Mutants of contacts: how they are found, and what vCards bring and take."""

from tests.mutants.mutant import Mutant

READING = "tests/accounts/vcards/test_reading.py"
WRITING = "tests/accounts/vcards/test_writing.py"
HOSTILE = "tests/accounts/vcards/test_hostile.py"
SEARCH = "tests/accounts/api/test_contact_search.py"
IMPORT = "tests/accounts/api/test_contact_vcards.py::TestImport"

MUTANTS = [
    Mutant(
        "contact-search-in-one-piece",
        "Contacts are found by their names in whatever order.",
        "accounts/address_book.py",
        "{*fold_for_search(text).split()}",
        '{" ".join(fold_for_search(text).split())}',
        (f"{SEARCH}::test_contacts_are_found_by_their_full_name_in_any_order",),
    ),
    Mutant(
        "contact-numbers-as-written-only",
        "Contacts are found by the digits of a number.",
        "accounts/address_book.py",
        "lines += dict.fromkeys((_digits(number), short))",
        "lines.append(short if not short.isdecimal() else '')",
        (f"{SEARCH}::test_numbers_are_found_by_their_digits",),
    ),
    Mutant(
        "birthdays-without-a-year-not-listed",
        "Birthdays without a year are among the next ones.",
        "accounts/models/contacts.py",
        "                Q(birthday=None)\n                | Q(upcoming__lt",
        "                Q(upcoming__lt",
        ("tests/accounts/api/test_birthdays.py::test_birthdays_without_a_year",),
    ),
    Mutant(
        "vcard-line-breaks-not-escaped",
        "No field of a contact can add a property to its vCard.",
        "accounts/vcards/cards.py",
        'LINE_BREAKS.sub("\\n", text)',
        "text",
        (f"{WRITING}::test_no_field_can_make_a_second_property",),
    ),
    Mutant(
        "vcard-notes-dropped",
        "The import of a vCard takes its notes.",
        "accounts/vcards/reading.py",
        'self._of("NOTE"))',
        'self._of("NOTES"))',
        (f"{READING}::test_escapes",),
    ),
    Mutant(
        "vcard-soft-breaks-ignored",
        "No line of an encoded value is taken for a property of a vCard.",
        "accounts/vcards/lines.py",
        'if colon and b"QUOTED-PRINTABLE" in head.upper():',
        'if not colon and b"QUOTED-PRINTABLE" in head.upper():',
        (f"{READING}::test_no_line_of_an_encoded_value_is_a_property",),
    ),
    Mutant(
        "vcard-left-out-without-a-word",
        "What of a vCard a contact cannot hold is named.",
        "accounts/vcards/lines.py",
        "self.left_out[LeftOut(name[:NAME_BYTES], reason)] = None",
        "pass",
        (f"{IMPORT}::test_what_is_left_out_is_named_for_each_person",),
    ),
    Mutant(
        "vcard-pictures-copied",
        "Nothing of a picture in a vCard is copied.",
        "accounts/vcards/lines.py",
        "body[start : min(end, start + HEAD_BYTES)]",
        "body[start:end]",
        (f"{HOSTILE}::test_of_pictures_nothing_is_copied",),
    ),
    Mutant(
        "vcard-takes-the-year",
        "An import of a birthday without a year keeps the year that the contact has.",
        "accounts/actions/contacts.py",
        "or key == contact.birthday_key)",
        "or False)",
        (f"{IMPORT}::test_a_birthday_without_a_year_takes_no_year_away",),
    ),
    Mutant(
        "vcard-field-lost-when-left-out",
        "An import that cannot read a field leaves that of the contact as it is.",
        "accounts/actions/contacts.py",
        "    for name in reading.unread:\n",
        "    for name in ():\n",
        (f"{IMPORT}::test_what_was_left_out_takes_nothing_away",),
    ),
]
