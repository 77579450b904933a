# Declared for their retention: a group that Lambda creates itself keeps its logs for ever.
resource "aws_cloudwatch_log_group" "functions" {
  for_each = toset(["probe", "shift-weight", "check-alarms", "rollback"])

  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_in_days
  tags              = var.tags
}

# The prefix /aws/vendedlogs/ avoids the size limit of CloudWatch Logs' resource policies.
resource "aws_cloudwatch_log_group" "state_machines" {
  for_each = toset(["migration", "watch", "rollback", "release", "start", "rolled-back", "notification"])

  name              = "/aws/vendedlogs/states/${var.name}-${each.key}"
  retention_in_days = var.log_retention_in_days
  tags              = var.tags
}
