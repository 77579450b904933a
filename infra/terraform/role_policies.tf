# What each role may do beside the policies that it shares with others.

locals {
  write_own_logs = {
    for function, group in aws_cloudwatch_log_group.functions : function => {
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = "${group.arn}:*"
    }
  }

  # The policy of the module's own key permits it.
  sign_with_given_key = [
    for arn in var.journal_key_arn[*] : { Effect = "Allow", Action = "kms:GenerateMac", Resource = arn }
  ]
}

resource "aws_iam_role_policy" "probe" {
  name = "logs"
  role = aws_iam_role.this["probe"].name

  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [local.write_own_logs["probe"]]
  })
}

resource "aws_iam_role_policy" "shift_weight" {
  name = "shift-weight"
  role = aws_iam_role.this["shift-weight"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Effect   = "Allow"
          Action   = "route53:GetHostedZoneLimit"
          Resource = var.hosted_zone_arns
        },
        {
          Effect = "Allow"
          # To find the delegated zone of the same name, if it is not the given one.
          Action   = "route53:GetHostedZone"
          Resource = "arn:${local.partition}:route53:::hostedzone/*"
        },
        {
          Effect = "Allow"
          Action = "route53:ListHostedZonesByName"
          # Lists have no resource.
          Resource = "*"
        },
        {
          Effect   = "Allow"
          Action   = "states:DescribeExecution"
          Resource = ["${local.execution_arn_prefix}-migration:*", "${local.execution_arn_prefix}-rolled-back:*"]
        },
        local.write_own_logs["shift-weight"],
      ],
      local.sign_with_given_key,
    )
  })
}

resource "aws_iam_role_policy" "check_alarms" {
  name = "check-alarms"
  role = aws_iam_role.this["check-alarms"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect = "Allow"
        Action = ["cloudwatch:DescribeAlarms", "cloudwatch:DescribeAlarmHistory"]
        # CloudWatch returns composite alarms only to a caller with access to all alarms.
        Resource = "*"
      },
      local.write_own_logs["check-alarms"],
    ]
  })
}

resource "aws_iam_role_policy" "rollback" {
  name = "rollback"
  role = aws_iam_role.this["rollback"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Effect   = "Allow"
          Action   = ["states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"]
          Resource = "${local.execution_arn_prefix}-migration:*"
        },
        {
          Effect   = "Allow"
          Action   = "states:DescribeExecution"
          Resource = "${local.execution_arn_prefix}-rolled-back:*"
        },
        {
          Effect   = "Allow"
          Action   = "states:StartExecution"
          Resource = ["${local.state_machine_arn_prefix}-rollback", aws_sfn_state_machine.rolled_back.arn]
        },
        # Lambda takes messages from the queue with this role.
        {
          Effect   = "Allow"
          Action   = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
          Resource = aws_sqs_queue.alarm_events.arn
        },
        # Lambda sends failed asynchronous calls to the queue with this role.
        {
          Effect   = "Allow"
          Action   = "sqs:SendMessage"
          Resource = aws_sqs_queue.events_dead_letter.arn
        },
        {
          Effect   = "Allow"
          Action   = "states:ListExecutions"
          Resource = "${local.state_machine_arn_prefix}-migration"
        },
        local.write_own_logs["rollback"],
      ],
      local.sign_with_given_key,
    )
  })
}

resource "aws_iam_role_policy" "migration" {
  name = "migration"
  role = aws_iam_role.this["migration"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "states:StartExecution"
        Resource = [aws_sfn_state_machine.rollback.arn, aws_sfn_state_machine.watch.arn]
      },
      {
        Effect   = "Allow"
        Action   = ["states:DescribeExecution", "states:StopExecution"]
        Resource = "${local.execution_arn_prefix}-rollback:*"
      },
      # Step Functions uses this rule, which it manages itself, to wait for an execution that it started.
      {
        Effect   = "Allow"
        Action   = ["events:PutTargets", "events:PutRule", "events:DescribeRule"]
        Resource = "arn:${local.partition}:events:${local.region}:${local.account_id}:rule/StepFunctionsGetEventsForStepFunctionsExecutionRule"
      },
    ]
  })
}

resource "aws_iam_role_policy" "watch" {
  name = "watch"
  role = aws_iam_role.this["watch"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      # An execution goes on as a new one before its history is full.
      {
        Effect   = "Allow"
        Action   = "states:StartExecution"
        Resource = aws_sfn_state_machine.watch.arn
      },
      # These actions have no resource types; the token says which task is answered. Source: "Actions, resources, and
      # condition keys for AWS Step Functions" in the Service Authorization Reference.
      {
        Effect   = "Allow"
        Action   = ["states:SendTaskSuccess", "states:SendTaskFailure", "states:SendTaskHeartbeat"]
        Resource = "*"
      },
    ]
  })
}

resource "aws_iam_role_policy" "rollback_machine" {
  name = "rollback-machine"
  role = aws_iam_role.this["rollback-machine"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "lambda:InvokeFunction"
      Resource = [aws_lambda_function.rollback.arn, "${aws_lambda_function.rollback.arn}:*"]
    }]
  })
}

resource "aws_iam_role_policy" "release" {
  name = "release"
  role = aws_iam_role.this["release"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "lambda:InvokeFunction"
      Resource = [aws_lambda_function.shift_weight.arn, "${aws_lambda_function.shift_weight.arn}:*"]
    }]
  })
}

resource "aws_iam_role_policy" "start" {
  name = "start"
  role = aws_iam_role.this["start"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "states:StartExecution"
      Resource = aws_sfn_state_machine.migration.arn
    }]
  })
}

resource "aws_iam_role_policy" "notification" {
  name = "notification"
  role = aws_iam_role.this["notification"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "sns:Publish"
        Resource = aws_sns_topic.notifications.arn
      },
      # SNS encrypts with the permissions of the publisher.
      {
        Effect   = "Allow"
        Action   = ["kms:GenerateDataKey*", "kms:Decrypt"]
        Resource = aws_kms_key.notifications.arn
      },
      # If nobody could be asked for an approval. See the role watch.
      {
        Effect   = "Allow"
        Action   = "states:SendTaskFailure"
        Resource = "*"
      },
    ]
  })
}

resource "aws_iam_role_policy" "rules" {
  for_each = { for name, target in local.rule_targets : name => target if !contains(local.unused_rules, name) }

  name = each.value.policy_name
  role = aws_iam_role.this["${each.key}-rule"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "states:StartExecution"
      Resource = each.value.arn
    }]
  })
}

resource "aws_iam_role_policy" "schedule" {
  name = "schedule"
  role = aws_iam_role.this["schedule"].name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "lambda:InvokeFunction"
        Resource = [aws_lambda_function.rollback.arn, "${aws_lambda_function.rollback.arn}:*"]
      },
      {
        Effect   = "Allow"
        Action   = "states:StartExecution"
        Resource = aws_sfn_state_machine.rollback.arn
      },
      # EventBridge Scheduler sends what it can't deliver to the queue with this role.
      {
        Effect   = "Allow"
        Action   = "sqs:SendMessage"
        Resource = aws_sqs_queue.events_dead_letter.arn
      },
    ]
  })
}
