# Starts a migration when Terraform has created the new cluster and its workloads. Add this to the configuration of that
# cluster, and fill in the module and the input. Terraform does not wait for the migration.
#
# Actions need Terraform 1.14, and this one version 6.15 of the provider. The tests of this project run with an earlier
# Terraform: they check the format of this file, but do not plan it. For older versions see its end.

terraform {
  required_version = ">= 1.14"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.15, < 7"
    }
  }
}

data "aws_sfn_state_machine" "start" {
  # The output start_state_machine_arn of Cutover's module has its ARN.
  name = "cutover-start"
}

locals {
  # request is the key of the request: however often it is made, it starts one migration. The endpoint is another one if
  # a cluster of the same name is created again.
  request = "${module.eks_cluster.cluster_name}-${md5(module.eks_cluster.cluster_endpoint)}"

  # recordsTimeoutSeconds, because Argo CD may still be deploying when Terraform has finished.
  migration = {
    request               = local.request
    hostedZoneId          = "Z3Q77PNBQS71R4"
    from                  = "eks-blueprint-blue"
    to                    = "eks-blueprint-green"
    steps                 = [10, 50, 100]
    recordsTimeoutSeconds = 1800
  }
}

action "aws_sfn_start_execution" "migration" {
  config {
    state_machine_arn = data.aws_sfn_state_machine.start.arn
    input             = jsonencode({ id = local.request, detail = local.migration })
  }
}

# Created once per cluster: neither a change of the input nor an in-place upgrade of the cluster starts another migration.
resource "terraform_data" "migration" {
  depends_on = [module.eks_cluster]

  lifecycle {
    action_trigger {
      events  = [after_create]
      actions = [action.aws_sfn_start_execution.migration]
    }
  }
}

# With an older Terraform or provider, remove the action, the resource and the required versions above, and use this
# resource. It needs the AWS CLI.
#
# resource "terraform_data" "migration" {
#   depends_on = [module.eks_cluster]
#
#   provisioner "local-exec" {
#     command = "aws stepfunctions start-execution --state-machine-arn \"$STATE_MACHINE\" --input \"$INPUT\""
#
#     environment = {
#       STATE_MACHINE = data.aws_sfn_state_machine.start.arn
#       INPUT         = jsonencode({ id = local.request, detail = local.migration })
#     }
#   }
# }
