"""Compares what infra/template.yaml describes with what Terraform has applied.

Standard input is a JSON object with the text of the template (`template`), the folder of the definitions
(`definitions`), the values of the template's parameters (`parameters`), and the planned values of a plan that was made
after the apply (`planned`). Writes each difference as a line: the kind and the name of a resource, the path in it, and
both values. The last line is the number of resources that were compared.

Both sides become the same: by kind and name of each resource, its properties as CloudFormation spells them, with
policies, patterns and definitions as JSON. What AWS or a tool generates (names of roles, ids of keys, versions of
functions) becomes a symbol in both, such as <role: …> with its description.
"""

import json
import os
import re
import sys

import yaml
from samtranslator.translator.transform import transform

PSEUDO_PARAMETERS = {
    "AWS::Partition": "aws",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "000000000000",
    "AWS::StackName": "cutover",
}
ARN = "arn:aws:{}:us-east-1:000000000000:{}"
NO_VALUE = object()


class Loader(yaml.SafeLoader):
    """Reads the short forms of the intrinsic functions."""


def intrinsic(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", intrinsic)


class NoPolicies:
    """The template names managed policies by their ARNs."""

    def load(self):
        return {}


class Template:
    def __init__(self, text, definitions, values):
        template = yaml.load(text, Loader)
        self.values = {}
        for name, declared in template["Parameters"].items():
            value = values.get(name, declared.get("Default"))
            if declared["Type"] == "CommaDelimitedList":
                value = value.split(",") if value else []
            elif declared["Type"] == "Number":
                value = json.loads(str(value))
            self.values[name] = value
        self.conditions = template.get("Conditions", {})
        # SAM would refuse local files.
        for resource in template["Resources"].values():
            properties = resource.get("Properties", {})
            if resource["Type"] == "AWS::Serverless::StateMachine":
                name = os.path.basename(properties.pop("DefinitionUri"))
                with open(os.path.join(definitions, name)) as file:
                    properties["Definition"] = json.load(file)
            elif resource["Type"] == "AWS::Serverless::Function":
                properties["CodeUri"] = "s3://bucket/key"
        os.environ["AWS_DEFAULT_REGION"] = PSEUDO_PARAMETERS["AWS::Region"]
        self.resources = {
            name: resource
            for name, resource in transform(template, {}, NoPolicies())["Resources"].items()
            if "Condition" not in resource or self.condition(resource["Condition"])
        }

    def condition(self, name):
        return self.resolved(self.conditions[name])

    def property(self, resource, *path):
        value = self.resources[resource]["Properties"]
        for key in path:
            value = value[key]
        return self.resolved(value)

    def attribute(self, name, attribute):
        """What Ref (no attribute) or GetAtt returns."""
        resource = self.resources[name]
        kind = resource["Type"]
        if kind == "AWS::Lambda::Function":
            function = self.property(name, "FunctionName")
            return ARN.format("lambda", f"function:{function}") if attribute else function
        if kind == "AWS::Lambda::Version":
            function = resource["Properties"]["FunctionName"]["Ref"]
            return f"{self.attribute(function, 'Arn')}:<version>"
        if kind == "AWS::StepFunctions::StateMachine":
            machine = self.property(name, "StateMachineName")
            return ARN.format("states", f"stateMachine:{machine}")
        if kind == "AWS::IAM::Role":
            return symbol("role", self.property(name, "Description"))
        if kind == "AWS::IAM::ManagedPolicy":
            return symbol("policy", self.property(name, "Description"))
        if kind == "AWS::KMS::Key":
            return symbol("key", self.property(name, "Description"))
        if kind == "AWS::SNS::Topic":
            return symbol("topic", self.property(name, "DisplayName"))
        if kind == "AWS::SQS::Queue":
            queue = self.property(name, "QueueName")
            by_attribute = {"Arn": ARN.format("sqs", queue), "QueueName": queue, None: symbol("queue", queue)}
            return by_attribute[attribute]
        if kind == "AWS::Logs::LogGroup":
            group = self.property(name, "LogGroupName")
            return ARN.format("logs", f"log-group:{group}:*") if attribute else group
        if kind == "AWS::CloudWatch::Alarm":
            return ARN.format("cloudwatch", f"alarm:{self.property(name, 'AlarmName')}")
        if kind == "AWS::Events::Rule":
            return ARN.format("events", f"rule/{self.property(name, 'Name')}")
        if kind == "AWS::CloudWatch::Dashboard":
            return self.property(name, "DashboardName")
        raise ValueError(f"{name}: {kind} has no {attribute}")

    def reference(self, name):
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in PSEUDO_PARAMETERS:
            return PSEUDO_PARAMETERS[name]
        if name in self.values:
            return self.values[name]
        return self.attribute(name, None)

    def substituted(self, text, variables):
        def replace(match):
            name = match.group(1)
            if name.startswith("!"):
                return "${" + name[1:] + "}"
            if name in variables:
                value = self.resolved(variables[name])
            elif "." in name:
                value = self.attribute(*name.split(".", 1))
            else:
                value = self.reference(name)
            return str(value)

        return re.sub(r"\$\{([^}]+)\}", replace, text)

    def resolved(self, value):
        if isinstance(value, list):
            items = [self.resolved(item) for item in value]
            return [item for item in items if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((function, argument),) = value.items()
            if function == "Ref":
                return self.reference(argument)
            if function == "Fn::GetAtt":
                return self.attribute(*argument)
            if function == "Fn::Sub":
                text, variables = argument if isinstance(argument, list) else (argument, {})
                return self.substituted(text, variables)
            if function == "Fn::If":
                return self.resolved(argument[1] if self.condition(argument[0]) else argument[2])
            if function == "Fn::Equals":
                first, second = self.resolved(argument)
                return first == second
            if function == "Fn::Not":
                return not self.resolved(argument[0])
            if function == "Fn::And":
                return all(self.resolved(argument))
            if function == "Fn::Or":
                return any(self.resolved(argument))
            if function == "Fn::Join":
                separator, parts = argument
                return separator.join(str(part) for part in self.resolved(parts))
            if function == "Condition":
                return self.condition(argument)
            if function.startswith("Fn::"):
                raise ValueError(f"{function} is not known here")
        fields = {name: self.resolved(field) for name, field in value.items()}
        return {name: field for name, field in fields.items() if field is not NO_VALUE}

    def described(self):
        """The properties of each resource, by kind and name."""
        found = {}
        for logical_name, resource in self.resources.items():
            kind = resource["Type"]
            if kind in ONLY_IN_THE_TEMPLATE:
                continue
            properties = self.resolved(resource.get("Properties", {}))
            for ignored in TEMPLATE_PROPERTIES_NOT_COMPARED.get(kind, {}):
                properties.pop(ignored, None)
            for key, record in separated(kind, properties, self, logical_name):
                found[key] = record
        return found


def separated(kind, properties, template, logical_name):
    """A resource of the template as those that Terraform has for it."""
    if kind == "AWS::StepFunctions::StateMachine":
        definition = properties.pop("DefinitionString")
        values = properties.pop("DefinitionSubstitutions", {})
        properties["Definition"] = re.sub(r"\$\{(\w+)\}", lambda match: str(values[match.group(1)]), definition)
    if kind == "AWS::Events::Rule":
        for target in properties.pop("Targets"):
            name = f"{properties['Name']}/{target['Id']}"
            yield (("target", name), target)
    if kind == "AWS::IAM::Role":
        role = template.attribute(logical_name, "Arn")
        for policy in properties.pop("Policies", []):
            yield (("role policy", f"{role}/{policy['PolicyName']}"), {"PolicyDocument": policy["PolicyDocument"]})
        for policy in properties.pop("ManagedPolicyArns", []):
            yield (("attached policy", f"{role}/{policy}"), {})
    if kind == "AWS::SNS::Topic":
        topic = template.attribute(logical_name, None)
        for subscription in properties.pop("Subscription", []):
            yield (("subscription", f"{topic}/{subscription['Endpoint']}"), subscription)
    if kind == "AWS::SQS::QueuePolicy":
        (queue,) = properties.pop("Queues")
        yield (("queue policy", queue), properties)
        return
    if kind == "AWS::CloudWatch::Alarm":
        properties["Dimensions"] = {it["Name"]: it["Value"] for it in properties["Dimensions"]}
    if kind == "AWS::Lambda::Function":
        environment = properties["Environment"]["Variables"]
        properties["Environment"]["Variables"] = {name: text(value) for name, value in environment.items()}
    if "ReservedConcurrentExecutions" in properties:
        properties["ReservedConcurrentExecutions"] = int(properties["ReservedConcurrentExecutions"])
    yield (key_of(kind, properties), properties)


def text(value):
    """A value as an environment variable."""
    return json.dumps(value) if isinstance(value, (bool, int, float)) else value



class Attributes:
    """The attributes of a resource of Terraform. Those that nobody takes are reported."""

    def __init__(self, values):
        self.values = values

    def take(self, name):
        return self.values.pop(name, None)

    def block(self, name):
        """The attributes of a block that occurs at most once."""
        blocks = self.take(name) or []
        return Attributes(blocks[0]) if blocks else None

    def renamed(self, names):
        return {new: self.take(old) for old, new in names.items()}

    def rest(self, ignored):
        return {name: value for name, value in self.values.items() if name not in ignored and not is_empty(value)}


def is_empty(value):
    return value in (None, [], {}, "", 0, False)


# What the provider adds to every resource, or computes.
COMPUTED = {
    *("arn", "creation_date", "created_date", "create_date", "id", "last_modified", "name_prefix", "owner", "policy_id"),
    *("tags", "tags_all", "timeouts", "unique_id", "url", "region"),
}


def terraform_function(it):
    properties = it.renamed(
        {
            "function_name": "FunctionName",
            "description": "Description",
            "role": "Role",
            "runtime": "Runtime",
            "architectures": "Architectures",
            "handler": "Handler",
            "memory_size": "MemorySize",
            "timeout": "Timeout",
            "layers": "Layers",
        }
    )
    reserved = it.take("reserved_concurrent_executions")
    if reserved != -1:
        properties["ReservedConcurrentExecutions"] = reserved
    properties["Environment"] = it.block("environment").renamed({"variables": "Variables"})
    logging = it.block("logging_config")
    properties["LoggingConfig"] = logging.renamed({"log_format": "LogFormat", "log_group": "LogGroup"})
    properties["TracingConfig"] = it.block("tracing_config").renamed({"mode": "Mode"})
    network = it.block("vpc_config")
    if network:
        properties["VpcConfig"] = network.renamed({"subnet_ids": "SubnetIds", "security_group_ids": "SecurityGroupIds"})
    if it.take("publish") is not True:
        properties["Published"] = False
    return [("AWS::Lambda::Function", properties)]


def terraform_state_machine(it):
    properties = it.renamed(
        {"name": "StateMachineName", "type": "StateMachineType", "role_arn": "RoleArn", "definition": "Definition"}
    )
    logging = it.block("logging_configuration")
    group = logging.take("log_destination")
    properties["LoggingConfiguration"] = {
        **logging.renamed({"level": "Level", "include_execution_data": "IncludeExecutionData"}),
        "Destinations": [{"CloudWatchLogsLogGroup": {"LogGroupArn": group}}],
    }
    properties["TracingConfiguration"] = it.block("tracing_configuration").renamed({"enabled": "Enabled"})
    return [("AWS::StepFunctions::StateMachine", properties)]


def terraform_target(it):
    rule = it.take("rule")
    properties = it.renamed({"target_id": "Id", "arn": "Arn", "role_arn": "RoleArn"})
    queue = it.block("sqs_target")
    if queue:
        properties["SqsParameters"] = queue.renamed({"message_group_id": "MessageGroupId"})
    transformer = it.block("input_transformer")
    if transformer:
        names = {"input_paths": "InputPathsMap", "input_template": "InputTemplate"}
        properties["InputTransformer"] = transformer.renamed(names)
    properties["RetryPolicy"] = retry_policy(it)
    properties["DeadLetterConfig"] = it.block("dead_letter_config").renamed({"arn": "Arn"})
    return [(("target", f"{rule}/{properties['Id']}"), properties)]


def retry_policy(it):
    names = {"maximum_event_age_in_seconds": "MaximumEventAgeInSeconds", "maximum_retry_attempts": "MaximumRetryAttempts"}
    return it.block("retry_policy").renamed(names)


def terraform_schedule(it):
    names = {"name": "Name", "description": "Description", "schedule_expression": "ScheduleExpression"}
    properties = it.renamed(names)
    properties["FlexibleTimeWindow"] = it.block("flexible_time_window").renamed({"mode": "Mode"})
    target = it.block("target")
    properties["Target"] = target.renamed({"arn": "Arn", "role_arn": "RoleArn", "input": "Input"})
    properties["Target"]["RetryPolicy"] = retry_policy(target)
    properties["Target"]["DeadLetterConfig"] = target.block("dead_letter_config").renamed({"arn": "Arn"})
    return [("AWS::Scheduler::Schedule", properties)]


def terraform_alarm(it):
    names = {
        "alarm_name": "AlarmName",
        "alarm_description": "AlarmDescription",
        "namespace": "Namespace",
        "metric_name": "MetricName",
        "dimensions": "Dimensions",
        "statistic": "Statistic",
        "period": "Period",
        "evaluation_periods": "EvaluationPeriods",
        "comparison_operator": "ComparisonOperator",
        "threshold": "Threshold",
        "treat_missing_data": "TreatMissingData",
        "alarm_actions": "AlarmActions",
    }
    return [("AWS::CloudWatch::Alarm", it.renamed(names))]


def terraform_invoke_config(it):
    names = {
        "function_name": "FunctionName",
        "qualifier": "Qualifier",
        "maximum_retry_attempts": "MaximumRetryAttempts",
        "maximum_event_age_in_seconds": "MaximumEventAgeInSeconds",
    }
    properties = it.renamed(names)
    failure = it.block("destination_config").block("on_failure").renamed({"destination": "Destination"})
    properties["DestinationConfig"] = {"OnFailure": failure}
    return [("AWS::Lambda::EventInvokeConfig", properties)]


def simple(kind, names):
    return lambda it: [(kind, it.renamed(names))]


def attachment(it):
    return [(("attached policy", f"{it.take('role')}/{it.take('policy_arn')}"), {})]


def role_policy(it):
    key = ("role policy", f"{it.take('role')}/{it.take('name')}")
    return [(key, it.renamed({"policy": "PolicyDocument"}))]


def subscription(it):
    topic = it.take("topic_arn")
    properties = it.renamed({"protocol": "Protocol", "endpoint": "Endpoint"})
    return [(("subscription", f"{topic}/{properties['Endpoint']}"), properties)]


def queue_policy(it):
    return [(("queue policy", it.take("queue_url")), it.renamed({"policy": "PolicyDocument"}))]


def stack_resources(it):
    """The resources of a stack that Terraform deploys, which CloudFormation spells already."""
    template = json.loads(it.take("template_body"))
    return [(resource["Type"], resource["Properties"]) for resource in template["Resources"].values()]


KINDS = {
    "aws_cloudformation_stack": stack_resources,
    "aws_cloudwatch_dashboard": simple(
        "AWS::CloudWatch::Dashboard", {"dashboard_name": "DashboardName", "dashboard_body": "DashboardBody"}
    ),
    "aws_cloudwatch_event_rule": simple(
        "AWS::Events::Rule", {"name": "Name", "description": "Description", "event_pattern": "EventPattern"}
    ),
    "aws_cloudwatch_event_target": terraform_target,
    "aws_cloudwatch_log_group": simple(
        "AWS::Logs::LogGroup", {"name": "LogGroupName", "retention_in_days": "RetentionInDays"}
    ),
    "aws_cloudwatch_metric_alarm": terraform_alarm,
    "aws_iam_policy": simple("AWS::IAM::ManagedPolicy", {"description": "Description", "policy": "PolicyDocument"}),
    "aws_iam_role": simple(
        "AWS::IAM::Role", {"description": "Description", "assume_role_policy": "AssumeRolePolicyDocument"}
    ),
    "aws_iam_role_policy": role_policy,
    "aws_iam_role_policy_attachment": attachment,
    "aws_kms_key": simple(
        "AWS::KMS::Key",
        {
            "description": "Description",
            "customer_master_key_spec": "KeySpec",
            "key_usage": "KeyUsage",
            "enable_key_rotation": "EnableKeyRotation",
            "deletion_window_in_days": "PendingWindowInDays",
            "policy": "KeyPolicy",
        },
    ),
    "aws_lambda_event_source_mapping": simple(
        "AWS::Lambda::EventSourceMapping",
        {
            "function_name": "FunctionName",
            "event_source_arn": "EventSourceArn",
            "batch_size": "BatchSize",
            "function_response_types": "FunctionResponseTypes",
        },
    ),
    "aws_lambda_function": terraform_function,
    "aws_lambda_function_event_invoke_config": terraform_invoke_config,
    "aws_lambda_permission": simple(
        "AWS::Lambda::Permission",
        {
            "function_name": "FunctionName",
            "action": "Action",
            "principal": "Principal",
            "source_account": "SourceAccount",
            "source_arn": "SourceArn",
        },
    ),
    "aws_scheduler_schedule": terraform_schedule,
    "aws_sfn_state_machine": terraform_state_machine,
    "aws_sns_topic": simple(
        "AWS::SNS::Topic", {"display_name": "DisplayName", "kms_master_key_id": "KmsMasterKeyId"}
    ),
    "aws_sns_topic_subscription": subscription,
    "aws_sqs_queue": simple(
        "AWS::SQS::Queue",
        {
            "name": "QueueName",
            "fifo_queue": "FifoQueue",
            "content_based_deduplication": "ContentBasedDeduplication",
            "sqs_managed_sse_enabled": "SqsManagedSseEnabled",
            "visibility_timeout_seconds": "VisibilityTimeout",
            "message_retention_seconds": "MessageRetentionPeriod",
            "redrive_policy": "RedrivePolicy",
        },
    ),
    "aws_sqs_queue_policy": queue_policy,
}


def symbols(resources):
    """What AWS and the provider have generated, with the symbol that stands for it."""
    found = {}
    for resource in resources:
        values = resource["values"]
        kind = resource["type"]
        if kind == "aws_lambda_function":
            found[f"{values['arn']}:{values['version']}"] = f"{values['arn']}:<version>"
        elif kind == "aws_iam_role":
            found[values["arn"]] = found[values["name"]] = symbol("role", values["description"])
        elif kind == "aws_iam_policy":
            found[values["arn"]] = symbol("policy", values["description"])
        elif kind == "aws_kms_key":
            found[values["arn"]] = symbol("key", values["description"])
        elif kind == "aws_cloudformation_stack":
            key = json.loads(values["template_body"])["Resources"]["Key"]["Properties"]
            found[values["outputs"]["Arn"]] = symbol("key", key["Description"])
        elif kind == "aws_sns_topic":
            found[values["arn"]] = symbol("topic", values["display_name"])
        elif kind == "aws_sqs_queue":
            found[values["url"]] = symbol("queue", values["name"])
    return found


def modules(module):
    yield module
    for child in module.get("child_modules", []):
        yield from modules(child)


def terraform_described(planned):
    """The properties of each resource, by kind and name, and what the comparison would overlook."""
    resources = [
        resource
        for module in modules(planned["root_module"])
        for resource in module.get("resources", [])
        if resource["mode"] == "managed" and resource["type"] not in ONLY_IN_TERRAFORM
    ]
    # The longest first, because an ARN may begin with another one.
    generated = sorted(symbols(resources).items(), key=lambda pair: -len(pair[0]))
    found, overlooked = {}, []
    for resource in resources:
        kind, address = resource["type"], resource["address"]
        if kind not in KINDS:
            overlooked.append(f"{address}: the comparison does not know the kind {kind}")
            continue
        values = json.dumps(resource["values"])
        for text_, symbol_ in generated:
            values = re.sub(re.escape(json.dumps(text_)[1:-1]) + r"(?![\w-])", lambda _: symbol_, values)
        attributes = Attributes(json.loads(values))
        for key, properties in KINDS[kind](attributes):
            properties = {name: value for name, value in without_empty(properties).items() if value != ""}
            found[key if isinstance(key, tuple) else key_of(key, properties)] = properties
        for name, value in attributes.rest(COMPUTED | TERRAFORM_ATTRIBUTES_NOT_COMPARED.get(kind, set())).items():
            overlooked.append(f"{address}: the comparison overlooks {name} = {json.dumps(value)}")
    return found, overlooked


def without_empty(value):
    if isinstance(value, dict):
        fields = {name: without_empty(field) for name, field in value.items()}
        return {name: field for name, field in fields.items() if field is not None and field != [] and field != {}}
    return value


# The intended differences.
ONLY_IN_THE_TEMPLATE = {
    # SAM publishes versions only with an alias, which nothing invokes. Terraform has the argument publish.
    "AWS::Lambda::Alias",
    "AWS::Lambda::Version",
    # Terraform has an aws_lambda_invocation in its place.
    "Custom::DeletionGuard",
}
ONLY_IN_TERRAFORM = {"aws_lambda_invocation"}
TEMPLATE_PROPERTIES_NOT_COMPARED = {
    # Each has its own way to the code. SAM adds a tag.
    "AWS::Lambda::Function": {"Code", "Tags"},
    "AWS::StepFunctions::StateMachine": {"Tags"},
}
TERRAFORM_ATTRIBUTES_NOT_COMPARED = {
    # The key in it is compared.
    "aws_cloudformation_stack": {"name", "outputs"},
    "aws_cloudwatch_event_rule": {"event_bus_name", "state", "is_enabled"},
    "aws_cloudwatch_event_target": {"event_bus_name"},
    "aws_cloudwatch_log_group": {"log_group_class"},
    "aws_cloudwatch_metric_alarm": {"actions_enabled", "datapoints_to_alarm"},
    "aws_cloudwatch_dashboard": {"dashboard_arn"},
    # The names are generated.
    "aws_iam_policy": {"name", "path", "attachment_count"},
    "aws_iam_role": {"name", "path", "inline_policy", "managed_policy_arns", "max_session_duration"},
    "aws_kms_key": {"is_enabled", "key_id", "rotation_period_in_days"},
    "aws_lambda_event_source_mapping": {
        *("enabled", "function_arn", "state", "uuid", "last_processing_result", "state_transition_reason"),
        # For streams only.
        *("maximum_record_age_in_seconds", "maximum_retry_attempts", "parallelization_factor"),
    },
    "aws_lambda_function": {
        *("code_sha256", "filename", "s3_bucket", "s3_key", "source_code_hash", "source_code_size"),
        *("ephemeral_storage", "invoke_arn", "package_type", "qualified_arn", "qualified_invoke_arn", "version"),
    },
    "aws_lambda_permission": {"statement_id"},
    "aws_scheduler_schedule": {"group_name", "schedule_expression_timezone", "state"},
    "aws_sfn_state_machine": {"encryption_configuration", "revision_id", "state_machine_version_arn", "status"},
    # The template leaves the name to CloudFormation.
    "aws_sns_topic": {"name", "policy", "signature_version", "tracing_config"},
    "aws_sns_topic_subscription": {"owner_id", "filter_policy_scope", "confirmation_timeout_in_minutes", "confirmation_was_authenticated"},
    "aws_sqs_queue": {
        *("kms_data_key_reuse_period_seconds", "max_message_size", "policy"),
        *("deduplication_scope", "fifo_throughput_limit", "redrive_allow_policy"),
    },
}
# The default of AWS's API, if one of the tools writes it out.
DEFAULTS = {
    "AWS::KMS::Key": {
        "EnableKeyRotation": False,
        "KeySpec": "SYMMETRIC_DEFAULT",
        "KeyUsage": "ENCRYPT_DECRYPT",
        "PendingWindowInDays": 30,
    },
    "AWS::SQS::Queue": {
        "ContentBasedDeduplication": False,
        "FifoQueue": False,
        "MessageRetentionPeriod": 345600,
        "VisibilityTimeout": 30,
    },
    # The emulator writes it out.
    "AWS::Lambda::EventInvokeConfig": {"MaximumEventAgeInSeconds": 21600},
    "AWS::Lambda::EventSourceMapping": {},
}


def symbol(kind, name):
    return f"<{kind}: {name}>"


# The property that names a resource of a kind.
NAMES = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::ManagedPolicy": "Description",
    "AWS::IAM::Role": "Description",
    "AWS::KMS::Key": "Description",
    "AWS::Lambda::EventInvokeConfig": "FunctionName",
    "AWS::Lambda::EventSourceMapping": "EventSourceArn",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::Permission": "FunctionName",
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::SNS::Topic": "DisplayName",
    "AWS::SQS::Queue": "QueueName",
    "AWS::Scheduler::Schedule": "Name",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}
# Properties that are JSON, as text or not.
DOCUMENTS = {
    *("AssumeRolePolicyDocument", "DashboardBody", "Definition", "EventPattern", "Input", "KeyPolicy"),
    *("PolicyDocument", "RedrivePolicy"),
}
POLICIES = {"AssumeRolePolicyDocument", "KeyPolicy", "PolicyDocument"}


def key_of(kind, properties):
    return kind, properties[NAMES[kind]]


def normalized(kind, properties):
    properties = {**DEFAULTS.get(kind, {}), **without_empty(properties)}
    return {name: normalized_value(name, value) for name, value in properties.items()}


def normalized_value(name, value):
    if name in DOCUMENTS:
        document = json.loads(value) if isinstance(value, str) else value
        if name in POLICIES:
            return {**document, "Statement": [normalized_statement(it) for it in document["Statement"]]}
        return any_order(document) if name == "EventPattern" else document
    if isinstance(value, dict):
        return {key: normalized_value(key, field) for key, field in value.items()}
    if name in ("AlarmActions", "Layers", "SecurityGroupIds", "SubnetIds"):
        return sorted(value)
    return value


def normalized_statement(value):
    """One or a list of values is the same to IAM, and so is their order."""
    if isinstance(value, dict):
        return {key: normalized_statement(field) for key, field in value.items()}
    if isinstance(value, list):
        return sorted(value)
    return [value]


def any_order(value):
    """EventBridge matches any value of a list."""
    if isinstance(value, dict):
        return {key: any_order(field) for key, field in value.items()}
    if isinstance(value, list):
        return sorted((any_order(item) for item in value), key=json.dumps)
    return value


def differences(path, template, terraform):
    if template == terraform and type(template) is type(terraform):
        return
    if isinstance(template, dict) and isinstance(terraform, dict):
        for name in sorted({*template, *terraform}):
            yield from differences(f"{path}.{name}", template.get(name), terraform.get(name))
    elif isinstance(template, list) and isinstance(terraform, list) and len(template) == len(terraform):
        for index, (first, second) in enumerate(zip(template, terraform)):
            yield from differences(f"{path}[{index}]", first, second)
    elif not are_equal_numbers(template, terraform):
        yield f"{path}: the template has {json.dumps(template)}, Terraform has {json.dumps(terraform)}"


def are_equal_numbers(first, second):
    """Python takes True for 1."""
    numbers = [value for value in (first, second) if isinstance(value, (int, float)) and not isinstance(value, bool)]
    return len(numbers) == 2 and first == second


def main():
    request = json.load(sys.stdin)
    template = Template(request["template"], request["definitions"], request["parameters"]).described()
    terraform, overlooked = terraform_described(request["planned"])
    for line in overlooked:
        print(line)
    for key in sorted({*template, *terraform}):
        kind, name = key
        if key not in terraform:
            print(f"{kind} {name}: only the template has it")
        elif key not in template:
            print(f"{kind} {name}: only Terraform has it")
        else:
            first, second = normalized(kind, template[key]), normalized(kind, terraform[key])
            for line in differences(f"{kind} {name}", first, second):
                print(line)
    print(len({*template} & {*terraform}))


if __name__ == "__main__":
    main()
