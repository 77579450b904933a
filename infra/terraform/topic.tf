resource "aws_sns_topic" "notifications" {
  name         = "${var.name}-notifications"
  display_name = "Cutover"
  # Messages may have the token of an approval. Not encrypted with alias/aws/sns: the policy of that key can't be
  # changed, and alarms can't publish to a topic with it, of which only their history tells. Source: "Managing Amazon SNS
  # encryption keys and costs" in the SNS Developer Guide.
  kms_master_key_id = aws_kms_key.notifications.arn
  tags              = var.tags
}

resource "aws_sns_topic_subscription" "email" {
  count = var.notification_email == null ? 0 : 1

  topic_arn = aws_sns_topic.notifications.arn
  protocol  = "email"
  endpoint  = var.notification_email
}
