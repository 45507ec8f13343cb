//! What each metric is called, and what it means.
//!
//! Each crate lists its metrics in a module `metrics`, with one function for each event or value.
//! `docs/METRICS.md` is made of these lists.

use metrics::{Counter, Gauge, Histogram, Label};

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution.
    Histogram,
}

/// The name and the meaning of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: MetricKind,
    pub labels: &'static [&'static str],
    /// One sentence or two, for operators.
    pub help: &'static str,
}

impl Metric {
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Counter, labels: &[], help }
    }

    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Gauge, labels: &[], help }
    }

    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Histogram, labels: &[], help }
    }

    /// The same metric, told apart by these labels.
    pub const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    /// Gives the recorder the help text, which the Prometheus page shows.
    pub fn describe(&self) {
        match self.kind {
            MetricKind::Counter => metrics::describe_counter!(self.name, self.help),
            MetricKind::Gauge => metrics::describe_gauge!(self.name, self.help),
            MetricKind::Histogram => metrics::describe_histogram!(self.name, self.help),
        }
    }

    /// Adds to a counter. `values` are those of the labels, in their order.
    pub fn add(&self, values: &[&str], by: u64) {
        debug_assert_eq!(self.kind, MetricKind::Counter, "{}", self.name);
        let counter: Counter = metrics::counter!(self.name, self.labels_with(values));
        counter.increment(by);
    }

    /// Sets a gauge. `values` are those of the labels, in their order.
    pub fn set(&self, values: &[&str], value: f64) {
        self.gauge_with(values).set(value);
    }

    /// Moves a gauge up, or down.
    pub fn shift(&self, values: &[&str], by: f64) {
        self.gauge_with(values).increment(by);
    }

    /// Records one sample of a histogram.
    pub fn record(&self, values: &[&str], value: f64) {
        debug_assert_eq!(self.kind, MetricKind::Histogram, "{}", self.name);
        let histogram: Histogram = metrics::histogram!(self.name, self.labels_with(values));
        histogram.record(value);
    }

    fn gauge_with(&self, values: &[&str]) -> Gauge {
        debug_assert_eq!(self.kind, MetricKind::Gauge, "{}", self.name);
        metrics::gauge!(self.name, self.labels_with(values))
    }

    fn labels_with(&self, values: &[&str]) -> Vec<Label> {
        debug_assert_eq!(self.labels.len(), values.len(), "{}", self.name);
        let pairs = self.labels.iter().zip(values);
        pairs.map(|(label, value)| Label::new(*label, (*value).to_owned())).collect()
    }
}
