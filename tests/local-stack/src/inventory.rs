//! What exists in the emulator's account, whatever has deployed it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::http;
use crate::stack::Stack;

/// Lists by an API that takes JSON: the kind, the service, the action, and the pointers to the list and to a name.
const JSON_LISTS: [(&str, &str, &str, &str, &str); 4] = [
    (
        "state machines",
        "states",
        "AWSStepFunctions.ListStateMachines",
        "/stateMachines",
        "/name",
    ),
    ("rules", "events", "AWSEvents.ListRules", "/Rules", "/Name"),
    ("queues", "sqs", "AmazonSQS.ListQueues", "/QueueUrls", ""),
    (
        "log groups",
        "logs",
        "Logs_20140328.DescribeLogGroups",
        "/logGroups",
        "/logGroupName",
    ),
];
/// Lists by a REST API: the kind, the service, the path, and the pointers to the list and to a name.
const REST_LISTS: [(&str, &str, &str, &str, &str); 2] = [
    (
        "functions",
        "lambda",
        "/2015-03-31/functions/",
        "/Functions",
        "/FunctionName",
    ),
    (
        "schedules",
        "scheduler",
        "/schedules",
        "/Schedules",
        "/Name",
    ),
];
/// Lists by the query protocol: the kind, the service, its version, the action and the element with a name.
const QUERY_LISTS: [(&str, &str, &str, &str, &str); 5] = [
    ("roles", "iam", "2010-05-08", "ListRoles", "RoleName"),
    (
        "policies",
        "iam",
        "2010-05-08",
        "ListPolicies",
        "PolicyName",
    ),
    ("topics", "sns", "2010-03-31", "ListTopics", "TopicArn"),
    (
        "alarms",
        "monitoring",
        "2010-08-01",
        "DescribeAlarms",
        "AlarmName",
    ),
    (
        "dashboards",
        "monitoring",
        "2010-08-01",
        "ListDashboards",
        "DashboardName",
    ),
];

impl Stack {
    /// The names of everything that has `cutover` in its name, by kind. A key has its description and its state.
    pub async fn inventory(&self) -> Result<BTreeMap<&'static str, Vec<String>>> {
        let mut inventory = BTreeMap::new();
        for (kind, service, action, list, name) in JSON_LISTS {
            let answer = self.call_json(service, action, &json!({})).await?;
            inventory.insert(kind, names(&answer, list, name));
        }
        for (kind, service, path, list, name) in REST_LISTS {
            let answer = http::call(self.endpoint(), service, "GET", path, &[], "").await?;
            let answer = serde_json::from_str(&answer)?;
            inventory.insert(kind, names(&answer, list, name));
        }
        for (kind, service, version, action, name) in QUERY_LISTS {
            let form = [("Action", action), ("Version", version)];
            let answer = http::query(self.endpoint(), service, &form).await?;
            let found = http::elements(&answer, name).into_iter();
            inventory.insert(kind, found.map(str::to_owned).collect());
        }
        inventory.insert("keys", self.keys().await?);
        inventory.retain(|_, names| {
            names.retain(|name| name.contains("cutover"));
            names.sort();
            !names.is_empty()
        });
        Ok(inventory)
    }

    async fn keys(&self) -> Result<Vec<String>> {
        let listed = self
            .call_json("kms", "TrentService.ListKeys", &json!({}))
            .await?;
        let mut keys = Vec::new();
        for id in names(&listed, "/Keys", "/KeyId") {
            let request = json!({ "KeyId": id });
            let described = self
                .call_json("kms", "TrentService.DescribeKey", &request)
                .await?;
            let text = |pointer| described.pointer(pointer).and_then(Value::as_str);
            let description =
                text("/KeyMetadata/Description").context("a key without description")?;
            let state = text("/KeyMetadata/KeyState").context("a key without state")?;
            keys.push(format!("{description} {state}"));
        }
        Ok(keys)
    }

    async fn call_json(&self, service: &str, action: &str, request: &Value) -> Result<Value> {
        let headers = [
            ("content-type", "application/x-amz-json-1.1"),
            ("x-amz-target", action),
        ];
        let body = request.to_string();
        let answer = http::call(self.endpoint(), service, "POST", "/", &headers, body).await?;
        Ok(serde_json::from_str(&answer)?)
    }
}

fn names(answer: &Value, list: &str, name: &str) -> Vec<String> {
    let items = answer.pointer(list).and_then(Value::as_array);
    let names = items.into_iter().flatten();
    let names = names.filter_map(|item| item.pointer(name)?.as_str());
    names.map(str::to_owned).collect()
}
