"""A Lambda function in Python that makes the calls of AWS with which another function begins, with boto3.

The argument is the other function's name. Below is the loop of the runtime.

Source: Lambda Developer Guide, "Using the Lambda runtime API for custom runtimes".
"""

import http.client
import json
import os
import sys

import boto3

function = sys.argv[1]
if function == "check-alarms":
    cloudwatch = boto3.client("cloudwatch")
if function in ("probe", "shift-weight"):
    route53 = boto3.client("route53")
if function in ("rollback", "shift-weight"):
    kms = boto3.client("kms")
    step_functions = boto3.client("stepfunctions")


def handle(event):
    if function == "check-alarms":
        return len(cloudwatch.describe_alarms()["MetricAlarms"])
    if function == "probe":
        return route53.get_hosted_zone(Id=event["zone"])["HostedZone"]["Name"]
    kms.generate_mac(KeyId=event["key"], MacAlgorithm="HMAC_SHA_256", Message=b"message")
    status = step_functions.describe_execution(executionArn=event["execution"])["status"]
    if function == "rollback":
        return status
    route53.get_hosted_zone(Id=event["zone"])
    route53.get_hosted_zone_limit(HostedZoneId=event["zone"], Type="MAX_RRSETS_BY_ZONE")
    return len(route53.list_resource_record_sets(HostedZoneId=event["zone"])["ResourceRecordSets"])


runtime = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
while True:
    runtime.request("GET", "/2018-06-01/runtime/invocation/next")
    invocation = runtime.getresponse()
    answer = handle(json.loads(invocation.read()))
    request = invocation.headers["Lambda-Runtime-Aws-Request-Id"]
    runtime.request("POST", f"/2018-06-01/runtime/invocation/{request}/response", json.dumps(answer))
    runtime.getresponse().read()
