# Signs the journals: the two functions that write them derive their key from it with one call of GenerateMac after a
# cold start.
resource "aws_kms_key" "journals" {
  count = var.journal_key_arn == null ? 1 : 0

  description = "Signs the journals of the stack ${var.name}."
  # KMS can't rotate such a key.
  customer_master_key_spec = "HMAC_256"
  key_usage                = "GENERATE_VERIFY_MAC"
  # KMS's maximum. The deletion can be cancelled until then, because a deployment can trust the journals of an earlier
  # one only with the same key.
  deletion_window_in_days = 30
  tags                    = var.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      # Not kms:*, with which an IAM policy could permit anybody to sign. Source: "Default key policy" in the KMS
      # Developer Guide, the permissions of key administrators.
      {
        Sid       = "AdministratorsByTheirPolicies"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
        Action = [
          "kms:CancelKeyDeletion",
          "kms:Delete*",
          "kms:Describe*",
          "kms:Disable*",
          "kms:Enable*",
          "kms:Get*",
          "kms:List*",
          "kms:Put*",
          "kms:ScheduleKeyDeletion",
          "kms:TagResource",
          "kms:UntagResource",
          "kms:Update*",
        ]
        Resource = "*"
      },
      # A role of the same account needs no IAM policy beside it.
      {
        Sid       = "WritersSign"
        Effect    = "Allow"
        Principal = { AWS = [aws_iam_role.this["shift-weight"].arn, aws_iam_role.this["rollback"].arn] }
        Action    = "kms:GenerateMac"
        Resource  = "*"
      },
    ]
  })
}

resource "aws_kms_key" "notifications" {
  description         = "Encrypts the notifications of the stack ${var.name} while SNS has them."
  enable_key_rotation = true
  # KMS's minimum: SNS keeps no message after its delivery, so nothing has to be decrypted when the topic is gone.
  deletion_window_in_days = 7
  tags                    = var.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      # The account's administrators manage the key by their IAM policies, and the role notification uses it by its
      # own. Without this statement nobody could change or delete the key. Source: "Default key policy" in the KMS
      # Developer Guide.
      {
        Sid       = "AccountByItsPolicies"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.partition}:iam::${local.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      # For the actions of alarms. Source: "Enable compatibility between event sources from AWS services and encrypted
      # topics" in the SNS Developer Guide. EventBridge has no statement, because no rule publishes to the topic; there
      # the condition is not supported.
      {
        Sid       = "AlarmsOfTheAccount"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:GenerateDataKey*", "kms:Decrypt"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
      },
    ]
  })
}
