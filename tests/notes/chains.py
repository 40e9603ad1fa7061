"""What must hold of every note's history and every feed, read past all code of ours."""

from itertools import pairwise

from tests.servers import Server


def faults(server: Server, *, with_gaps: bool) -> list[str]:
    """Return what is wrong in a server's database; nothing, if all is well.

    ``with_gaps`` allows for versions that are in no state's range: those that were coalesced.
    """
    found = []
    notes = server.rows("SELECT id, owner_id, state_version, version FROM notes_note")
    spans: dict[int, list[tuple[int, int]]] = {note: [] for note, *_ in notes}
    for note, first, last in server.rows(
        "SELECT note_id, first_version, version FROM notes_revision"
    ):
        if note in spans:
            spans[note].append((first, last))
        else:
            found.append(f"a revision outlived note {note}")
    for note, _, first, last in notes:
        chain = [(0, 0), *sorted(spans[note]), (first, last)]
        if any(first > last for first, last in chain):
            found.append(f"a state of note {note} ends before it begins: {chain}")
        for (_, end), (start, _) in pairwise(chain):
            if start <= end or (start > end + 1 and not with_gaps):
                found.append(f"note {note} has no one state in version {end + 1}: {chain}")
    feeds = dict(server.rows("SELECT user_id, seq FROM notes_feed"))
    slots: dict[int, list[int]] = {}
    for user, note, seq in server.rows("SELECT user_id, note_id, seq FROM notes_change"):
        slots.setdefault(note, []).append(user)
        if not 0 < seq <= feeds.get(user, 0):
            found.append(f"note {note} is at {seq} of user {user}'s feed, past {feeds.get(user)}")
    found += [
        f"note {note} of user {owner} is in the feeds of {slots.get(note)}"
        for note, owner, *_ in notes
        if slots.get(note) != [owner]
    ]
    return found
