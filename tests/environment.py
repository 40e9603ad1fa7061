"""The environment of the test run, set before Django reads its settings (a pytest plugin).

Two variables come from outside: DATABASE_URL and REDIS_URL, which choose the leg. Everything else
is set here, so that nothing of the machine or of a developer's .env reaches the tests.
"""

import os
import tempfile

DATA_DIR = tempfile.mkdtemp(prefix="cloudnotes-tests-")
OUTSIDE = {name: os.environ.get(name, "") for name in ("DATABASE_URL", "REDIS_URL")}

for name in (
    "ENVIRONMENT RAILWAY_ENVIRONMENT_NAME RAILWAY_PUBLIC_DOMAIN DEBUG PUBLIC_BASE_URL ALLOWED_HOSTS "
    "SECRET_KEY JWT_SECRET ALGORITHM ACCESS_TOKEN_EXPIRE_MINUTES WEB_THREADS WEB_CONCURRENCY PORT "
    "HOST MAX_FILE_BYTES BUCKET_NAME AWS_REGION AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY "
    "AWS_ENDPOINT_URL AWS_S3_ADDRESSING_STYLE CORS_ALLOWED_ORIGINS TRUSTED_PROXY REQUEST_LOG "
    "LOG_FORMAT DATABASE_URL REDIS_URL"
).split():
    os.environ.pop(name, None)

os.environ.update({name: value for name, value in OUTSIDE.items() if value})
os.environ["ENV_FILE"] = os.devnull
os.environ["DATA_DIR"] = DATA_DIR
os.environ["CORS_ALLOWED_ORIGINS"] = "https://app.example.org"
os.environ["MAX_FILE_BYTES"] = str(8 * 2**20)
