"""Mutants of ``cloudnotes``: what is the same for all requests, and how the service runs."""

from tests.mutants.mutant import Mutant

HEADERS = "tests/cloudnotes/test_headers.py"
WSGI_ADAPTER = "tests/cloudnotes/test_wsgi_adapter.py"
CHECKS = "tests/cloudnotes/test_checks.py"
FAST = "tests/notes/api/test_fast.py"
INPUT = "tests/test_input.py"
HEALTH = "tests/cloudnotes/test_health.py"
TRIGGERS = "tests/cloudnotes/test_triggers.py"
WORKER = "tests/cloudnotes/test_worker.py"

MUTANTS = [
    Mutant(
        "health-always-ok",
        "`ok` of /health is false where the status is 503.",
        "cloudnotes/health.py",
        '{"ok": ready, ',
        '{"ok": True, ',
        (f"{HEALTH}::test_a_database_behind_the_code_is_not_ready",),
    ),
    # Headers of every response.
    Mutant(
        "responses-without-nosniff",
        "Every response says nosniff.",
        "cloudnotes/api/headers.py",
        '    "X-Content-Type-Options": "nosniff",\n',
        "",
        # Elsewhere Django's own middleware says so too.
        (f"{FAST}::test_what_takes_the_fast_road",),
    ),
    Mutant(
        "responses-may-be-framed",
        "No site may show our pages in a frame.",
        "cloudnotes/api/headers.py",
        """"frame-ancestors 'none'; base-uri 'none'; form-action 'self'\"""",
        """"base-uri 'none'; form-action 'self'\"""",
        (f"{HEADERS}::test_every_response_has_the_security_headers",),
    ),
    Mutant(
        "api-may-be-cached",
        "No answer of the API may be cached.",
        "cloudnotes/api/headers.py",
        ', "Cache-Control": "no-store"}',
        "}",
        (f"{HEADERS}::test_the_api_is_not_cached",),
    ),
    Mutant(
        "fast-path-without-content-policy",
        "An answer of the fast path has the headers that middleware adds elsewhere.",
        "cloudnotes/fastpath/views.py",
        "{**headers.DATA, ",
        "{**headers.ALWAYS, ",
        (f"{FAST}::test_what_takes_the_fast_road",),
    ),
    Mutant(
        "request-id-not-returned",
        "Every response names its request.",
        "cloudnotes/api/request_id.py",
        "            response.headers[HEADER] = request_id\n",
        "",
        (f"{HEADERS}::test_every_response_has_the_security_headers",),
    ),
    Mutant(
        "request-id-of-any-length",
        "An id of a request is taken over only when it is well-formed.",
        "cloudnotes/api/request_id.py",
        "WELL_FORMED.fullmatch(offered)",
        "WELL_FORMED.match(offered)",
        (f"{INPUT}::test_request_ids_are_taken_over_only_when_well_formed",),
    ),
    Mutant(
        "signed-links-in-the-log",
        "The log holds no signed link.",
        "cloudnotes/api/request_id.py",
        '("/files/", "/uploads/", "/avatars/")',
        '("/uploads/", "/avatars/")',
        (f"{INPUT}::test_signed_links_are_not_logged",),
    ),
    Mutant(
        "hsts-off",
        "Behind TLS browsers are told to use TLS alone.",
        "cloudnotes/settings.py",
        "SECURE_HSTS_SECONDS = 365 * 24 * 3600 if _over_tls else 0",
        "SECURE_HSTS_SECONDS = 0",
        (f"{CHECKS}::test_good_settings_pass_check_deploy",),
    ),
    # Browsers.
    Mutant(
        "cors-with-credentials",
        "Other sites may send no cookies.",
        "cloudnotes/settings.py",
        "CORS_ALLOW_CREDENTIALS = False",
        "CORS_ALLOW_CREDENTIALS = True",
        (f"{HEADERS}::test_cors_is_an_exact_list_without_credentials",),
    ),
    Mutant(
        "cors-for-every-site",
        "Only the sites on the list may read the API.",
        "cloudnotes/settings.py",
        "CORS_ALLOW_CREDENTIALS = False",
        "CORS_ALLOW_CREDENTIALS = False\nCORS_ALLOW_ALL_ORIGINS = True",
        (f"{HEADERS}::test_cors_is_an_exact_list_without_credentials",),
    ),
    Mutant(
        "fast-path-cors-for-every-site",
        "On the fast path too only the sites on the list may read the API.",
        "cloudnotes/fastpath/views.py",
        '        and fields.get("origin", "") in ("", *settings.CORS_ALLOWED_ORIGINS)\n',
        "",
        (f"{FAST}::test_what_leaves_it",),
    ),
    # The fast path.
    Mutant(
        "fast-path-without-scopes",
        "On the fast path too a token does what its scopes allow.",
        "accounts/authentication.py",
        "return caller if is_used_now and caller.has_scope(scope) else None",
        "return caller if is_used_now else None",
        (f"{FAST}::test_personal_access_tokens",),
    ),
    Mutant(
        "fast-path-without-if-match-setting",
        "An account that requires If-Match requires it on the fast path too.",
        "notes/api/fast.py",
        " or (is_required and if_match is None):",
        ":",
        (f"{FAST}::test_accounts_that_require_if_match",),
    ),
    # Errors.
    Mutant(
        "problem-as-plain-json",
        "Every error is application/problem+json.",
        "cloudnotes/api/errors.py",
        'status=members["status"], content_type=CONTENT_TYPE)',
        'status=members["status"])',
        (f"{INPUT}::test_bad_forms",),
    ),
    Mutant(
        "unavailable-without-retry-after",
        "503 says when to try again.",
        "cloudnotes/api/errors.py",
        "    return str(RETRY_SECONDS) if status == 503 else None",
        "    return None",
        (f"{HEADERS}::test_a_database_that_is_gone_is_503_with_retry_after",),
    ),
    # Input.
    Mutant(
        "nul-accepted-in-json",
        "A NUL in a string is refused.",
        "cloudnotes/api/parsers.py",
        '_UNSTORABLE = re.compile("[\\x00\\ud800-\\udfff]")',
        '_UNSTORABLE = re.compile("[\\ud800-\\udfff]")',
        (f"{INPUT}::test_bad_json_on_every_write_route",),
    ),
    Mutant(
        "lone-surrogate-accepted-in-json",
        "Half of a surrogate pair in a string is refused.",
        "cloudnotes/api/parsers.py",
        '_UNSTORABLE = re.compile("[\\x00\\ud800-\\udfff]")',
        '_UNSTORABLE = re.compile("[\\x00]")',
        (f"{INPUT}::test_bad_json_on_every_write_route",),
    ),
    Mutant(
        "duplicate-names-accepted-in-json",
        "An object that has a name twice is refused.",
        "cloudnotes/api/parsers.py",
        "if len(members) < len(pairs):",
        "if len(members) > len(pairs):",
        (f"{INPUT}::test_bad_json_on_every_write_route",),
    ),
    Mutant(
        "nul-accepted-in-queries",
        "A NUL in a query is refused on every path.",
        "cloudnotes/api/parsers.py",
        'if "%00" in request.META.get("QUERY_STRING", ""):',
        'if "%00" in request.path:',
        (f"{INPUT}::test_nul_in_a_query_is_400_everywhere",),
    ),
    Mutant(
        "declared-body-unlimited",
        "A body above the limit is refused before it is read.",
        "cloudnotes/server/wsgi_adapter.py",
        "        if length > self.max_body_bytes:\n"
        "            raise too_large(self.max_body_bytes)\n",
        "",
        (f"{WSGI_ADAPTER}::test_a_body_above_the_limit_is_413_and_the_client_can_read_it",),
    ),
    Mutant(
        "chunked-body-unlimited",
        "A body of undeclared length is refused above the limit.",
        "cloudnotes/server/request_body.py",
        "                if size > self.max_bytes:\n"
        "                    raise too_large(self.max_bytes)\n",
        "",
        (f"{WSGI_ADAPTER}::test_a_body_above_the_limit_is_413_and_the_client_can_read_it",),
    ),
    # The client's address, and limits.
    Mutant(
        "forwarded-for-trusted",
        "X-Forwarded-For is never read.",
        "cloudnotes/server/wsgi_adapter.py",
        'environ.get("HTTP_X_REAL_IP", "")',
        'environ.get("HTTP_X_FORWARDED_FOR", "")',
        (f"{WSGI_ADAPTER}::test_a_trusted_proxy_says_the_address",),
    ),
    Mutant(
        "proxy-trusted-unasked",
        "X-Real-IP is read only where the proxy is trusted.",
        "cloudnotes/server/wsgi_adapter.py",
        "        if self.trusted_proxy:\n",
        '        if "HTTP_X_REAL_IP" in environ:\n',
        (f"{WSGI_ADAPTER}::test_forged_addresses_are_not_believed",),
    ),
    Mutant(
        "header-with-underscore-accepted",
        "A header with an underscore cannot stand for another one.",
        "cloudnotes/server/wsgi_adapter.py",
        'if b"_" in raw_name:',
        'if b"__" in raw_name:',
        (
            f"{WSGI_ADAPTER}::test_forged_addresses_are_not_believed",
            f"{WSGI_ADAPTER}::test_a_trusted_proxy_says_the_address",
        ),
    ),
    Mutant(
        "api-limit-off-by-one",
        "A window of a process lets exactly its limit through.",
        "cloudnotes/api/throttling.py",
        "allowed = used < limit",
        "allowed = used <= limit",
        ("tests/cloudnotes/test_throttling.py::test_windows_of_a_process_are_exact",),
    ),
    Mutant(
        "api-limit-without-lock",
        "A window of a process is exact under parallel threads.",
        "cloudnotes/api/throttling.py",
        "        with self.lock:\n            used, end",
        "        if self.lock:\n            used, end",
        ("tests/cloudnotes/test_throttling.py::test_windows_of_a_process_are_exact",),
    ),
    # How it runs.
    Mutant(
        "ready-before-it-is-migrated",
        "A database that lacks a migration is not ready.",
        "cloudnotes/health.py",
        '        return "not migrated"\n',
        "        pass\n",
        ("tests/cloudnotes/test_health.py::test_a_database_behind_the_code_is_not_ready",),
    ),
    Mutant(
        "starts-with-debug",
        "It does not start in production with DEBUG.",
        "cloudnotes/checks.py",
        "    if settings.DEBUG:\n",
        "    if settings.DEBUG and not settings.IN_PRODUCTION:\n",
        (f"{CHECKS}::test_it_refuses_to_start_in_one_line",),
    ),
    Mutant(
        "starts-for-any-host",
        "It does not start in production for any Host.",
        "cloudnotes/checks.py",
        'if "*" in settings.ALLOWED_HOSTS or not settings.ALLOWED_HOSTS:',
        "if not settings.ALLOWED_HOSTS:",
        (f"{CHECKS}::test_it_refuses_to_start_in_one_line",),
    ),
    Mutant(
        "worker-without-sigterm",
        "The worker ends on SIGTERM when what is under way has ended.",
        "cloudnotes/management/commands/worker.py",
        "for number in (signal.SIGTERM, signal.SIGINT):",
        "for number in (signal.SIGINT,):",
        (f"{WORKER}::test_as_a_process_it_ends_on_sigterm",),
    ),
    Mutant(
        "failed-job-ends-its-thread",
        "A job that fails is tried again.",
        "cloudnotes/worker.py",
        "except Exception:  # a job",
        "except LookupError:  # a job",
        (f"{WORKER}::test_one_that_fails_does_not_end_the_others",),
    ),
    # The database.
    Mutant(
        "rebuilt-table-without-its-triggers",
        "A table that SQLite makes anew has its triggers again.",
        "cloudnotes/db/triggers.py",
        "            schema_editor.deferred_sql.append(statement)\n",
        "            pass\n",
        (f"{TRIGGERS}::test_every_rebuilt_table_has_its_triggers",),
    ),
    Mutant(
        "triggers-of-others-forbid-a-rebuild",
        "A table that the trigger of another table names can be altered.",
        "cloudnotes/db/sqlite/base.py",
        "        for name, _ in triggers:\n",
        "        for name, _ in ():\n",
        (f"{TRIGGERS}::test_every_rebuilt_table_has_its_triggers",),
    ),
    Mutant(
        "missing-trigger-passes-the-checks",
        "A database without a trigger of its models is an error of the checks.",
        "cloudnotes/apps.py",
        "        checks.register(check_triggers, checks.Tags.database)\n",
        "",
        (f"{TRIGGERS}::test_a_missing_trigger_is_an_error_of_the_checks",),
    ),
    Mutant(
        "ready-without-a-trigger",
        "A service whose database lacks a trigger is not ready.",
        "cloudnotes/health.py",
        "    if get_missing(connection):\n",
        "    if get_missing(connection) is None:\n",
        (f"{TRIGGERS}::test_a_database_that_lacks_a_trigger_is_not_ready",),
    ),
]
