# Everything with its defaults, for one hosted zone and packages that were built here or unpacked from a release.

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
  region = "eu-west-1"
}

module "cutover" {
  source = "../.."

  hosted_zone_arns = ["arn:aws:route53:::hostedzone/Z3Q77PNBQS71R4"]
  packages         = { directory = "../../../../target/packages/arm64" }
}

output "migration_state_machine_arn" {
  description = "Start an execution of this state machine to start a migration."
  value       = module.cutover.migration_state_machine_arn
}
