//! The functions: the first event of each, and what it is compared with.

use anyhow::{Context, Result};
use futures_util::FutureExt as _;
use local_stack::{Authority, NameServer};
use migration::executions::Executions as _;
use packages::Program;
use serde_json::{Value, json};
use simulation::limited::{EXECUTION, input, planned, shifted};
use simulation::machines::{MIGRATION, ROLLBACK};
use simulation::{Simulation, ZONE_ID};
use tokio::task::spawn_blocking;

use crate::aws::{Account, Aws};

const ALARM: &str = "eks-blueprint-green-5xx";
const KEY: &str = "arn:aws:kms:eu-west-3:111122223333:key/1";

/// A function with the first event of its process.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// The bare client that makes the calls with which the function begins.
    pub(crate) bare: Program,
    /// How many these are. The function makes them at once.
    pub(crate) first_calls: usize,
    /// The variables that the template sets.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// Whether the event names the names of a migration.
    pub(crate) has_names: bool,
}

/// Migrations of so many names: one that is planned, and one that has shifted once and failed.
pub(crate) struct Migrations {
    before: Aws,
    after: Aws,
    migration: Value,
    input: Value,
}

impl Migrations {
    pub(crate) async fn of(names: usize, authority: &Authority) -> Result<Self> {
        // On a thread of its own: in a task of Tokio, the simulation would yield to Tokio.
        let simulated = spawn_blocking(move || {
            let (simulation, plan) = planned(names);
            anyhow::Ok((account(&simulation)?, account(&shifted(names))?, plan))
        });
        let (before, after, plan) = simulated.await??;
        let migration = plan.get("migration").cloned();
        Ok(Self {
            before: Aws::start(before, authority).await?,
            after: Aws::start(after, authority).await?,
            migration: migration.context("the plan has no migration")?,
            input: input(names),
        })
    }

    /// The first event of a function, and AWS as the function finds it.
    pub(crate) fn event(&self, function: &str) -> (Value, &Aws) {
        match function {
            "probe" => (json!({"migration": self.migration}), &self.before),
            "shift-weight" => {
                let event =
                    json!({"operation": "plan", "execution": EXECUTION, "input": self.input});
                (event, &self.before)
            }
            "rollback" => {
                let event = json!({"execution": EXECUTION, "hostedZoneId": ZONE_ID});
                (event, &self.after)
            }
            _ => (json!({"alarms": {"names": [ALARM]}}), &self.before),
        }
    }
}

fn account(simulation: &Simulation) -> Result<Account> {
    let executions = &simulation.executions;
    // The fake answers at once.
    let described = executions.describe(EXECUTION).now_or_never();
    let execution = described.context("the execution was not described")??;
    Ok(Account {
        zone_id: ZONE_ID,
        record_sets: simulation.route53.record_sets(),
        execution: (
            executions.arn(EXECUTION),
            execution.context("no such execution")?,
        ),
        alarm: ALARM,
    })
}

/// The event of the bare clients and the Python functions.
pub(crate) fn yardstick_event() -> Value {
    let execution = MIGRATION.replace("stateMachine", "execution") + ":" + EXECUTION;
    json!({"zone": ZONE_ID, "execution": execution, "key": KEY})
}

/// The four functions. `target` is the address of the load balancer that the probe finds, and `name_server` is the
/// resolver.
pub(crate) fn functions(target: &str, name_server: &NameServer) -> [Function; 4] {
    let state_machines = [
        ("MIGRATION_STATE_MACHINE_ARN", MIGRATION.to_owned()),
        ("ROLLBACK_STATE_MACHINE_ARN", ROLLBACK.to_owned()),
        (
            "ROLLED_BACK_STATE_MACHINE_ARN",
            MIGRATION.replace("migration", "rolled-back"),
        ),
        ("JOURNAL_KEY_ARN", KEY.to_owned()),
    ];
    let settings = [
        ("REQUIRE_PROBE", "false".to_owned()),
        ("REQUIRE_ALARMS", "false".to_owned()),
        ("MAX_FIRST_STEP_PERCENT", "100".to_owned()),
        ("MIN_BAKE_SECONDS", "0".to_owned()),
        ("ALARM_NAME_PREFIX", String::new()),
        ("DNS_SERVER", name_server.address().to_string()),
    ];
    [
        Function {
            name: "check-alarms",
            bare: bare_client("bare-check-alarms"),
            first_calls: 1,
            environment: Vec::new(),
            has_names: false,
        },
        Function {
            name: "probe",
            bare: bare_client("bare-probe"),
            first_calls: 1,
            environment: vec![("PROBE_CONNECT_TO", format!("*={target}"))],
            has_names: true,
        },
        Function {
            name: "shift-weight",
            bare: bare_client("bare-shift-weight"),
            first_calls: 5,
            environment: [&state_machines[..], &settings].concat(),
            has_names: true,
        },
        Function {
            name: "rollback",
            bare: bare_client("bare-rollback"),
            first_calls: 2,
            environment: state_machines.to_vec(),
            has_names: true,
        },
    ]
}

fn bare_client(name: &'static str) -> Program {
    Program {
        package: "bare-client",
        name,
    }
}
