"""What the database does for a request: the statements that the service runs, explained."""

import dataclasses
import json
import re
from collections.abc import Mapping

from benchmarks.contenders import CloudNotes

# Small tables are best read from end to end; reading more rows than that is a fault.
FEW_ROWS = 2_000
LONGEST_TOLD = 110


@dataclasses.dataclass(frozen=True)
class Plan:
    """A statement of a request and what ``EXPLAIN (ANALYZE, BUFFERS)`` tells of it."""

    request: str
    statement: str
    text: str

    def walked(self) -> list[str]:
        """Return the tables that it reads from end to end, if they have more than a few rows."""
        found = set()
        for table, details in re.findall(
            r"Seq Scan on (\w+)(.*?)(?=->|\Z)", self.text, flags=re.DOTALL
        ):
            read = re.search(r"actual time=\S+ rows=(\d+)", details)
            left_out = re.search(r"Rows Removed by Filter: (\d+)", details)
            if sum(int(each[1]) for each in (read, left_out) if each) > FEW_ROWS:
                found.add(table)
        return sorted(found)

    def indexes(self) -> list[str]:
        """Return the indexes that it uses."""
        return sorted(set(re.findall(r"Index (?:Only )?Scan (?:Backward )?using (\w+)", self.text)))

    def milliseconds(self) -> str:
        """Return how long it took."""
        found = re.search(r"Execution Time: ([\d.]+) ms", self.text)
        return found[1] if found else ""

    def row(self) -> str:
        """Return it as a row of a table; the selected columns are left out."""
        told = shortened(self.statement)
        cells = [self.request, f"`{told}`", ", ".join(self.indexes()), ", ".join(self.walked())]
        return f"| {' | '.join([*cells, self.milliseconds()])} |"


def shortened(statement: str) -> str:
    """Return a statement without its columns and what is too long for a table."""
    told = re.sub(r"^SELECT .*? FROM ", "SELECT ... FROM ", statement.replace('"', ""))
    told = re.sub(r" RETURNING .*", "", told)
    return told if len(told) <= LONGEST_TOLD else told[:LONGEST_TOLD] + " ..."


def explain(server: CloudNotes, requests: Mapping[str, bytes], whose: str) -> list[Plan]:
    """Return the plans of all statements that the service runs for some requests.

    The requests are made once more in a process of ours with the service's settings.
    """
    asked = {name: request.decode() for name, request in requests.items()}
    told = server.inside("explain", json.dumps(asked))
    return [
        Plan(f"{name}, {whose}", statement, plan)
        for name, explained in told.items()
        for statement, plan in explained
    ]
