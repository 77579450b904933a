# Cutover in the account that owns the hosted zone, with the clusters in other accounts. The alarms that migrations watch
# have to be in the account of the zone, too. The pipelines of the clusters' accounts may start migrations and look at
# them, by a role that they assume.

terraform {
  required_version = ">= 1.5.7"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

provider "aws" {
  alias  = "network"
  region = "eu-west-1"

  assume_role {
    role_arn = "arn:aws:iam::111122223333:role/terraform"
  }
}

provider "aws" {
  alias  = "blue"
  region = "eu-west-1"

  assume_role {
    role_arn = "arn:aws:iam::444455556666:role/terraform"
  }
}

provider "aws" {
  alias  = "green"
  region = "eu-west-1"

  assume_role {
    role_arn = "arn:aws:iam::777788889999:role/terraform"
  }
}

data "aws_caller_identity" "blue" {
  provider = aws.blue
}

data "aws_caller_identity" "green" {
  provider = aws.green
}

data "aws_route53_zone" "this" {
  provider = aws.network
  name     = "example.com"
}

module "cutover" {
  source    = "../.."
  providers = { aws = aws.network }

  hosted_zone_arns = [data.aws_route53_zone.this.arn]
  # A bucket from which Lambda may read in the account of the zone.
  packages = { s3_bucket = "platform-artifacts-eu-west-1", s3_prefix = "cutover/1.2.0/arm64/" }
}

resource "aws_iam_role" "pipelines" {
  provider = aws.network

  name        = "cutover-pipelines"
  description = "Starts migrations and looks at them, for the accounts of the clusters."

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { AWS = [data.aws_caller_identity.blue.account_id, data.aws_caller_identity.green.account_id] }
    }]
  })
}

resource "aws_iam_role_policy" "pipelines" {
  provider = aws.network

  name = "migrations"
  role = aws_iam_role.pipelines.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect   = "Allow"
        Action   = ["states:StartExecution", "states:ListExecutions"]
        Resource = module.cutover.migration_state_machine_arn
      },
      {
        Effect   = "Allow"
        Action   = "states:DescribeExecution"
        Resource = "${replace(module.cutover.migration_state_machine_arn, ":stateMachine:", ":execution:")}:*"
      },
    ]
  })
}
