"""Prints the logical ids of the functions' versions after changes of the template, as CloudFormation's
transforms give them.

The input is one JSON document: the path of the template, parameters that have no default, and a list of
parameters, each with another value. The output has one JSON document: the versions before any change, and
after the change of each parameter and of each property of a function.
"""

import copy
import json
import os
import sys

from ministack.services.cloudformation.engine import _apply_transforms, _parse_template

os.environ.setdefault("AWS_DEFAULT_REGION", "eu-west-1")

# For fields with a limited set of values.
OTHER_WORDS = {"arm64": "x86_64", "Active": "PassThrough", "JSON": "Text"}


def with_values(node, values):
    """The template with the values of parameters in place of the references to them."""
    if isinstance(node, list):
        return [with_values(item, values) for item in node]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"Ref"}:
        return values.get(node["Ref"], node)
    if node.keys() == {"Fn::Sub"} and isinstance(node["Fn::Sub"], str):
        text = node["Fn::Sub"]
        for name, value in values.items():
            text = text.replace("${" + name + "}", str(value))
        return {"Fn::Sub": text}
    return {key: with_values(field, values) for key, field in node.items()}


def versions(template, parameters):
    """The version of each function: logical id and deletion policy.

    The emulator's AWS::LanguageExtensions leaves references to parameters as they are. AWS's puts the values in
    their place, which is done here. Source: AWS CloudFormation Template Reference Guide,
    "AWS::LanguageExtensions transform".
    """
    values = {}
    for name, parameter in template["Parameters"].items():
        value = str(parameters.get(name, parameter.get("Default")))
        values[name] = value.split(",") if parameter["Type"] == "CommaDelimitedList" else value
    template = {**template, "Resources": with_values(template["Resources"], values),
                "Globals": with_values(template["Globals"], values)}
    given = [{"Key": key, "Value": value} for key, value in parameters.items()]
    transformed = _apply_transforms(copy.deepcopy(template), given)
    found = {}
    for logical_id, resource in transformed["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Version":
            function = resource["Properties"]["FunctionName"]["Ref"]
            found[function] = [logical_id, resource.get("DeletionPolicy")]
    return found


def changed(value):
    """Another value of the same shape."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return OTHER_WORDS.get(value, value + "x")
    if isinstance(value, list):
        return [changed(value[0]), *value[1:]]
    key = next(iter(value))
    if key == "Fn::If":
        condition, then, otherwise = value[key]
        return {key: [condition, otherwise, then]}
    if key == "Ref" or key.startswith("Fn::"):
        return {"Fn::GetAtt": ["NotificationsTopic", "TopicName"]}
    return {**value, key: changed(value[key])}


def places(value, path=()):
    """The paths of the fields of a mapping, except inside of intrinsic functions."""
    for key, field in value.items():
        is_intrinsic = isinstance(field, dict) and next(iter(field)).startswith(("Ref", "Fn::"))
        if isinstance(field, dict) and not is_intrinsic:
            yield from places(field, (*path, key))
        else:
            yield (*path, key)


def with_change(template, path):
    template = copy.deepcopy(template)
    parent = template
    for key in path[:-1]:
        parent = parent[key]
    parent[path[-1]] = changed(parent[path[-1]])
    return template


request = json.load(sys.stdin)
with open(request["template"], encoding="utf-8") as file:
    # As `sam package` uploads the files.
    template = _parse_template(file.read().replace("Uri: ../", "Uri: s3://code/"))
required = request["required"]
properties = {}
roots = {("Globals", "Function"): template["Globals"]["Function"]}
for logical_id, resource in template["Resources"].items():
    if resource["Type"] == "AWS::Serverless::Function":
        roots["Resources", logical_id, "Properties"] = resource["Properties"]
for root, value in roots.items():
    for place in places(value):
        path = (*root, *place)
        properties["/".join(path)] = versions(with_change(template, path), required)
parameters = {
    name: versions(template, {**required, name: value})
    for name, value in request["parameters"].items()
}
print(json.dumps({
    "before": versions(template, required),
    "declared": list(template["Parameters"]),
    "parameters": parameters,
    "properties": properties,
}))
