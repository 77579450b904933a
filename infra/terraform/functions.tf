locals {
  # Where Lambda finds the code of each function. Terraform sees a change of a local file by its hash, and of an
  # object in S3 by its key, which has the version.
  packages = {
    for function in ["probe", "shift-weight", "check-alarms", "rollback"] : function => {
      filename         = one([for directory in var.packages.directory[*] : "${directory}/${function}.zip"])
      source_code_hash = one([for directory in var.packages.directory[*] : filebase64sha256("${directory}/${function}.zip")])
      s3_bucket        = var.packages.s3_bucket
      s3_key           = one([for bucket in var.packages.s3_bucket[*] : "${var.packages.s3_prefix}${function}.zip"])
    }
  }
}

# Each change of a function publishes a version, and the state machines invoke that version. So an execution keeps the
# code with which it was started while the deployment is updated. The provider keeps the earlier versions.

resource "aws_lambda_function" "probe" {
  function_name = "${var.name}-probe"
  description   = "Requests every name from the new side's own load balancers."
  role          = aws_iam_role.this["probe"].arn
  tags          = var.tags

  filename         = local.packages["probe"].filename
  source_code_hash = local.packages["probe"].source_code_hash
  s3_bucket        = local.packages["probe"].s3_bucket
  s3_key           = local.packages["probe"].s3_key
  publish          = true
  runtime          = "provided.al2023"
  architectures    = [var.architecture]
  handler          = "bootstrap"
  memory_size      = 256
  layers           = var.probe_ca_certificates_layer_arn[*]
  # More than the longest probe.deadlineSeconds (240), and less than the TimeoutSeconds (330) of the states that call
  # it: a call has ended before Step Functions retries it.
  timeout = 300

  environment {
    variables = {
      RUST_LOG              = var.log_level
      PROBE_CA_CERTIFICATES = var.probe_ca_certificates == null ? "" : var.probe_ca_certificates
      # Lambda unpacks layers into /opt.
      PROBE_CA_CERTIFICATES_DIRECTORY = var.probe_ca_certificates_layer_arn == null ? "" : "/opt/ca-certificates"
      PROBE_CONNECT_TO                = var.probe_connect_to
    }
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.functions["probe"].name
  }

  tracing_config {
    mode = "Active"
  }

  dynamic "vpc_config" {
    for_each = length(var.probe_subnet_ids) > 0 ? [1] : []

    content {
      subnet_ids         = var.probe_subnet_ids
      security_group_ids = var.probe_security_group_ids
    }
  }

  # Lambda checks when it creates the function that its role may create network interfaces.
  depends_on = [aws_iam_role_policy_attachment.vpc_access]
}

resource "aws_lambda_function" "shift_weight" {
  function_name = "${var.name}-shift-weight"
  description   = "Plans migrations, shifts weights by compare-and-swap, and releases names to ExternalDNS."
  role          = aws_iam_role.this["shift-weight"].arn
  tags          = var.tags

  filename         = local.packages["shift-weight"].filename
  source_code_hash = local.packages["shift-weight"].source_code_hash
  s3_bucket        = local.packages["shift-weight"].s3_bucket
  s3_key           = local.packages["shift-weight"].s3_key
  publish          = true
  runtime          = "provided.al2023"
  architectures    = [var.architecture]
  handler          = "bootstrap"
  memory_size      = 256
  # A call may still write for this long after its execution was stopped, so the rollback waits longer before it checks
  # the zone again: LATE_WRITER_SECONDS in the function rollback, which is this, the longest cold start and a margin.
  # Less than the TimeoutSeconds (150) of the states that call it, so that a call has ended before Step Functions
  # retries it.
  timeout = 120

  environment {
    variables = {
      RUST_LOG                      = var.log_level
      REQUIRE_PROBE                 = var.require_probe
      REQUIRE_ALARMS                = var.require_alarms
      MAX_FIRST_STEP_PERCENT        = var.max_first_step_percent
      MIN_BAKE_SECONDS              = var.min_bake_seconds
      ALARM_NAME_PREFIX             = var.alarm_name_prefix
      MIGRATION_STATE_MACHINE_ARN   = "${local.state_machine_arn_prefix}-migration"
      ROLLED_BACK_STATE_MACHINE_ARN = aws_sfn_state_machine.rolled_back.arn
      JOURNAL_KEY_ARN               = local.journal_key_arn
    }
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.functions["shift-weight"].name
  }

  tracing_config {
    mode = "Active"
  }
}

resource "aws_lambda_function" "check_alarms" {
  function_name = "${var.name}-check-alarms"
  description   = "Finds watched alarms in ALARM, and those that were in ALARM since the last shift."
  role          = aws_iam_role.this["check-alarms"].arn
  tags          = var.tags

  filename         = local.packages["check-alarms"].filename
  source_code_hash = local.packages["check-alarms"].source_code_hash
  s3_bucket        = local.packages["check-alarms"].s3_bucket
  s3_key           = local.packages["check-alarms"].s3_key
  publish          = true
  runtime          = "provided.al2023"
  architectures    = [var.architecture]
  handler          = "bootstrap"
  memory_size      = 256
  # Less than the TimeoutSeconds (150) of the states that call it.
  timeout = 120

  environment {
    variables = {
      RUST_LOG = var.log_level
    }
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.functions["check-alarms"].name
  }

  tracing_config {
    mode = "Active"
  }
}

resource "aws_lambda_function" "rollback" {
  function_name = "${var.name}-rollback"
  description = join(" ", concat(
    ["Restores the original weights from the journals."],
    # As in the template, where a change of what is reserved would publish no version otherwise.
    [for reserved in var.rollback_reserved_concurrency[*] : "${reserved} concurrent calls are reserved for it."],
  ))
  role = aws_iam_role.this["rollback"].arn
  tags = var.tags

  filename         = local.packages["rollback"].filename
  source_code_hash = local.packages["rollback"].source_code_hash
  s3_bucket        = local.packages["rollback"].s3_bucket
  s3_key           = local.packages["rollback"].s3_key
  publish          = true
  runtime          = "provided.al2023"
  architectures    = [var.architecture]
  handler          = "bootstrap"
  memory_size      = 256
  # Less than the TimeoutSeconds (150) of the states that call it. A sixth of the visibility timeout of the queue of
  # alarms.
  timeout = 120
  # -1 reserves nothing.
  reserved_concurrent_executions = var.rollback_reserved_concurrency == null ? -1 : var.rollback_reserved_concurrency

  environment {
    variables = {
      RUST_LOG                      = var.log_level
      MIGRATION_STATE_MACHINE_ARN   = "${local.state_machine_arn_prefix}-migration"
      ROLLBACK_STATE_MACHINE_ARN    = "${local.state_machine_arn_prefix}-rollback"
      ROLLED_BACK_STATE_MACHINE_ARN = aws_sfn_state_machine.rolled_back.arn
      JOURNAL_KEY_ARN               = local.journal_key_arn
    }
  }

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.functions["rollback"].name
  }

  tracing_config {
    mode = "Active"
  }
}

# Permits alarms to have the rollback function as their action: the function without a version, which is always the
# newest code, so that no alarm has to be changed after an update.
resource "aws_lambda_permission" "alarms" {
  statement_id   = "alarms"
  function_name  = aws_lambda_function.rollback.function_name
  action         = "lambda:InvokeFunction"
  principal      = "lambda.alarms.cloudwatch.amazonaws.com"
  source_account = local.account_id
  source_arn     = "arn:${local.partition}:cloudwatch:${local.region}:${local.account_id}:alarm:${var.alarm_name_prefix}*"
}

# From the queue of the rule alarm to the function. The queue has one message group, so there is one batch at a time,
# and an alarm does not wait for a batch to be full.
resource "aws_lambda_event_source_mapping" "alarm_events" {
  function_name    = "${aws_lambda_function.rollback.arn}:${aws_lambda_function.rollback.version}"
  event_source_arn = aws_sqs_queue.alarm_events.arn
  # Lambda's maximum for a FIFO queue.
  batch_size              = 10
  function_response_types = ["ReportBatchItemFailures"]
  tags                    = var.tags

  # Lambda checks that the function's role may receive messages.
  depends_on = [aws_iam_role_policy.rollback]
}

# For asynchronous calls: of alarms that have the function as their action, and of the schedule sweep. A call that fails
# three times is put into the queue, and the alarm events-not-delivered reports it.
resource "aws_lambda_function_event_invoke_config" "rollback" {
  function_name          = aws_lambda_function.rollback.function_name
  qualifier              = "$LATEST"
  maximum_retry_attempts = 2

  destination_config {
    on_failure {
      destination = aws_sqs_queue.events_dead_letter.arn
    }
  }

  # Lambda checks that the function's role may send messages.
  depends_on = [aws_iam_role_policy.rollback]
}

# Refuses the destruction while migrations run or names have journals: the provider invokes the function then, with
# "delete" as tf.action, and if it fails, nothing is destroyed. So the guard has to be destroyed first: it depends on
# everything, on what nothing else refers to by depends_on, and by these on the rest.
# Source: "Resource: aws_lambda_invocation" in the documentation of the AWS provider.
resource "aws_lambda_invocation" "deletion_guard" {
  # Not a version, so that the newest code decides.
  function_name   = aws_lambda_function.rollback.function_name
  lifecycle_scope = "CRUD"
  input           = jsonencode({ hostedZoneArns = var.hosted_zone_arns })

  depends_on = [
    aws_cloudwatch_event_target.alarm,
    aws_cloudwatch_event_target.state_machine,
    aws_iam_role_policy.check_alarms,
    aws_iam_role_policy.migration,
    aws_iam_role_policy.notification,
    aws_iam_role_policy.probe,
    aws_iam_role_policy.release,
    aws_iam_role_policy.rollback,
    aws_iam_role_policy.rollback_machine,
    aws_iam_role_policy.rules,
    aws_iam_role_policy.schedule,
    aws_iam_role_policy.shift_weight,
    aws_iam_role_policy.start,
    aws_iam_role_policy.watch,
    aws_iam_role_policy_attachment.deliver_logs,
    aws_iam_role_policy_attachment.invoke_versions,
    aws_iam_role_policy_attachment.read_zones,
    aws_iam_role_policy_attachment.swap_records,
    aws_iam_role_policy_attachment.tell_status,
    aws_iam_role_policy_attachment.traces,
    aws_lambda_event_source_mapping.alarm_events,
    aws_lambda_function_event_invoke_config.rollback,
    aws_lambda_permission.alarms,
    aws_scheduler_schedule.reminder,
    aws_scheduler_schedule.sweep,
    aws_sfn_state_machine.watch,
    aws_sns_topic_subscription.email,
    aws_sqs_queue_policy.alarm_events,
    aws_sqs_queue_policy.events_dead_letter,
  ]
}
