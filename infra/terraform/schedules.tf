# Finds what a lost event or a failed rollback has left behind. The function without a version, so that a call that fails
# is kept like those of alarms. EventBridge Scheduler replaces the time. Source: "Adding context attributes in
# EventBridge Scheduler" in the EventBridge Scheduler User Guide.
resource "aws_scheduler_schedule" "sweep" {
  name                = "${var.name}-sweep"
  description         = "Finds migrations that ended without success and whose names are still at a step."
  schedule_expression = "rate(15 minutes)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_function.rollback.arn
    role_arn = aws_iam_role.this["schedule"].arn
    # Not jsonencode, which escapes < and >.
    input = "{\"sweep\": {\"at\": \"<aws.scheduler.scheduled-time>\"}}"

    retry_policy {
      maximum_event_age_in_seconds = 900
      maximum_retry_attempts       = 185
    }

    dead_letter_config {
      arn = aws_sqs_queue.events_dead_letter.arn
    }
  }
}

resource "aws_scheduler_schedule" "reminder" {
  name                = "${var.name}-reminder"
  description         = "Reminds of migrations that wait for an operator."
  schedule_expression = "rate(1 day)"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_sfn_state_machine.rollback.arn
    role_arn = aws_iam_role.this["schedule"].arn
    input    = "{\"reminder\": {\"at\": \"<aws.scheduler.scheduled-time>\", \"olderThanHours\": ${var.reminder_after_hours}}}"

    retry_policy {
      maximum_event_age_in_seconds = 3600
      maximum_retry_attempts       = 185
    }

    dead_letter_config {
      arn = aws_sqs_queue.events_dead_letter.arn
    }
  }
}
