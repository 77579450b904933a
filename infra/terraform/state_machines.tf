locals {
  definitions = "${path.module}/../../statemachine"
}

# A task token answers for an operator, so it is in no log: the state machines that pass one on (this one, watch and
# notification) log their events without data. The data of an execution are in its history, for 90 days, which is read
# with a permission for that execution. Source: "Using CloudWatch Logs to log execution history in Step Functions" in
# the Step Functions Developer Guide.
resource "aws_sfn_state_machine" "migration" {
  #checkov:skip=CKV_AWS_285:Its data have task tokens.

  name     = "${var.name}-migration"
  type     = "STANDARD"
  role_arn = aws_iam_role.this["migration"].arn
  tags     = var.tags

  definition = templatefile("${local.definitions}/migration.asl.json", {
    ProbeFunctionArn        = "${aws_lambda_function.probe.arn}:${aws_lambda_function.probe.version}"
    ShiftWeightFunctionArn  = "${aws_lambda_function.shift_weight.arn}:${aws_lambda_function.shift_weight.version}"
    CheckAlarmsFunctionArn  = "${aws_lambda_function.check_alarms.arn}:${aws_lambda_function.check_alarms.version}"
    RollbackStateMachineArn = aws_sfn_state_machine.rollback.arn
    WatchStateMachineArn    = aws_sfn_state_machine.watch.arn
    EventSource             = var.name
    Partition               = local.partition
  })

  logging_configuration {
    level                  = "ALL"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.state_machines["migration"].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  # Step Functions checks that the role may deliver logs, and use the rule with which it waits for rollbacks.
  depends_on = [aws_iam_role_policy.migration, aws_iam_role_policy_attachment.deliver_logs]
}

# It has no alarm for failed executions: the migration that started one notices that its heartbeats have stopped, starts
# another, and reports if that fails, too.
resource "aws_sfn_state_machine" "watch" {
  #checkov:skip=CKV_AWS_285:Its data have task tokens.

  name     = "${var.name}-watch"
  type     = "STANDARD"
  role_arn = aws_iam_role.this["watch"].arn
  tags     = var.tags

  # No functions: each execution invokes the versions of the migration that started it, which are in its input.
  definition = templatefile("${local.definitions}/watch.asl.json", {
    EventSource = var.name
    Partition   = local.partition
  })

  logging_configuration {
    level                  = "ALL"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.state_machines["watch"].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  depends_on = [aws_iam_role_policy_attachment.deliver_logs]
}

resource "aws_sfn_state_machine" "rollback" {
  name     = "${var.name}-rollback"
  type     = "STANDARD"
  role_arn = aws_iam_role.this["rollback-machine"].arn
  tags     = var.tags

  definition = templatefile("${local.definitions}/rollback.asl.json", {
    RollbackFunctionArn = "${aws_lambda_function.rollback.arn}:${aws_lambda_function.rollback.version}"
    EventSource         = var.name
    Partition           = local.partition
  })

  logging_configuration {
    level                  = "ALL"
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.state_machines["rollback"].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  depends_on = [aws_iam_role_policy_attachment.deliver_logs]
}

resource "aws_sfn_state_machine" "release" {
  name     = "${var.name}-release"
  type     = "STANDARD"
  role_arn = aws_iam_role.this["release"].arn
  tags     = var.tags

  definition = templatefile("${local.definitions}/release.asl.json", {
    ShiftWeightFunctionArn = "${aws_lambda_function.shift_weight.arn}:${aws_lambda_function.shift_weight.version}"
    EventSource            = var.name
    Partition              = local.partition
  })

  logging_configuration {
    level                  = "ALL"
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.state_machines["release"].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  depends_on = [aws_iam_role_policy_attachment.deliver_logs]
}

# A Standard one, as all: an Express one could run twice for one event, and keeps no history. Source: "Choosing workflow
# type in Step Functions" in the Step Functions Developer Guide.
resource "aws_sfn_state_machine" "start" {
  name     = "${var.name}-start"
  type     = "STANDARD"
  role_arn = aws_iam_role.this["start"].arn
  tags     = var.tags

  definition = templatefile("${local.definitions}/start.asl.json", {
    MigrationStateMachineArn = aws_sfn_state_machine.migration.arn
    Partition                = local.partition
  })

  logging_configuration {
    level                  = "ALL"
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.state_machines["start"].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  depends_on = [aws_iam_role_policy_attachment.deliver_logs]
}

# Its executions are records: the function rollback starts them, and the two functions that write look them up.
resource "aws_sfn_state_machine" "rolled_back" {
  name       = "${var.name}-rolled-back"
  type       = "STANDARD"
  role_arn   = aws_iam_role.this["rolled-back"].arn
  tags       = var.tags
  definition = file("${local.definitions}/rolled-back.asl.json")

  logging_configuration {
    level                  = "ALL"
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.state_machines["rolled-back"].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  depends_on = [aws_iam_role_policy_attachment.deliver_logs]
}

resource "aws_sfn_state_machine" "notification" {
  #checkov:skip=CKV_AWS_285:Its data have task tokens.

  name     = "${var.name}-notification"
  type     = "STANDARD"
  role_arn = aws_iam_role.this["notification"].arn
  tags     = var.tags

  definition = templatefile("${local.definitions}/notification.asl.json", {
    NotificationsTopicArn = aws_sns_topic.notifications.arn
    DashboardName         = aws_cloudwatch_dashboard.this.dashboard_name
    Partition             = local.partition
  })

  logging_configuration {
    level                  = "ALL"
    include_execution_data = false
    log_destination        = "${aws_cloudwatch_log_group.state_machines["notification"].arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  depends_on = [aws_iam_role_policy_attachment.deliver_logs]
}
