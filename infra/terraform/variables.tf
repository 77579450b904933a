variable "name" {
  description = "Begins the name of every function, state machine, rule, queue and alarm, and is the source of their events. A change replaces them."
  type        = string
  default     = "cutover"

  # The longest name is that of a rule, <name>-migration-requested, of which EventBridge permits 64 characters. A
  # source that begins with aws. can't be used, so no dots.
  validation {
    condition     = can(regex("^[A-Za-z][A-Za-z0-9-]{0,43}$", var.name))
    error_message = "name: expected a letter, and up to 43 letters, digits or hyphens."
  }
}

variable "hosted_zone_arns" {
  description = "ARNs of the hosted zones in which records may be changed, such as arn:aws:route53:::hostedzone/Z1."
  type        = list(string)

  validation {
    condition = length(var.hosted_zone_arns) > 0 && alltrue([
      for arn in var.hosted_zone_arns : can(regex("^arn:aws[a-z-]*:route53:::hostedzone/Z[A-Z0-9]{1,31}$", arn))
    ])
    error_message = "hosted_zone_arns: expected at least one ARN such as arn:aws:route53:::hostedzone/Z1."
  }
}

variable "packages" {
  description = "The packages of the functions: a directory with probe.zip, shift-weight.zip, check-alarms.zip and rollback.zip, or the bucket that has them and the beginning of their keys, with a slash at its end."
  type = object({
    directory = optional(string)
    s3_bucket = optional(string)
    s3_prefix = optional(string, "")
  })

  validation {
    condition     = (var.packages.directory == null) != (var.packages.s3_bucket == null)
    error_message = "packages: expected either directory or s3_bucket."
  }
}

variable "architecture" {
  description = "Processor for which the packages were built: arm64 or x86_64."
  type        = string
  default     = "arm64"

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture: expected arm64 or x86_64."
  }
}

variable "notification_email" {
  description = "Address for status notifications and for the module's own alarms."
  type        = string
  default     = null

  validation {
    condition     = var.notification_email == null || can(regex("^[^@ ]+@[^@ ]+$", var.notification_email))
    error_message = "notification_email: expected an address such as team@example.com."
  }
}

variable "alarm_name_prefix" {
  description = "Only alarms with this name prefix may start a rollback, by their event or their action; empty for every alarm of the account and Region. Set it in an account with many alarms."
  type        = string
  default     = ""

  # The rule matches the prefix literally: with an asterisk it would match no alarm.
  validation {
    condition     = can(regex("^[^*?]{0,255}$", var.alarm_name_prefix))
    error_message = "alarm_name_prefix: expected at most 255 characters without * and ?."
  }
}

variable "cluster_created_name" {
  description = "Name of the cluster that starts a migration when it is created, by CloudTrail's event CreateCluster (requires a trail in this Region)."
  type        = string
  default     = null

  validation {
    condition     = var.cluster_created_name == null || can(regex("^[0-9A-Za-z][0-9A-Za-z_-]{0,99}$", var.cluster_created_name))
    error_message = "cluster_created_name: expected the name of an EKS cluster."
  }
}

variable "cluster_created_input" {
  description = "Input (JSON) of the migration that the creation of cluster_created_name starts. Set recordsTimeoutSeconds in it, because the event is sent when the creation begins."
  type        = string
  default     = "{}"

  validation {
    condition     = can(keys(jsondecode(var.cluster_created_input)))
    error_message = "cluster_created_input: expected a JSON object, such as by jsonencode({ … })."
  }
}

variable "require_probe" {
  description = "With true, a migration whose input switches the probe off is refused."
  type        = bool
  default     = false
}

variable "require_alarms" {
  description = "With true, a migration whose input has no alarms is refused."
  type        = bool
  default     = false
}

variable "max_first_step_percent" {
  description = "A migration whose first step has a larger percent is refused."
  type        = number
  default     = 100

  validation {
    condition     = var.max_first_step_percent >= 0.01 && var.max_first_step_percent <= 100
    error_message = "max_first_step_percent: expected 0.01 to 100."
  }
}

variable "min_bake_seconds" {
  description = "A migration of which a step has a shorter bake time is refused."
  type        = number
  default     = 0

  validation {
    condition     = var.min_bake_seconds >= 0 && var.min_bake_seconds <= 604800
    error_message = "min_bake_seconds: expected 0 to 604800."
  }
}

variable "reminder_after_hours" {
  description = "Hours after which a migration that holds, or has completed and is not released, is reminded of, once a day."
  type        = number
  default     = 24

  validation {
    condition     = var.reminder_after_hours >= 1 && var.reminder_after_hours <= 2160
    error_message = "reminder_after_hours: expected 1 to 2160."
  }
}

variable "rollback_reserved_concurrency" {
  description = "Concurrent calls of the function rollback that Lambda reserves for it, so that other functions of the account can't take them all. Lambda keeps 100 unreserved, so an account whose quota is not above 100 can't reserve any."
  type        = number
  default     = null

  validation {
    condition     = var.rollback_reserved_concurrency == null || can(regex("^[1-9][0-9]{0,3}$", var.rollback_reserved_concurrency))
    error_message = "rollback_reserved_concurrency: expected 1 to 9999."
  }
}

variable "log_retention_in_days" {
  description = "Days for which CloudWatch Logs keeps the logs of functions and state machines."
  type        = number
  default     = 90

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653],
      var.log_retention_in_days
    )
    error_message = "log_retention_in_days: expected a value that CloudWatch Logs permits, such as 30, 90 or 365."
  }
}

variable "log_level" {
  description = "Log level of the functions: error, warn, info or debug. With error, the dashboard's table of alarms stays empty, because it is read from warnings in the log."
  type        = string
  default     = "info"

  validation {
    condition     = contains(["error", "warn", "info", "debug"], var.log_level)
    error_message = "log_level: expected error, warn, info or debug."
  }
}

variable "journal_key_arn" {
  description = "ARN of the KMS key (HMAC_256) that signs the journals, to bring your own or to go on with the key of an earlier deployment. Its policy must permit the roles of the functions shift-weight and rollback to use it. By default the module creates one."
  type        = string
  default     = null

  validation {
    condition     = var.journal_key_arn == null || can(regex("^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.journal_key_arn))
    error_message = "journal_key_arn: expected the ARN of a key, not of an alias."
  }
}

variable "probe_subnet_ids" {
  description = "Subnets in which the probe runs, if the load balancers are internal. They need a route to Route 53's API, such as a NAT gateway. Empty if the load balancers are internet-facing."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.probe_subnet_ids : can(regex("^subnet-[0-9a-f]+$", id))])
    error_message = "probe_subnet_ids: expected ids such as subnet-0123456789abcdef0."
  }
}

variable "probe_security_group_ids" {
  description = "Security groups of the probe in probe_subnet_ids."
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for id in var.probe_security_group_ids : can(regex("^sg-[0-9a-f]+$", id))])
    error_message = "probe_security_group_ids: expected ids such as sg-0123456789abcdef0."
  }
}

variable "probe_ca_certificates" {
  description = "Certificates (PEM) of private certificate authorities that the probe trusts in addition to the public ones. Lambda limits all environment variables of a function to 4 KB together."
  type        = string
  default     = null

  validation {
    condition     = var.probe_ca_certificates == null || can(regex("^-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\\s-]+-----END CERTIFICATE-----\\s*$", var.probe_ca_certificates))
    error_message = "probe_ca_certificates: expected PEM certificates, such as by file(\"ca.pem\")."
  }
}

variable "probe_ca_certificates_layer_arn" {
  description = "ARN of a version of a Lambda layer with files ca-certificates/*.pem: private certificate authorities that the probe trusts, if they are too large for probe_ca_certificates."
  type        = string
  default     = null

  validation {
    condition     = var.probe_ca_certificates_layer_arn == null || can(regex("^arn:aws[a-z-]*:lambda:[a-z0-9-]+:[0-9]{12}:layer:[A-Za-z0-9_-]+:[0-9]+$", var.probe_ca_certificates_layer_arn))
    error_message = "probe_ca_certificates_layer_arn: expected the ARN of a layer with its version."
  }
}

variable "probe_connect_to" {
  description = "For local runs only; leave it empty on AWS. HOST=ADDRESS:PORT pairs, separated by commas: the probe connects to the address in place of the load balancer, and may use a loopback address."
  type        = string
  default     = ""

  validation {
    condition     = can(regex("^$|^[^=, ]+=[0-9.]+:[0-9]+(,[^=, ]+=[0-9.]+:[0-9]+)*$", var.probe_connect_to))
    error_message = "probe_connect_to: expected HOST=ADDRESS:PORT pairs, separated by commas."
  }
}

variable "tags" {
  description = "Tags of all resources that can have tags."
  type        = map(string)
  default     = {}
}
