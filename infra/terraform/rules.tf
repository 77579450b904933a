# Each rule has a fixed name, because the trust policy of its role names the rule.
# Each rule retries for an hour, and then puts the event into the queue events-dead-letter. 185 attempts is
# EventBridge's maximum, so that only the event's age ends the retries.
# Each rule ignores replayed events, which have the field replay-name: a request, an alarm or an end of long ago must not
# start anything again. Source: "Archiving and replaying events" in the EventBridge User Guide.

locals {
  rules = {
    alarm = {
      description = "Sends an alarm that goes to ALARM to the function that rolls back the migrations that watch it."
      pattern = jsonencode({
        source      = ["aws.cloudwatch"]
        detail-type = ["CloudWatch Alarm State Change"]
        replay-name = [{ exists = false }]
        # Not this module's own alarms: a rollback that fails would start the next rollback endlessly.
        resources = [{ anything-but = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn] }]
        detail = {
          # An empty prefix matches every alarm.
          alarmName = [{ prefix = var.alarm_name_prefix }]
          state     = { value = ["ALARM"] }
          # A composite alarm in ALARM sends the event again when its actions are no longer suppressed; that is not a
          # new alarm.
          previousState = { value = [{ anything-but = ["ALARM"] }] }
        }
      })
    }

    execution-ended = {
      description = "Rolls back a migration when its execution fails, is aborted or times out."
      pattern = jsonencode({
        source      = ["aws.states"]
        detail-type = ["Step Functions Execution Status Change"]
        replay-name = [{ exists = false }]
        detail = {
          status = ["FAILED", "ABORTED", "TIMED_OUT"]
          # Only migrations: with rollbacks in it, a failed rollback would start itself endlessly.
          stateMachineArn = [aws_sfn_state_machine.migration.arn]
        }
      })
    }

    release-interrupted = {
      description = "Leases the names again that a release gave back before it was aborted or timed out."
      pattern = jsonencode({
        source      = ["aws.states"]
        detail-type = ["Step Functions Execution Status Change"]
        replay-name = [{ exists = false }]
        detail = {
          # Not FAILED: before a release fails, it leases its names again itself.
          status          = ["ABORTED", "TIMED_OUT"]
          stateMachineArn = [aws_sfn_state_machine.release.arn]
        }
      })
    }

    migration-requested = {
      description = "Starts one migration for each request, with the event's detail as its input."
      pattern = jsonencode({
        source      = [var.name]
        detail-type = ["Cutover Migration Requested"]
        replay-name = [{ exists = false }]
      })
    }

    cluster-created = {
      description = "Starts the given migration when the given cluster is created."
      pattern = jsonencode({
        source      = ["aws.eks"]
        detail-type = ["AWS API Call via CloudTrail"]
        replay-name = [{ exists = false }]
        detail = {
          eventSource = ["eks.amazonaws.com"]
          eventName   = ["CreateCluster"]
          # Only failed calls have an errorCode.
          errorCode = [{ exists = false }]
          requestParameters = {
            # EKS's API calls the parameter name; the sample event in EKS's documentation has clusterName.
            "$or" = [
              { name = [var.cluster_created_name] },
              { clusterName = [var.cluster_created_name] },
            ]
          }
        }
      })
    }

    migration-status = {
      description = "Sends each status event of migrations, rollbacks and releases as a notification."
      pattern = jsonencode({
        source      = [var.name]
        detail-type = ["Cutover Migration Status Change"]
        replay-name = [{ exists = false }]
      })
    }
  }

  # The state machine that a rule starts. Its role may start this one and nothing else.
  rule_targets = {
    execution-ended     = { id = "rollback", arn = aws_sfn_state_machine.rollback.arn, policy_name = "start-rollback" }
    release-interrupted = { id = "release", arn = aws_sfn_state_machine.release.arn, policy_name = "start-release" }
    migration-requested = { id = "start", arn = aws_sfn_state_machine.start.arn, policy_name = "request-migration" }
    cluster-created     = { id = "start", arn = aws_sfn_state_machine.start.arn, policy_name = "request-migration" }
    migration-status    = { id = "notification", arn = aws_sfn_state_machine.notification.arn, policy_name = "start-notification" }
  }

  unused_rules = var.cluster_created_name == null ? ["cluster-created"] : []
}

resource "aws_cloudwatch_event_rule" "this" {
  for_each = { for name, rule in local.rules : name => rule if !contains(local.unused_rules, name) }

  name          = "${var.name}-${each.key}"
  description   = each.value.description
  event_pattern = each.value.pattern
  tags          = var.tags
}

resource "aws_cloudwatch_event_target" "alarm" {
  rule      = aws_cloudwatch_event_rule.this["alarm"].name
  target_id = "queue"
  # Permitted by the policy of the queue.
  arn = aws_sqs_queue.alarm_events.arn

  sqs_target {
    message_group_id = "alarms"
  }

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.events_dead_letter.arn
  }
}

resource "aws_cloudwatch_event_target" "state_machine" {
  for_each = { for name, target in local.rule_targets : name => target if !contains(local.unused_rules, name) }

  rule      = aws_cloudwatch_event_rule.this[each.key].name
  target_id = each.value.id
  arn       = each.value.arn
  role_arn  = aws_iam_role.this["${each.key}-rule"].arn

  dynamic "input_transformer" {
    for_each = each.key == "cluster-created" ? [1] : []

    content {
      # Of the event only its id, which AWS gives.
      input_paths    = { id = "$.id" }
      input_template = "{\"id\": <id>, \"detail\": ${var.cluster_created_input}}"
    }
  }

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = aws_sqs_queue.events_dead_letter.arn
  }
}
