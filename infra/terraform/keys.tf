locals {
  journal_key_policy = {
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
  }

  journal_key_arn = var.journal_key_arn == null ? aws_cloudformation_stack.journal_key[0].outputs["Arn"] : var.journal_key_arn
}

# The key that signs the journals: the two functions that write them derive their key from it with one call of
# GenerateMac after a cold start. A deployment that takes over can trust the journals of this one only with the same key,
# so it is kept when this is destroyed. Terraform would schedule the deletion of an aws_kms_key, and has no argument to
# keep one; CloudFormation keeps a resource whose deletion policy is Retain.
resource "aws_cloudformation_stack" "journal_key" {
  count = var.journal_key_arn == null ? 1 : 0

  name = "${var.name}-journal-key"
  tags = var.tags

  template_body = jsonencode({
    AWSTemplateFormatVersion = "2010-09-09"
    Description              = "The key that signs the journals of Cutover. It is kept when this stack is deleted."
    Resources = {
      Key = {
        Type                = "AWS::KMS::Key"
        DeletionPolicy      = "Retain"
        UpdateReplacePolicy = "Retain"
        # KMS can't rotate such a key.
        Properties = {
          Description = "Signs the journals of the stack ${var.name}."
          KeySpec     = "HMAC_256"
          KeyUsage    = "GENERATE_VERIFY_MAC"
          KeyPolicy   = local.journal_key_policy
        }
      }
    }
    Outputs = {
      Arn = { Value = { "Fn::GetAtt" = ["Key", "Arn"] } }
    }
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
