//! Progress bars: on a terminal only, never in a log or a pipe.
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// A bar towards a known end.
pub(crate) fn bar(total: u64, unit: &str) -> ProgressBar {
    let template = format!(
        "  {{bar:32.cyan}} {{percent:>3}} %  {{pos}} / {{len}} {unit}  {{per_sec}}  {{msg}}"
    );
    styled(ProgressBar::new(total), &template)
}

/// A count without a known end.
pub(crate) fn counter(unit: &str) -> ProgressBar {
    styled(
        ProgressBar::no_length(),
        &format!("  {{spinner:.cyan}} {{human_pos}} {unit}  {{per_sec}}  {{msg}}"),
    )
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}
