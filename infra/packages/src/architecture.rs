//! The instruction set architectures of Lambda.

use std::env::consts;

use anyhow::{Result, bail};
use clap::ValueEnum;

/// Named as Lambda and the template name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Architecture {
    #[value(name = "arm64")]
    Arm64,
    #[value(name = "x86_64")]
    X86_64,
}

impl Architecture {
    pub fn of_this_machine() -> Result<Self> {
        Ok(match consts::ARCH {
            "aarch64" => Self::Arm64,
            "x86_64" => Self::X86_64,
            other => bail!(
                "Lambda has no functions for this machine's architecture ({other}): choose one with \
                 --architecture arm64 or --architecture x86_64"
            ),
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }

    /// The target of rustc.
    pub fn target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }
}
