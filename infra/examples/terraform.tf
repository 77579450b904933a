# Starts a migration when Terraform has created the new cluster and what runs on it.
# Put it into that cluster's configuration, fill in the module and the input, and apply; Terraform
# does not wait for the migration. Actions need Terraform 1.14; for older ones see the end.

terraform {
  required_version = ">= 1.14"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.15"
    }
  }
}

locals {
  # Argo CD may still be deploying when Terraform is done, hence recordsTimeoutSeconds.
  migration = jsonencode({
    hostedZoneId          = "Z3Q77PNBQS71R4"
    from                  = "eks-blueprint-blue"
    to                    = "eks-blueprint-green"
    steps                 = [10, 50, 100]
    recordsTimeoutSeconds = 1800
  })
}

action "aws_events_put_events" "migration" {
  config {
    entry {
      source      = "cutover" # The output EventSource of Cutover's stack.
      detail_type = "Cutover Migration Requested"
      detail      = local.migration
    }
  }
}

# Created once for each life of the cluster: neither a change of the input nor an upgrade in place
# starts a migration again.
resource "terraform_data" "migration" {
  depends_on = [module.eks_cluster]

  lifecycle {
    action_trigger {
      events  = [after_create]
      actions = [action.aws_events_put_events.migration]
    }
  }
}

# With an older Terraform or provider, leave the action out (and the versions above), and use this.
# The AWS CLI succeeds even if the bus refuses the event, hence the test of the count.
#
# resource "terraform_data" "migration" {
#   depends_on = [module.eks_cluster]
#
#   provisioner "local-exec" {
#     command = "test \"$(aws events put-events --query FailedEntryCount --output text --entries \"$ENTRIES\")\" = 0"
#
#     environment = {
#       ENTRIES = jsonencode([{
#         Source     = "cutover"
#         DetailType = "Cutover Migration Requested"
#         Detail     = local.migration
#       }])
#     }
#   }
# }
