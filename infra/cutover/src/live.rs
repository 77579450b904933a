//! The live view of an execution: bars on a terminal, lines elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use migration::dns::Percent;
use serde_json::Value;

use crate::execution::ExecutionResult;
use crate::progress::Progress;
use crate::text::{is_question, printable};

const BAR_WIDTH: u16 = 30;
/// How often the time left is redrawn between two updates.
const TICK: Duration = Duration::from_millis(250);

/// Where the live view is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Display {
    /// Bars on standard error, which is a terminal.
    Terminal,
    /// Lines on standard output.
    LinesOnOutput,
    /// Lines on standard error, because standard output must contain JSON only.
    LinesOnError,
}

/// A state of an execution with the weights at that time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moment {
    /// The execution's name.
    pub execution: String,
    pub state: String,
    /// The share of `to`, once it is known.
    pub percent: Option<Percent>,
    /// The weights in one line; empty as long as they are not known.
    pub weights: String,
    /// The weights with a bar for each row.
    pub rows: Vec<Row>,
}

/// The weights of the two sides of a name, or of several names that have the same weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub label: String,
    /// The side that has the traffic at first, and its weight.
    pub from: (String, String),
    pub to: (String, String),
}

/// The live view of one migration, and of the rollback or release after it.
pub struct Live {
    display: Display,
    progress: Arc<Mutex<Progress>>,
    verdicts: BTreeMap<String, String>,
    last: Option<Moment>,
    /// The states and summaries printed since the weights or the execution changed last.
    printed: BTreeSet<(String, String)>,
    screen: Option<Screen>,
}

/// The lines that stay at the bottom of a terminal.
struct Screen {
    lines: MultiProgress,
    header: ProgressBar,
    state: ProgressBar,
    rows: BTreeMap<String, ProgressBar>,
    verdicts: ProgressBar,
}

impl Live {
    /// `scale` is real time divided by the migration's time: 1 on AWS.
    pub fn new(display: Display, scale: f64) -> Self {
        let progress = Arc::new(Mutex::new(Progress::new(scale)));
        let screen = (display == Display::Terminal).then(|| Screen::new(&progress));
        Self {
            display,
            progress,
            verdicts: BTreeMap::new(),
            last: None,
            printed: BTreeSet::new(),
            screen,
        }
    }

    /// Shows the summary of a plan, and takes the steps from it.
    pub fn plan(&mut self, plan: &Value) {
        self.progress().plan(plan);
        let summary = plan.get("summary").and_then(Value::as_array);
        for line in summary.into_iter().flatten() {
            self.line(line.as_str().unwrap_or_default());
        }
    }

    /// Shows that the execution is in a state since this time, or has other weights.
    pub fn moment(&mut self, moment: &Moment, at: SystemTime) {
        let mut progress = self.progress();
        if let Some(percent) = moment.percent {
            progress.note(percent, at);
        }
        let (has_plan, summary) = (progress.has_plan(), progress.summary());
        drop(progress);
        if let Some(screen) = &mut self.screen {
            screen.show(moment);
        } else if !is_question(&moment.state) {
            let last = self.last.as_ref();
            let has_new_weights = last.is_none_or(|last| last.weights != moment.weights);
            if has_new_weights || last.is_none_or(|last| last.execution != moment.execution) {
                self.printed.clear();
            }
            let weights = if has_new_weights && !moment.weights.is_empty() {
                format!("  {}", moment.weights)
            } else {
                String::new()
            };
            // States that repeat without other changes, such as health checks, are printed once.
            if self.printed.insert((moment.state.clone(), summary.clone())) {
                let percent = moment.percent.map(|percent| format!("{percent} %"));
                let progress = if has_plan {
                    format!("  [{summary}]")
                } else {
                    String::new()
                };
                self.line(&format!(
                    "{:>7}  {:<30}{weights}{progress}",
                    percent.unwrap_or_default(),
                    moment.state
                ));
            }
            self.last = Some(moment.clone());
        }
    }

    /// Shows an observer's verdict.
    pub fn verdict(&mut self, observer: &str, verdict: &str, reason: &str) {
        let text = match verdict {
            "pass" => verdict.to_owned(),
            _ => format!("{verdict} ({reason})"),
        };
        let before = self.verdicts.insert(observer.to_owned(), text.clone());
        if let Some(screen) = &self.screen {
            let verdicts = self.verdicts.iter();
            let verdicts = verdicts.map(|(observer, verdict)| format!("{observer}: {verdict}"));
            let verdicts = verdicts.collect::<Vec<_>>().join("  ");
            screen.verdicts.set_message(printable(&verdicts));
        } else if before.as_ref() != Some(&text) {
            self.line(&format!("        {observer}: {verdict}: {reason}"));
        }
    }

    /// Shows that an execution has ended.
    pub fn ended(&mut self, ended: &ExecutionResult) {
        self.progress().end();
        self.line(&format!(
            "Execution {} in state {:?}",
            ended.outcome, ended.state
        ));
    }

    /// Shows a line of text.
    pub fn line(&self, text: &str) {
        let text = printable(text);
        match (&self.screen, self.display) {
            (Some(screen), _) => {
                // Ignored: the terminal may have been closed.
                let _ = screen.lines.println(text);
            }
            #[expect(clippy::print_stdout, reason = "printing is what a view is for")]
            (None, Display::LinesOnOutput) => println!("{text}"),
            (None, _) => eprintln!("{text}"),
        }
    }

    /// Removes the bars. The lines above them stay.
    pub fn close(&mut self) {
        if let Some(screen) = self.screen.take() {
            screen.header.disable_steady_tick();
            // Ignored: the terminal may have been closed.
            let _ = screen.lines.clear();
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Screen {
    fn new(progress: &Arc<Mutex<Progress>>) -> Self {
        let lines = MultiProgress::new();
        let shared = Arc::clone(progress);
        let style = style("{header}").with_key(
            "header",
            move |_: &ProgressState, text: &mut dyn std::fmt::Write| {
                let progress = shared.lock().unwrap_or_else(PoisonError::into_inner);
                // Ignored: the migration matters more than its progress bar.
                let _ = text.write_str(&header(&progress));
            },
        );
        let header = lines.add(ProgressBar::no_length().with_style(style));
        header.enable_steady_tick(TICK);
        let line = || lines.add(ProgressBar::no_length().with_style(style_of_lines()));
        let (state, verdicts) = (line(), line());
        Self {
            header,
            state,
            verdicts,
            rows: BTreeMap::new(),
            lines,
        }
    }

    fn show(&mut self, moment: &Moment) {
        self.state.set_message(printable(&moment.state));
        self.rows.retain(|label, line| {
            let is_shown = moment.rows.iter().any(|row| row.label == *label);
            if !is_shown {
                self.lines.remove(line);
            }
            is_shown
        });
        for row in &moment.rows {
            let line = self.rows.entry(row.label.clone()).or_insert_with(|| {
                let line = ProgressBar::no_length().with_style(style_of_lines());
                self.lines.insert_before(&self.verdicts, line)
            });
            line.set_message(printable(&row_text(row)));
        }
    }
}

fn row_text(row: &Row) -> String {
    let ((from, from_weight), (to, to_weight)) = (&row.from, &row.to);
    let number = |text: &str| text.parse::<f64>().unwrap_or_default();
    let share = number(to_weight) / (number(from_weight) + number(to_weight)).max(1.0);
    format!(
        "{:<12} {from} {from_weight:>5} {} {to_weight:<5} {to}",
        row.label,
        bar(1.0 - share, '█', '░'),
    )
}

fn header(progress: &Progress) -> String {
    let mut text = bar(progress.share(), '#', '-');
    // Writing to a String can't fail.
    let _ = write!(text, "  {}", progress.summary());
    text
}

fn bar(share: f64, filled: char, empty: char) -> String {
    let cells = f64::from(BAR_WIDTH) * share.clamp(0.0, 1.0);
    (0..BAR_WIDTH)
        .map(|cell| {
            if f64::from(cell) + 0.5 < cells {
                filled
            } else {
                empty
            }
        })
        .collect()
}

fn style_of_lines() -> ProgressStyle {
    style("  {msg}")
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
