//! The names of the metrics, and what each of them means.
//!
//! Each crate lists its metrics in a module `metrics`, with one function for each event or value.
//! `docs/METRICS.md` is made from these lists.

use metrics::{Counter, Gauge, Histogram, Label};

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A number that only grows, from 0 at the start of the process.
    Counter,
    /// A number that goes up and down.
    Gauge,
    /// A distribution of samples.
    Histogram,
}

/// The name and the meaning of one metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    /// The name on the Prometheus page.
    pub name: &'static str,
    /// How the metric behaves.
    pub kind: MetricKind,
    /// The names of the labels.
    pub labels: &'static [&'static str],
    /// The meaning in one or two sentences, for operators.
    pub help: &'static str,
}

impl Metric {
    /// Returns a counter without labels.
    pub const fn counter(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Counter, labels: &[], help }
    }

    /// Returns a gauge without labels.
    pub const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Gauge, labels: &[], help }
    }

    /// Returns a histogram without labels.
    pub const fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Histogram, labels: &[], help }
    }

    /// Returns the same metric, divided by these labels.
    pub const fn by(self, labels: &'static [&'static str]) -> Self {
        Self { labels, ..self }
    }

    /// Passes the help text to the recorder. The Prometheus page shows it.
    pub fn describe(&self) {
        match self.kind {
            MetricKind::Counter => metrics::describe_counter!(self.name, self.help),
            MetricKind::Gauge => metrics::describe_gauge!(self.name, self.help),
            MetricKind::Histogram => metrics::describe_histogram!(self.name, self.help),
        }
    }

    /// Adds `by` to a counter. `values` are the values of the labels, in the order of the labels.
    pub fn add(&self, values: &[&str], by: u64) {
        debug_assert_eq!(self.kind, MetricKind::Counter, "{}", self.name);
        let counter: Counter = metrics::counter!(self.name, self.labels_with(values));
        counter.increment(by);
    }

    /// Sets a gauge. `values` are the values of the labels, in the order of the labels.
    pub fn set(&self, values: &[&str], value: f64) {
        self.gauge_with(values).set(value);
    }

    /// Moves a gauge up by `by`, or down when `by` is negative. `values` are the values of the
    /// labels, in the order of the labels.
    pub fn shift(&self, values: &[&str], by: f64) {
        self.gauge_with(values).increment(by);
    }

    /// Records one sample of a histogram. `values` are the values of the labels, in the order of
    /// the labels.
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
