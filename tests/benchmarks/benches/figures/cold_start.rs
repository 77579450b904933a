//! Cold start and memory of the functions, each with its yardsticks: a bare client of the SDKs and a Python function,
//! which make the same first calls of AWS.
//!
//! A cold start is the time from the start of the process until the calls are answered that the function makes before
//! it knows anything: loading of the program, its set-up, the first event, TLS and the calls. The function and the
//! bare client make these calls at once. Function, bare client and Python function take turns, so that what else the
//! machine does meets all of them.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use benchmarks::{FunctionFigures, Spread};
use local_stack::{Authority, GREEN, LoadBalancer, NameServer, python};
use packages::{Architecture, Binary, Linker, archive, compile};
use serde_json::Value;

use crate::aws::Aws;
use crate::functions::{Function, Migrations, functions, yardstick_event};
use crate::process::LambdaProgram;

const ROUNDS: usize = 100;
/// The Python function takes so much longer that fewer measurements of it do.
const ROUNDS_WITHOUT_PYTHON: usize = 4;
const MANY: usize = 2_000;
const PYTHON_FUNCTION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/figures/function.py");

/// What all measurements have in common.
struct Setup {
    /// The programs of the functions and of the bare clients.
    binaries: Vec<Binary>,
    python: PathBuf,
    /// The certificates of the machine's authorities and of the local servers'. An SDK reads all of them.
    authorities: PathBuf,
}

/// Compiles and measures all functions.
pub(crate) async fn measure(linker: Linker) -> Result<Vec<FunctionFigures>> {
    let hosts = ["localhost", "*.example.com"].map(str::to_owned);
    let authority = Authority::new(hosts.to_vec())?;
    let load_balancer = LoadBalancer::start(GREEN, &authority).await?;
    let name_server = NameServer::start().await?;
    let functions = functions(&load_balancer.address().to_string(), &name_server);

    let mut programs = packages::functions().to_vec();
    programs.extend(functions.iter().map(|function| function.bare));
    let directory = tempfile::tempdir()?;
    let setup = Setup {
        binaries: compile(Architecture::of_this_machine()?, linker, &programs)?,
        python: python()?,
        authorities: directory.path().join("authorities.pem"),
    };
    let of_the_machine = openssl_probe::probe().cert_file;
    let of_the_machine =
        of_the_machine.context("the machine has no certificates of authorities")?;
    let certificates = fs::read_to_string(&of_the_machine)
        .with_context(|| format!("failed to read {}", of_the_machine.display()))?;
    fs::write(
        &setup.authorities,
        certificates + "\n" + &authority.certificate,
    )?;

    let one = Migrations::of(1, &authority).await?;
    let many = Migrations::of(MANY, &authority).await?;
    let mut figures = Vec::new();
    for function in &functions {
        figures.push(setup.figures(function, &one, &many).await?);
    }
    Ok(figures)
}

/// The measurements of one program.
#[derive(Default)]
struct Measurements {
    milliseconds: Vec<f64>,
    /// The largest peak.
    memory: u64,
}

impl Measurements {
    async fn add(
        &mut self,
        program: &LambdaProgram,
        event: &Value,
        aws: &Aws,
        first_calls: usize,
    ) -> Result<()> {
        let started = program.start(event, aws, first_calls).await?;
        self.milliseconds
            .push(started.first_calls.as_secs_f64() * 1e3);
        self.memory = self.memory.max(started.peak_memory);
        Ok(())
    }

    fn spread(&self) -> Result<Spread> {
        Spread::of(self.milliseconds.clone()).context("nothing was measured")
    }

    /// Of the measurements of each round, these divided by the others.
    fn divided_by(&self, others: &Self) -> Result<Spread> {
        let pairs = self.milliseconds.iter().zip(&others.milliseconds);
        Spread::of(pairs.map(|(own, other)| own / other).collect()).context("nothing was measured")
    }
}

impl Setup {
    async fn figures(
        &self,
        function: &Function,
        one: &Migrations,
        many: &Migrations,
    ) -> Result<FunctionFigures> {
        let (event, aws) = one.event(function.name);
        let compiled = self.binary(function.name)?;
        let environment = &function.environment;
        let program = self.program(compiled.path.clone(), Vec::new(), environment, aws);
        let bare = self.program(
            self.binary(function.bare.name)?.path.clone(),
            Vec::new(),
            &[],
            aws,
        );
        let arguments = [PYTHON_FUNCTION, function.name].map(str::to_owned).to_vec();
        let python = self.program(self.python.clone(), arguments, &[], aws);

        let yardstick_event = yardstick_event();
        let [mut of_function, mut of_bare, mut of_python] = <[Measurements; 3]>::default();
        for round in 0..ROUNDS {
            if round % 2 == 0 {
                of_function
                    .add(&program, &event, aws, function.first_calls)
                    .await?;
            }
            of_bare
                .add(&bare, &yardstick_event, aws, function.first_calls)
                .await?;
            if round % 2 != 0 {
                of_function
                    .add(&program, &event, aws, function.first_calls)
                    .await?;
            }
            if round % ROUNDS_WITHOUT_PYTHON == 0 {
                of_python
                    .add(&python, &yardstick_event, aws, function.first_calls)
                    .await?;
            }
        }
        let memory_for_many = if function.has_names {
            let (event, aws) = many.event(function.name);
            let program = self.program(compiled.path.clone(), Vec::new(), environment, aws);
            Some(
                program
                    .start(&event, aws, function.first_calls)
                    .await?
                    .peak_memory,
            )
        } else {
            None
        };
        Ok(FunctionFigures {
            name: function.name,
            memory: of_function.memory,
            bare_memory: of_bare.memory,
            python_memory: of_python.memory,
            cold_start: of_function.spread()?,
            bare_cold_start: of_bare.spread()?,
            python_cold_start: of_python.spread()?,
            times_bare: of_function.divided_by(&of_bare)?,
            memory_for_many,
            package: archive(&compiled.content)?.len().try_into()?,
        })
    }

    fn binary(&self, name: &str) -> Result<&Binary> {
        let binary = self.binaries.iter().find(|binary| binary.name == name);
        binary.with_context(|| format!("{name} was not compiled"))
    }

    /// A program with the environment that Lambda gives it, and with `additional` variables.
    fn program(
        &self,
        path: PathBuf,
        arguments: Vec<String>,
        additional: &[(&'static str, String)],
        aws: &Aws,
    ) -> LambdaProgram {
        let authorities = self.authorities.display().to_string();
        // Source: Lambda Developer Guide, "Defined runtime environment variables".
        let of_lambda = [
            ("AWS_REGION", "eu-west-3"),
            ("AWS_DEFAULT_REGION", "eu-west-3"),
            ("AWS_ACCESS_KEY_ID", "benchmark"),
            ("AWS_SECRET_ACCESS_KEY", "benchmark"),
            ("AWS_SESSION_TOKEN", "benchmark"),
            ("AWS_LAMBDA_FUNCTION_NAME", "benchmark"),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "benchmark"),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "benchmark"),
            // That of the Rust SDKs and of the probe, and boto3's.
            ("SSL_CERT_FILE", &authorities),
            ("AWS_CA_BUNDLE", &authorities),
        ];
        let of_lambda = of_lambda.map(|(name, value)| (name, value.to_owned()));
        LambdaProgram {
            path,
            arguments,
            environment: [&of_lambda[..], &aws.endpoints, additional].concat(),
        }
    }
}
