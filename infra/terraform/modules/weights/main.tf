# The live weights of a name's records: what a migration has reached, once one has moved the name. With them in place of
# constants, `terraform apply` changes no weight that Cutover has written.

locals {
  # As Route 53 lists the name.
  labels = [for label in split(".", trimsuffix(lower(var.name), ".")) : label == "*" ? "\\052" : label]
}

data "aws_route53_records" "this" {
  zone_id    = var.zone_id
  name_regex = "^${replace(join("\\.", local.labels), "\\052", "\\\\052")}\\.$"
}

locals {
  # Null if there is no such record.
  records = data.aws_route53_records.this.resource_record_sets

  found = {
    for record in local.records == null ? [] : local.records : record.set_identifier => record.weight...
    if contains(["A", "AAAA", "CNAME"], record.type) && record.weight != null
  }
}
