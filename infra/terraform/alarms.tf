locals {
  alarms = {
    # A failed rollback also sends the status RollbackFailed. This alarm reports it if that event, or the notification
    # of it, is lost.
    rollback-failed = {
      description = "A rollback failed. Fix the cause that its execution shows, then start it again with the same input."
      metric      = "ExecutionsFailed"
      dimensions  = { StateMachineArn = aws_sfn_state_machine.rollback.arn }
    }

    # An execution that times out runs no Catch, so it can't send the status RollbackFailed.
    rollback-timed-out = {
      description = "A rollback timed out. Start it again with the same input, then check the zone."
      metric      = "ExecutionsTimedOut"
      dimensions  = { StateMachineArn = aws_sfn_state_machine.rollback.arn }
    }

    # An execution that is aborted runs no Catch, so it can't send the status RollbackFailed.
    rollback-aborted = {
      description = "A rollback was aborted. Start it again with the same input, then check the zone."
      metric      = "ExecutionsAborted"
      dimensions  = { StateMachineArn = aws_sfn_state_machine.rollback.arn }
    }

    start-failed = {
      description = "A request did not start its migration. Start the failed execution again with the same input."
      metric      = "ExecutionsFailed"
      dimensions  = { StateMachineArn = aws_sfn_state_machine.start.arn }
    }

    # The alarm publishes to the topic directly, without the state machine that failed.
    notification-failed = {
      description = "A status notification was not published. The input of the failed execution has its content."
      metric      = "ExecutionsFailed"
      dimensions  = { StateMachineArn = aws_sfn_state_machine.notification.arn }
    }

    # Each message in the queue is a rollback, migration, release or notification that never started.
    events-not-delivered = {
      description = "An event or an alarm action had no effect. It is in the dead-letter queue, with the reason."
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.events_dead_letter.name }
    }

    # Each message in the queue is an alarm whose rollback could not be started.
    alarms-not-handled = {
      description = "The event of an alarm could not be handled, and migrations that watch it may still run. It is in the dead-letter queue of the alarms."
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.alarm_events_dead_letter.name }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = contains(keys(each.value.dimensions), "QueueName") ? "AWS/SQS" : "AWS/States"
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = contains(keys(each.value.dimensions), "QueueName") ? "Maximum" : "Sum"
  period              = 60
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.notifications.arn]
  tags                = var.tags
}
