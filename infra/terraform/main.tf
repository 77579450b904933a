# The same resources as in ../template.yaml. Each file has those of one kind.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  # Not the attribute name, which is deprecated since version 6 of the provider.
  region = data.aws_region.current.id

  # For ARNs that are written out, because a reference would be circular.
  state_machine_arn_prefix = "arn:${local.partition}:states:${local.region}:${local.account_id}:stateMachine:${var.name}"
  execution_arn_prefix     = "arn:${local.partition}:states:${local.region}:${local.account_id}:execution:${var.name}"
}
