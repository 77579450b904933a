# Cutover beside a blue and a green cluster, as in the blue/green pattern of the EKS Blueprints. The weights are handed
# back: after a migration, `terraform apply` writes the weights that it has reached, so it changes nothing that Cutover
# has moved.

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

locals {
  zone = "eks-blueprint.example.com"
  # What each cluster has before the first migration.
  initial_weights = {
    eks-blueprint-blue  = 100
    eks-blueprint-green = 0
  }
}

data "aws_route53_zone" "this" {
  name = local.zone
}

module "cutover" {
  source = "../.."

  hosted_zone_arns = [data.aws_route53_zone.this.arn]
  packages         = { directory = "../../../../target/packages/arm64" }
}

# Records that ExternalDNS owns. Pass each cluster its weight as the variable route53_weight of its configuration, which
# writes it into the annotations: when a migration has completed, apply, wait until Argo CD has synced, and start the
# release. The variables argocd_route53_weight and ecsfrontend_route53_weight are read in the same way from the names
# that they are for.
module "weights" {
  source = "../../modules/weights"

  zone_id         = data.aws_route53_zone.this.zone_id
  name            = "burnham.${local.zone}"
  initial_weights = local.initial_weights
}

output "route53_weight" {
  description = "The variable route53_weight of each cluster."
  value       = module.weights.weights
}

# Records that Terraform owns, in front of one name for each cluster, which ExternalDNS owns.
module "front_door_weights" {
  source = "../../modules/weights"

  zone_id         = data.aws_route53_zone.this.zone_id
  name            = "front-door.${local.zone}"
  initial_weights = local.initial_weights
}

resource "aws_route53_record" "front_door" {
  for_each = module.front_door_weights.weights

  zone_id        = data.aws_route53_zone.this.zone_id
  name           = "front-door.${local.zone}"
  type           = "CNAME"
  ttl            = 60
  records        = ["front-door.${each.key}.${local.zone}"]
  set_identifier = each.key

  weighted_routing_policy {
    weight = each.value
  }
}
