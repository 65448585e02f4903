//! What Prometheus scrapes.
//!
//! A scrape asks the daemon once, for what it can tell without a walk through a
//! large map, and writes it down with the daemon free again. [`METRICS`] is the
//! one table of what there is.

mod collector;
mod format;
mod table;

use prometheus_client::{encoding::text::encode, registry::Registry};

use self::{collector::Snapshot, format::plain};
pub use self::{
    format::Format,
    table::{METRICS, Metric, Type},
};
use crate::daemon::{Error, Shared};

/// Everything that there is to measure, now.
///
/// # Errors
/// The kernel refused to tell.
pub async fn scrape(shared: &Shared, format: Format) -> Result<String, Error> {
    let figures = shared.daemon().await.figures()?;
    Ok(render(Snapshot { figures, pulse: shared.pulse().last() }, format))
}

fn render(snapshot: Snapshot, format: Format) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(snapshot));
    let mut text = String::new();
    // Nothing in there fails, and neither does a String.
    let _ = encode(&mut text, &registry);
    match format {
        Format::OpenMetrics => text,
        Format::Plain => plain(&text),
    }
}

#[cfg(test)]
mod tests;
