//! The live view of a running migration: bars on a terminal, lines elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};
use local_stack::{BLUE, GREEN, Moment, RecordName, Seen};

use crate::progress::Progress;
use crate::wording;

const BAR_WIDTH: u16 = 30;
/// How often the time left is redrawn between two updates.
const TICK: Duration = Duration::from_millis(250);

/// Where the live view is printed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Display {
    /// Bars on standard error, which is a terminal.
    Terminal,
    /// Lines on standard output.
    LinesOnOutput,
    /// Lines on standard error, because standard output must contain JSON lines only.
    LinesOnError,
}

/// The live view of one scenario.
pub(crate) struct Live {
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
    names: BTreeMap<RecordName, ProgressBar>,
    verdicts: ProgressBar,
}

impl Live {
    pub(crate) fn new(display: Display, scale: f64) -> Self {
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

    pub(crate) fn show(&mut self, seen: &Seen) {
        match seen {
            Seen::Plan(plan) => {
                let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress.plan(plan);
                drop(progress);
                let summary = plan.get("summary").and_then(serde_json::Value::as_array);
                for line in summary.into_iter().flatten() {
                    self.line(line.as_str().unwrap_or_default());
                }
            }
            Seen::Moment(moment) => self.show_moment(moment),
            Seen::Verdict {
                observer,
                verdict,
                reason,
            } => {
                let text = match verdict.as_str() {
                    "pass" => verdict.clone(),
                    _ => format!("{verdict} ({reason})"),
                };
                let is_new = self
                    .verdicts
                    .insert(observer.clone(), text.clone())
                    .as_ref()
                    != Some(&text);
                if let Some(screen) = &self.screen {
                    let verdicts = self.verdicts.iter();
                    let verdicts =
                        verdicts.map(|(observer, verdict)| format!("{observer}: {verdict}"));
                    screen
                        .verdicts
                        .set_message(verdicts.collect::<Vec<_>>().join("  "));
                } else if is_new {
                    self.line(&format!("        {observer}: {verdict}: {reason}"));
                }
            }
            Seen::Happening(what) => self.line(&format!(">>> {what}")),
            Seen::Ended(ended) => {
                let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
                progress.end();
                drop(progress);
                self.line(&format!(
                    "Execution {} in state {:?}",
                    ended.outcome, ended.state
                ));
            }
        }
    }

    fn show_moment(&mut self, moment: &Moment) {
        let mut progress = self.progress.lock().unwrap_or_else(PoisonError::into_inner);
        progress.note(moment);
        let summary = progress.summary();
        drop(progress);
        if let Some(screen) = &mut self.screen {
            screen.show(moment);
        } else if !wording::is_question(&moment.state) {
            let last = self.last.as_ref();
            let has_new_weights = last.is_none_or(|last| last.weights != moment.weights);
            if has_new_weights || last.is_none_or(|last| last.execution != moment.execution) {
                self.printed.clear();
            }
            let weights = if has_new_weights {
                format!("  {}", wording::weights(&moment.weights))
            } else {
                String::new()
            };
            // States that repeat without other changes, such as health checks, are printed once.
            if self.printed.insert((moment.state.clone(), summary.clone())) {
                self.line(&format!(
                    "{:>5} %  {:<30}{weights}  [{summary}]",
                    moment.percent.to_string(),
                    moment.state
                ));
            }
            self.last = Some(moment.clone());
        }
    }

    /// Removes the bars. The lines above them stay.
    pub(crate) fn close(&mut self) {
        if let Some(screen) = self.screen.take() {
            screen.header.disable_steady_tick();
            // Ignored: the terminal may have been closed.
            let _ = screen.lines.clear();
        }
    }

    fn line(&self, text: &str) {
        match (&self.screen, self.display) {
            (Some(screen), _) => {
                let _ = screen.lines.println(text);
            }
            (None, Display::LinesOnOutput) => println!("{text}"),
            (None, _) => eprintln!("{text}"),
        }
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
            names: BTreeMap::new(),
            lines,
        }
    }

    fn show(&mut self, moment: &Moment) {
        self.state.set_message(moment.state.clone());
        for name in moment.weights.names() {
            let line = self.names.entry(name.clone()).or_insert_with(|| {
                let line = ProgressBar::no_length().with_style(style_of_lines());
                self.lines.insert_before(&self.verdicts, line)
            });
            let weight = |side| wording::weight(&moment.weights, name, side);
            let (blue, green) = (weight(BLUE), weight(GREEN));
            let number = |text: &str| text.parse::<f64>().unwrap_or_default();
            let share = number(&green) / (number(&blue) + number(&green)).max(1.0);
            line.set_message(format!(
                "{:<12} {} {blue:>5} {} {green:<5} {}",
                wording::name(name),
                wording::side(BLUE),
                bar(1.0 - share, '█', '░'),
                wording::side(GREEN)
            ));
        }
    }
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
