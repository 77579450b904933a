# Starts a migration when Terraform has created the new cluster and its workloads.
# Add this to the configuration of that cluster, fill in the module and the input, and apply.
# Terraform does not wait for the migration. Actions need Terraform 1.14; for older versions see the
# end of this file.

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
  # request is the key of the request: however often it is made, it starts one migration. The endpoint is
  # another one if a cluster of the same name is created again.
  # recordsTimeoutSeconds, because Argo CD may still be deploying when Terraform has finished.
  migration = jsonencode({
    request               = "${module.eks_cluster.cluster_name}-${md5(module.eks_cluster.cluster_endpoint)}"
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

# Created once per cluster: neither a change of the input nor an in-place upgrade of the cluster
# starts another migration.
resource "terraform_data" "migration" {
  depends_on = [module.eks_cluster]

  lifecycle {
    action_trigger {
      events  = [after_create]
      actions = [action.aws_events_put_events.migration]
    }
  }
}

# With an older Terraform or provider, remove the action, the resource and the required versions above,
# and use this resource. It checks the count, because the AWS CLI exits with 0 even if the event bus
# rejects the event.
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
