# Each function, state machine and rule has a role of its own. Only the roles of shift-weight and rollback may change
# records.

locals {
  # Who assumes each role; of a rule, which one.
  roles = {
    probe        = { service = "lambda", description = "Role of the function probe. Reads the given zones; can't write." }
    shift-weight = { service = "lambda", description = "Role of the function shift-weight. Reads and changes records of the given zones." }
    check-alarms = { service = "lambda", description = "Role of the function check-alarms. Reads alarms; can't write." }
    rollback     = { service = "lambda", description = "Role of the function rollback. Changes records of the given zones, stops migrations and starts rollbacks." }

    migration        = { service = "states", description = "Role of the migration state machine." }
    watch            = { service = "states", description = "Role of the watch state machine. Checks health and reports it to migrations." }
    rollback-machine = { service = "states", description = "Role of the rollback state machine." }
    release          = { service = "states", description = "Role of the release state machine." }
    start            = { service = "states", description = "Role of the start state machine. Starts migrations." }
    rolled-back      = { service = "states", description = "Role of the state machine that records rollbacks. Calls nothing." }
    notification     = { service = "states", description = "Role of the notification state machine." }

    execution-ended-rule     = { service = "events", description = "Role of ExecutionEndedRule. Starts rollbacks." }
    release-interrupted-rule = { service = "events", description = "Role of ReleaseInterruptedRule. Starts releases, which lease the names again." }
    migration-requested-rule = { service = "events", description = "Role of MigrationRequestedRule. Starts executions of the start state machine." }
    cluster-created-rule     = { service = "events", description = "Role of ClusterCreatedRule. Starts executions of the start state machine." }
    migration-status-rule    = { service = "events", description = "Role of MigrationStatusRule. Starts notifications." }

    schedule = { service = "scheduler", description = "Role of the schedules. Calls the function rollback and starts the rollback state machine." }
  }

  unused_roles = [for rule in local.unused_rules : "${rule}-rule"]
  # Lambda gives no context about whom it assumes a role for. A rule's role is for this rule only.
  trust_conditions = {
    for role, definition in local.roles : role => {
      for key, value in {
        "aws:SourceAccount" = local.account_id
        "aws:SourceArn"     = "arn:${local.partition}:events:${local.region}:${local.account_id}:rule/${var.name}-${trimsuffix(role, "-rule")}"
      } : key => value if definition.service != "lambda" && (key == "aws:SourceAccount" || definition.service == "events")
    }
  }

  function_roles      = ["probe", "shift-weight", "check-alarms", "rollback"]
  state_machine_roles = ["migration", "watch", "rollback-machine", "release", "start", "rolled-back", "notification"]
}

resource "aws_iam_role" "this" {
  for_each = { for role, definition in local.roles : role => definition if !contains(local.unused_roles, role) }

  # IAM is not regional, so a fixed name would permit one deployment per account. The provider permits 38 characters,
  # to which it adds a time.
  name_prefix = "${substr(var.name, 0, 36 - length(each.key))}-${each.key}-"
  description = each.value.description
  tags        = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [merge(
      {
        Effect    = "Allow"
        Principal = { Service = "${each.value.service}.amazonaws.com" }
        Action    = "sts:AssumeRole"
      },
      length(local.trust_conditions[each.key]) == 0 ? null : { Condition = { StringEquals = local.trust_conditions[each.key] } }
    )]
  })
}

resource "aws_iam_policy" "read_zones" {
  name_prefix = "${var.name}-read-zones-"
  description = "Reads the record sets of the given zones."
  tags        = var.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["route53:GetHostedZone", "route53:ListResourceRecordSets"]
      Resource = var.hosted_zone_arns
    }]
  })
}

resource "aws_iam_role_policy_attachment" "read_zones" {
  for_each = toset(["probe", "shift-weight", "rollback"])

  role       = aws_iam_role.this[each.key].name
  policy_arn = aws_iam_policy.read_zones.arn
}

resource "aws_iam_policy" "swap_records" {
  name_prefix = "${var.name}-swap-records-"
  description = "Replaces record sets of the given zones by DELETE and CREATE; never UPSERT."
  tags        = var.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = "route53:ChangeResourceRecordSets"
        Resource = var.hosted_zone_arns
        Condition = {
          "ForAllValues:StringEquals" = {
            "route53:ChangeResourceRecordSetsRecordTypes" = ["A", "AAAA", "CNAME", "TXT"]
            "route53:ChangeResourceRecordSetsActions"     = ["CREATE", "DELETE"]
          }
        }
      },
      {
        Effect = "Allow"
        Action = "route53:GetChange"
        # Route 53 assigns the id of a change when the change is made.
        Resource = "arn:${local.partition}:route53:::change/*"
      },
    ]
  })
}

resource "aws_iam_role_policy_attachment" "swap_records" {
  for_each = toset(["shift-weight", "rollback"])

  role       = aws_iam_role.this[each.key].name
  policy_arn = aws_iam_policy.swap_records.arn
}

resource "aws_iam_policy" "invoke_versions" {
  name_prefix = "${var.name}-invoke-versions-"
  description = "Invokes the functions of a migration, in every version."
  tags        = var.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      # All versions, because running executions keep theirs.
      Effect = "Allow"
      Action = "lambda:InvokeFunction"
      Resource = [
        aws_lambda_function.probe.arn,
        "${aws_lambda_function.probe.arn}:*",
        aws_lambda_function.shift_weight.arn,
        "${aws_lambda_function.shift_weight.arn}:*",
        aws_lambda_function.check_alarms.arn,
        "${aws_lambda_function.check_alarms.arn}:*",
      ]
    }]
  })
}

resource "aws_iam_role_policy_attachment" "invoke_versions" {
  for_each = toset(["migration", "watch"])

  role       = aws_iam_role.this[each.key].name
  policy_arn = aws_iam_policy.invoke_versions.arn
}

resource "aws_iam_policy" "tell_status" {
  name_prefix = "${var.name}-tell-status-"
  description = "Puts status events on the default bus, with this stack's source only."
  tags        = var.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "events:PutEvents"
      Resource = "arn:${local.partition}:events:${local.region}:${local.account_id}:event-bus/default"
      Condition = {
        # ForAllValues, because one call may put several events.
        "ForAllValues:StringEquals" = {
          "events:source"      = var.name
          "events:detail-type" = "Cutover Migration Status Change"
        }
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "tell_status" {
  for_each = toset(["migration", "watch", "rollback-machine", "release"])

  role       = aws_iam_role.this[each.key].name
  policy_arn = aws_iam_policy.tell_status.arn
}

resource "aws_iam_policy" "deliver_logs" {
  name_prefix = "${var.name}-deliver-logs-"
  description = "What the state machines need to deliver their logs."
  tags        = var.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect = "Allow"
      Action = [
        "logs:CreateLogDelivery",
        "logs:GetLogDelivery",
        "logs:UpdateLogDelivery",
        "logs:DeleteLogDelivery",
        "logs:ListLogDeliveries",
        "logs:PutResourcePolicy",
        "logs:DescribeResourcePolicies",
        "logs:DescribeLogGroups",
      ]
      # Log delivery has no resource-level permissions.
      Resource = "*"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "deliver_logs" {
  for_each = toset(local.state_machine_roles)

  role       = aws_iam_role.this[each.key].name
  policy_arn = aws_iam_policy.deliver_logs.arn
}

resource "aws_iam_role_policy_attachment" "traces" {
  for_each = toset(concat(local.function_roles, local.state_machine_roles))

  role       = aws_iam_role.this[each.key].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AWSXRayDaemonWriteAccess"
}

resource "aws_iam_role_policy_attachment" "vpc_access" {
  count = length(var.probe_subnet_ids) > 0 ? 1 : 0

  role       = aws_iam_role.this["probe"].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"
}
