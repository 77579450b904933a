# Between the rule alarm and the function rollback, so that many alarms in a short time share the calls by which the
# function finds out who watches them. FIFO, because with one message group there is only one batch at a time.
resource "aws_sqs_queue" "alarm_events" {
  name       = "${var.name}-alarm-events.fifo"
  fifo_queue = true
  # EventBridge gives no deduplication id.
  content_based_deduplication = true
  sqs_managed_sse_enabled     = true
  # Six times the timeout of the function, as Lambda recommends. Source: "Creating and configuring an Amazon SQS event
  # source mapping" in the Lambda Developer Guide.
  visibility_timeout_seconds = 720
  tags                       = var.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.alarm_events_dead_letter.arn
    maxReceiveCount     = 5
  })
}

resource "aws_sqs_queue_policy" "alarm_events" {
  queue_url = aws_sqs_queue.alarm_events.url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.alarm_events.arn
      Condition = { ArnEquals = { "aws:SourceArn" = aws_cloudwatch_event_rule.this["alarm"].arn } }
    }]
  })
}

# That of a FIFO queue has to be one, too, and EventBridge's must not be.
resource "aws_sqs_queue" "alarm_events_dead_letter" {
  name                      = "${var.name}-alarm-events-dead-letter.fifo"
  fifo_queue                = true
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
  tags                      = var.tags
}

resource "aws_sqs_queue" "events_dead_letter" {
  name                    = "${var.name}-events-dead-letter"
  sqs_managed_sse_enabled = true
  # 14 days, SQS's maximum: an event in here may be a rollback that was never started.
  message_retention_seconds = 1209600
  tags                      = var.tags
}

resource "aws_sqs_queue_policy" "events_dead_letter" {
  queue_url = aws_sqs_queue.events_dead_letter.url

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = aws_sqs_queue.events_dead_letter.arn
      Condition = { ArnEquals = { "aws:SourceArn" = [for rule in aws_cloudwatch_event_rule.this : rule.arn] } }
    }]
  })
}
