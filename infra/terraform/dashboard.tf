locals {
  # The metrics of the executions of a state machine.
  execution_metrics = {
    for machine, arn in {
      Migrations = aws_sfn_state_machine.migration.arn
      Rollbacks  = aws_sfn_state_machine.rollback.arn
      Releases   = aws_sfn_state_machine.release.arn
      } : machine => [
      ["AWS/States", "ExecutionsStarted", "StateMachineArn", arn, { label = "started", color = "#1f77b4" }],
      [".", "ExecutionsSucceeded", ".", ".", { label = "succeeded", color = "#2ca02c" }],
      [".", "ExecutionsFailed", ".", ".", { label = "failed", color = "#d62728" }],
      [".", "ExecutionsAborted", ".", ".", { label = "aborted", color = "#ff7f0e" }],
      [".", "ExecutionsTimedOut", ".", ".", { label = "timed out", color = "#9467bd" }],
    ]
  }
}

# The metrics in the namespace Cutover are lines that the functions log in CloudWatch's embedded metric format. The table
# of alarms selects the log line "an alarm is not OK" of check-alarms.
resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    start = "-PT6H"
    widgets = concat(
      [
        {
          type = "metric", x = 0, y = 0, width = 24, height = 7
          properties = {
            title  = "Weight of the new side (percent)"
            region = local.region
            metrics = [[{
              expression = "SEARCH('{Cutover,HostedZone,From,To} MetricName=\"Percent\"', 'Maximum', 60)"
              id         = "percent"
              label      = "$${PROP('Dim.From')} to $${PROP('Dim.To')} in $${PROP('Dim.HostedZone')}"
            }]]
            period = 60
            yAxis  = { left = { min = 0, max = 100, showUnits = false } }
          }
        },
        {
          type = "metric", x = 0, y = 7, width = 12, height = 7
          properties = {
            title   = "Watched alarms, by state at each check"
            region  = local.region
            stacked = true
            metrics = [
              ["Cutover", "AlarmsInAlarm", "FunctionName", aws_lambda_function.check_alarms.function_name, { label = "in alarm", color = "#d62728" }],
              [".", "AlarmsInsufficientData", ".", ".", { label = "insufficient data", color = "#7f7f7f" }],
              [".", "AlarmsOk", ".", ".", { label = "OK", color = "#2ca02c" }],
            ]
            stat   = "Maximum"
            period = 60
            yAxis  = { left = { min = 0, showUnits = false } }
          }
        },
        {
          type = "log", x = 12, y = 7, width = 12, height = 7
          properties = {
            title  = "Watched alarms that were not OK, newest first"
            region = local.region
            query  = "SOURCE '${aws_cloudwatch_log_group.functions["check-alarms"].name}' | fields @timestamp, fields.alarm, fields.state, fields.reason | filter fields.message = 'an alarm is not OK' | sort @timestamp desc | limit 50"
            view   = "table"
          }
        },
      ],
      [
        for index, machine in ["Migrations", "Rollbacks", "Releases"] : {
          type = "metric", x = 8 * index, y = 14, width = 8, height = 6
          properties = {
            title   = "${machine}, by status"
            region  = local.region
            metrics = local.execution_metrics[machine]
            stat    = "Sum"
            period  = 60
            yAxis   = { left = { min = 0, showUnits = false } }
          }
        }
      ],
      [
        {
          type = "metric", x = 0, y = 20, width = 12, height = 6
          properties = {
            title  = "Errors of the functions"
            region = local.region
            metrics = [
              ["AWS/Lambda", "Errors", "FunctionName", aws_lambda_function.probe.function_name, { label = "probe" }],
              ["...", aws_lambda_function.shift_weight.function_name, { label = "shift-weight" }],
              ["...", aws_lambda_function.check_alarms.function_name, { label = "check-alarms" }],
              ["...", aws_lambda_function.rollback.function_name, { label = "rollback" }],
            ]
            stat   = "Sum"
            period = 60
            yAxis  = { left = { min = 0, showUnits = false } }
          }
        },
        {
          type = "metric", x = 12, y = 20, width = 12, height = 6
          properties = {
            title  = "Duration of the functions (99th percentile and maximum)"
            region = local.region
            metrics = [
              ["AWS/Lambda", "Duration", "FunctionName", aws_lambda_function.probe.function_name, { label = "probe p99", stat = "p99" }],
              ["...", { label = "probe maximum", stat = "Maximum" }],
              ["...", aws_lambda_function.shift_weight.function_name, { label = "shift-weight p99", stat = "p99" }],
              ["...", { label = "shift-weight maximum", stat = "Maximum" }],
              ["...", aws_lambda_function.check_alarms.function_name, { label = "check-alarms p99", stat = "p99" }],
              ["...", { label = "check-alarms maximum", stat = "Maximum" }],
              ["...", aws_lambda_function.rollback.function_name, { label = "rollback p99", stat = "p99" }],
              ["...", { label = "rollback maximum", stat = "Maximum" }],
            ]
            period = 60
            yAxis  = { left = { min = 0 } }
          }
        },
      ],
    )
  })
}
