#!/bin/sh
# Starts a migration by an event, for a pipeline in which the new cluster has become ready.
# Fill in the input, then: sh put-events.sh [name of the stack, by default cutover]
# The caller needs the permission events:PutEvents on the default event bus.
set -eu

stack=${1:-cutover}
input='{
  "hostedZoneId": "Z3Q77PNBQS71R4",
  "from": "eks-blueprint-blue",
  "to": "eks-blueprint-green",
  "steps": [10, 50, 100]
}'

# The AWS CLI exits with 0 even if the event bus rejects the event.
failed=$(aws events put-events --query FailedEntryCount --output text \
  --entries "Source=$stack,DetailType=Cutover Migration Requested,Detail='$input'")
[ "$failed" = 0 ] || {
  echo "the event bus rejected the event" >&2
  exit 1
}
