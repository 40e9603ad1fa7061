"""The arithmetic and the load of the benchmarks, whose figures are believed."""

import http.server
import os
import threading

import pytest

from benchmarks import generator, load, plans, processes
from benchmarks.load import Load
from benchmarks.report import Hashes, Report, Sample


def sample(contender, round_number, rate, *, operation="list", connections=32, errors=0):
    made = Load(
        requests=rate + errors, seconds=1, errors=errors, bytes=0, p50_ms=2, p99_ms=6, max_ms=9
    )
    return Sample(
        operation=operation, contender=contender, connections=connections, round=round_number,
        load=made, server_seconds=1, database_seconds=1, memory_mb=1, is_right=not errors,
    )  # fmt: skip


def report(samples, hashes=()):
    return Report({}, samples, hashes, [])


def target(found, claim):
    return next(each for each in found.targets() if each.claim.startswith(claim))


def test_a_ratio_is_of_the_medians_and_its_spread_within_the_rounds():
    ours = [sample("CloudNotes", number, rate) for number, rate in enumerate([300, 400, 500])]
    # As they come when the order alternates.
    theirs = [sample("tutorial", number, rate) for number, rate in [(2, 100), (1, 200), (0, 50)]]
    ratio = report([*ours, *theirs]).ratio("list", "tutorial", 32)
    assert (ratio.median, ratio.least, ratio.most) == (4, 2, 6)


@pytest.mark.parametrize(("errors", "is_met"), [(0, True), (1, False)])
def test_what_rests_on_errors_meets_no_target(errors, is_met):
    found = report([sample("CloudNotes", 0, 300, errors=errors), sample("tutorial", 0, 100)])
    assert target(found, "list at 32: at least 3 x tutorial").is_met is is_met
    assert target(found, "list at 100: at least 3 x tutorial").is_met is None
    assert found.is_met() is is_met
    assert ("WITH ERRORS" in found.markdown()) is not is_met


def test_log_ins_are_compared_with_the_hash_of_their_round():
    hashes = [
        Hashes(connections=32, round=number, one_ms=250, processor_ms=250,
               processor_ms_on_all=250, a_second=8)
        for number in range(2)
    ]  # fmt: skip
    log_ins = [sample("CloudNotes", number, rate, operation="login")
               for number, rate in enumerate([8, 4])]  # fmt: skip
    excess = report(log_ins, hashes).login_excess(32)
    assert (excess.least, excess.most) == (0, 1)


def test_percentiles():
    assert generator.percentile([1.0, 2.0, 3.0], 50) == 2
    assert generator.percentile([float(number) for number in range(1, 201)], 99) == 198


@pytest.mark.parametrize(
    ("rows", "walked"), [("rows=5000 loops=1", ["notes_note"]), ("rows=50 loops=1", [])]
)
def test_a_plan_that_reads_a_large_table_from_end_to_end(rows, walked):
    text = (
        "Limit  (cost=0.42..9.00 rows=9 width=9) (actual time=0.1..0.2 rows=9000 loops=1)\n"
        f"  ->  Seq Scan on notes_note u0  (cost=0..9 rows=9 width=9) (actual time=0.1..0.2 {rows})"
        "\n        Filter: (trashed_at IS NULL)\n"
        "  ->  Index Scan using notes_note_pkey on notes_note  (actual time=0..0 rows=7000 loops=1)"
    )
    plan = plans.Plan("list", "SELECT", text)
    assert plan.walked() == walked
    assert plan.indexes() == ["notes_note_pkey"]


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bodies: set[bytes]

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.add(body)
        self.send_response(201 if self.path == "/" else 404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments):
        pass


@pytest.fixture
def port():
    Answers.bodies = set()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server.server_address[1]
        server.shutdown()
        serving.join()


def request(path):
    body = generator.MARK
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


@pytest.mark.service
def test_a_counted_load_ends_with_its_last_answer_and_no_two_bodies_are_the_same(port):
    made = load.run(port, [request("/")], connections=4, seconds=20, count=40)
    assert (made.requests, made.errors, len(Answers.bodies)) == (40, 0, 40)


@pytest.mark.service
def test_a_load_at_a_pace_asks_no_more(port):
    made = load.run(port, [request("/")], connections=4, seconds=1, rate=20)
    assert 0 < made.requests <= 20 * made.seconds + 1  # fewer on a machine that is busy
    assert made.errors == 0


@pytest.mark.service
def test_what_is_refused_is_an_error_and_no_good_answer(port):
    made = load.run(port, [request("/missing")], connections=2, seconds=20, count=10)
    assert (made.errors, made.rate) == (10, 0)


@pytest.mark.service
@pytest.mark.skipif(not load.has_wrk(), reason="wrk is not installed")
def test_wrk_sends_the_same_requests(port):
    made = load.run(port, [request("/")], connections=2, seconds=1)
    assert made.requests > 10
    assert made.errors == 0
    assert len(Answers.bodies) >= made.requests
    assert load.run(port, [request("/missing")], connections=2, seconds=1).rate == 0


@pytest.mark.service
def test_processor_time_counts_what_has_ended():
    before = processes.processor_seconds(os.getpid())
    assert os.system("i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done") == 0
    assert processes.processor_seconds(os.getpid()) > before
