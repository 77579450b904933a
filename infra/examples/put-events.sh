#!/bin/sh
# Starts the migration of fixed-input.yaml, for a pipeline in which the new cluster has become ready:
#   sh put-events.sh KEY [source of the event, by default pipeline]
# The key becomes the name of the execution, such as upgrade-1-34. However often a pipeline is run with the
# same key, the migration is started once. The caller needs the policy RequestPolicyArn of that stack.
set -eu

request=$1
source=${2:-pipeline}

# The AWS CLI exits with 0 even if the event bus rejects the event.
failed=$(aws events put-events --query FailedEntryCount --output text \
  --entries "Source=$source,DetailType=Cluster Ready,Detail='{\"request\": \"$request\"}'")
[ "$failed" = 0 ] || {
  echo "the event bus rejected the event" >&2
  exit 1
}
