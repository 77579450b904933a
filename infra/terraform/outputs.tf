output "start_state_machine_arn" {
  description = "The target of rules of yours whose events request migrations."
  value       = aws_sfn_state_machine.start.arn
}

output "migration_state_machine_arn" {
  description = "Start an execution of this state machine to start a migration."
  value       = aws_sfn_state_machine.migration.arn
}

output "watch_state_machine_arn" {
  description = "Its running executions have the tokens to approve, promote, hold or roll back a migration."
  value       = aws_sfn_state_machine.watch.arn
}

output "rollback_state_machine_arn" {
  description = "Start an execution of this state machine to roll back a migration."
  value       = aws_sfn_state_machine.rollback.arn
}

output "release_state_machine_arn" {
  description = "Start an execution of this state machine to release the names of a completed migration."
  value       = aws_sfn_state_machine.release.arn
}

output "notifications_topic_arn" {
  description = "Subscribe to this topic for status notifications and for the module's own alarms."
  value       = aws_sns_topic.notifications.arn
}

output "journal_key_arn" {
  description = "KMS key that signs the journals. Give it to a deployment that takes over from this one."
  value       = local.journal_key_arn
}

output "event_source" {
  description = "Source of the events that request migrations and of those that report their status."
  value       = var.name
}

output "dashboard_name" {
  description = "CloudWatch dashboard of the migrations."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
