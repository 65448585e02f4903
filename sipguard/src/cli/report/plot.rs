//! A plot as SVG, for a page that loads nothing.

use jiff::Timestamp;
use maud::{Markup, html};

/// Pixels of the whole; pages scale it.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 220.0;

/// Room for the numbers at the left and the times below.
const LEFT: f64 = 64.0;
const BELOW: f64 = 22.0;
const ABOVE: f64 = 8.0;

/// Classes of the style sheet for the parts of a bar; those beyond share the last.
pub(super) const COLOURS: usize = 7;

/// A bar: when it begins, and what it is made of, lowest first.
pub(super) struct Bar {
    pub(super) time: Timestamp,
    pub(super) parts: Vec<u64>,
    /// What is shown when it is pointed at.
    pub(super) title: String,
}

/// Stacked bars over time, between two times, each `seconds` wide.
pub(super) fn bars(from: Timestamp, until: Timestamp, seconds: u64, bars: &[Bar]) -> Markup {
    let most = bars.iter().map(|bar| bar.parts.iter().sum()).max().unwrap_or(0).max(1);
    let span = float(until.duration_since(from).as_secs().unsigned_abs().max(1));
    let (width, height) = (WIDTH - LEFT, HEIGHT - BELOW - ABOVE);
    let x = |time: Timestamp| {
        let at = float(time.duration_since(from).as_secs().max(0).unsigned_abs());
        LEFT + (at / span).min(1.0) * width
    };
    let bar_width = (float(seconds) / span * width - 1.0).clamp(1.0, width);
    let middle = from.checked_add(until.duration_since(from) / 2).unwrap_or(until);
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" {
            @for (share, label) in [(1.0, most), (0.5, most / 2), (0.0, 0)] {
                @let y = ABOVE + height * (1.0 - share);
                line.grid x1=(LEFT) y1=(y) x2=(WIDTH) y2=(y) {}
                text.number x=(LEFT - 8.0) y=(y + 4.0) { (label) }
            }
            @for (time, anchor) in [(from, "start"), (middle, "middle"), (until, "end")] {
                text.time x=(x(time)) y=(HEIGHT - 6.0) text-anchor=(anchor) { (short(time)) }
            }
            @for bar in bars {
                @let heights = stacked(&bar.parts, most, height);
                g {
                    title { (bar.title) }
                    @for (part, (low, high)) in heights.iter().enumerate() {
                        @if high > low {
                            rect class=(format!("c{}", part.min(COLOURS - 1)))
                                x=(round(x(bar.time))) y=(round(ABOVE + height - high))
                                width=(round(bar_width)) height=(round(high - low)) {}
                        }
                    }
                }
            }
        }
    }
}

/// Where each part begins and ends above the axis.
fn stacked(parts: &[u64], most: u64, height: f64) -> Vec<(f64, f64)> {
    let mut sum = 0;
    let scale = |sum: u64| float(sum) / float(most) * height;
    parts
        .iter()
        .map(|part| {
            let low = scale(sum);
            sum += part;
            (low, scale(sum))
        })
        .collect()
}

fn short(time: Timestamp) -> String {
    time.strftime("%m-%d %H:%M").to_string()
}

fn round(pixels: f64) -> f64 {
    (pixels * 10.0).round() / 10.0
}

#[expect(clippy::cast_precision_loss, reason = "places of pixels")]
fn float(number: u64) -> f64 {
    number as f64
}
