"""A corpus of real text: what botocore, which is pinned, says of some 4,000 operations of AWS.

Each is a note: its name is the title (``CopyObject`` is ``Copy Object``), its service the category,
its documentation the content.
"""

import gzip
import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import botocore

# fmt: off
SERVICES = [
    "acm", "apigateway", "athena", "autoscaling", "backup", "batch", "cloudfront", "cloudtrail",
    "cloudwatch", "codecommit", "cognito-idp", "config", "dynamodb", "ec2", "ecr", "ecs", "efs",
    "eks", "elasticache", "elbv2", "events", "glacier", "glue", "guardduty", "iam", "kinesis",
    "kms", "lambda", "logs", "organizations", "rds", "redshift", "route53", "s3", "secretsmanager",
    "ses", "sns", "sqs", "ssm", "stepfunctions", "sts",
]
# fmt: on
DATA = Path(botocore.__file__).parent / "data"


class Document(NamedTuple):
    """An operation of a service, with what is said of it."""

    service: str
    operation: str
    text: str

    @property
    def title(self) -> str:
        """Its name in words."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", self.operation)


def documents() -> Iterator[Document]:
    """Yield all of them, always in the same order."""
    for service in SERVICES:
        latest = max(path for path in (DATA / service).iterdir() if path.is_dir())
        (file,) = latest.glob("service-2.json*")
        read = gzip.open if file.suffix == ".gz" else open
        with read(file, "rt", encoding="utf-8") as opened:
            operations = json.load(opened)["operations"]
        for operation, about in sorted(operations.items()):
            text = html.unescape(re.sub(r"<[^>]+>", " ", about.get("documentation", "")))
            yield Document(service, operation, re.sub(r"[ \t]+", " ", text).strip())
