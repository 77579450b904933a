#!/bin/sh
# Starts a migration by an event, as a pipeline does when the new cluster is ready.
# Fill in the input, then: sh put-events.sh [the stack's name, if it is not cutover]
# The caller needs events:PutEvents on the default event bus.
set -eu

stack=${1:-cutover}
input='{
  "hostedZoneId": "Z3Q77PNBQS71R4",
  "from": "eks-blueprint-blue",
  "to": "eks-blueprint-green",
  "steps": [10, 50, 100]
}'

# The AWS CLI succeeds even if the bus refuses the event.
failed=$(aws events put-events --query FailedEntryCount --output text \
  --entries "Source=$stack,DetailType=Cutover Migration Requested,Detail='$input'")
[ "$failed" = 0 ] || {
  echo "the event was refused" >&2
  exit 1
}
