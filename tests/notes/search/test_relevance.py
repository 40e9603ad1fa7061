"""Whoever looks for a note that they know finds it at the top.

The queries were written down before their answers were looked at; what does not find its note stays
in the list.
"""

import pytest
from django.utils import timezone

from accounts.callers import Caller
from notes.actions import indexing
from notes.models import Change, Feed, Note
from tests.notes.search.corpus import documents

pytestmark = pytest.mark.django_db
SEARCH = "/api/v1/search"
# How many of the notes are first, and among the first five: by the forms of words, and where those
# are not known and "copying" does not find "copy".
ENOUGH = {"english": (0.8, 0.95), "simple": (0.8, 0.9)}
# What somebody types who looks for an operation; case, order and forms of words as they come.
QUERIES = """
abort multipart upload                      | s3 AbortMultipartUpload
initiate multipart upload                   | s3 CreateMultipartUpload
list buckets                                | s3 ListBuckets
delete bucket lifecycle                     | s3 DeleteBucketLifecycle
restore archived object                     | s3 RestoreObject
copying objects                             | s3 CopyObject
bucket exists permission to access it       | s3 HeadBucket
create access key                           | iam CreateAccessKey
attach policy to role                       | iam AttachRolePolicy
delete password policy                      | iam DeleteAccountPasswordPolicy
simulate custom policy                      | iam SimulateCustomPolicy
generate credential report                  | iam GenerateCredentialReport
assume role saml                            | sts AssumeRoleWithSAML
caller identity                             | sts GetCallerIdentity
decode authorization message                | sts DecodeAuthorizationMessage
federation token                            | sts GetFederationToken
publish batch                               | sns PublishBatch
purge queue                                 | sqs PurgeQueue
change visibility timeout                   | sqs ChangeMessageVisibility
dead letter source queues                   | sqs ListDeadLetterSourceQueues
receive messages                            | sqs ReceiveMessage
publish layer version                       | lambda PublishLayerVersion
create event source mapping                 | lambda CreateEventSourceMapping
reserved concurrency function               | lambda PutFunctionConcurrency
batch write items                           | dynamodb BatchWriteItem
transact write                              | dynamodb TransactWriteItems
update time to live                         | dynamodb UpdateTimeToLive
restore table point in time                 | dynamodb RestoreTableToPointInTime
change resource record sets                 | route53 ChangeResourceRecordSets
hosted zones by name                        | route53 ListHostedZonesByName
data key without plaintext                  | kms GenerateDataKeyWithoutPlaintext
schedule key deletion                       | kms ScheduleKeyDeletion
rotate key on demand                        | kms RotateKeyOnDemand
import key material                         | kms ImportKeyMaterial
random byte string cryptographically secure | kms GenerateRandom
alarm history                               | cloudwatch DescribeAlarmHistory
put metric data                             | cloudwatch PutMetricData
run task                                    | ecs RunTask
image scan findings                         | ecr DescribeImageScanFindings
start lifecycle policy preview              | ecr StartLifecyclePolicyPreview
reboot db instance                          | rds RebootDBInstance
promote read replica                        | rds PromoteReadReplica
failover db cluster                         | rds FailoverDBCluster
abort vault lock                            | glacier AbortVaultLock
inventory retrieval job                     | glacier InitiateJob
merge adjacent shards                       | kinesis MergeShards
split shard                                 | kinesis SplitShard
retention of log group in days              | logs PutRetentionPolicy
filter log events                           | logs FilterLogEvents
export log data to s3 bucket                | logs CreateExportTask
send bounce                                 | ses SendBounce
verify email identity                       | ses VerifyEmailIdentity
create invalidation                         | cloudfront CreateInvalidation
attach instances auto scaling group         | autoscaling AttachInstances
suspend processes                           | autoscaling SuspendProcesses
forgot password                             | cognito-idp ForgotPassword
admin disable user                          | cognito-idp AdminDisableUser
verify software token                       | cognito-idp VerifySoftwareToken
rotate secret                               | secretsmanager RotateSecret
random password                             | secretsmanager GetRandomPassword
test event pattern                          | events TestEventPattern
task heartbeat                              | stepfunctions SendTaskHeartbeat
stop query execution                        | athena StopQueryExecution
cancel resize                               | redshift CancelResize
request certificate                         | acm RequestCertificate
run commands on managed nodes               | ssm SendCommand
leave organization                          | organizations LeaveOrganization
trail status                                | cloudtrail GetTrailStatus
terminating jobs                            | batch TerminateJob
mount target security groups modify         | efs ModifyMountTargetSecurityGroups
update kubernetes version cluster           | eks UpdateClusterVersion
create threat intel set                     | guardduty CreateThreatIntelSet
allocate elastic ip address                 | ec2 AllocateAddress
import key pair                             | ec2 ImportKeyPair
request spot instances                      | ec2 RequestSpotInstances
console screenshot                          | ec2 GetConsoleScreenshot
detach internet gateway                     | ec2 DetachInternetGateway
encrypted administrator password windows    | ec2 GetPasswordData
attach ebs volume                           | ec2 AttachVolume
disable detailed monitoring instance        | ec2 UnmonitorInstances
"""


@pytest.fixture
def corpus(alice):
    now = timezone.now()
    told = list(documents())
    assert len(told) >= 2000
    notes = Note.objects.bulk_create(
        Note(
            owner=alice, title=each.title, content=each.text, category=each.service, created_at=now
        )
        for each in told
    )
    changes = (Change(user=alice, note=note, seq=seq) for seq, note in enumerate(notes, 1))
    Change.objects.bulk_create(changes)
    Feed.objects.create(user=alice, seq=len(notes))
    return {
        note.pk: f"{each.service} {each.operation}" for note, each in zip(notes, told, strict=True)
    }


@pytest.mark.parametrize("language", ENOUGH)
def test_known_notes_are_found(alice, as_alice, corpus, language):
    alice.language = language
    alice.save(update_fields=["language"])
    assert indexing.catch_up(caller=Caller(alice), seconds=600) == 0
    wanted = [[part.strip() for part in line.split("|")] for line in QUERIES.strip().splitlines()]
    assert len(wanted) >= 50
    slots = {}
    for query, name in wanted:
        results = as_alice.get(SEARCH, {"q": query, "limit": 20}).json()["results"]
        found = [corpus[note["id"]] for note in results]
        slots[query] = found.index(name) if name in found else None
    missed = {query: place for query, place in slots.items() if place != 0}
    first = [place for place in slots.values() if place == 0]
    among_five = [place for place in slots.values() if place is not None and place < 5]
    enough_first, enough_among_five = ENOUGH[language]
    assert len(first) >= enough_first * len(wanted), missed
    assert len(among_five) >= enough_among_five * len(wanted), missed
