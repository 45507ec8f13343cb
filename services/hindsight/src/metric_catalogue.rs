//! Every metric of the process. `docs/METRICS.md` is generated from this list.

use hindsight_runtime::Metric;

/// Returns the metrics, by the part that they belong to.
fn parts() -> [(&'static str, &'static [Metric]); 8] {
    [
        ("Positions", hindsight_tailer::gauges::METRICS),
        ("Windows", hindsight_replayer::gauges::METRICS),
        ("Bases, and the log where it lies", hindsight_holdings::metrics::METRICS),
        ("Capture", hindsight_tailer::metrics::METRICS),
        ("Following the log", hindsight_replayer::metrics::METRICS),
        ("History", hindsight_history::metrics::METRICS),
        ("API", hindsight_api::metrics::METRICS),
        ("Access", hindsight_access::metrics::METRICS),
    ]
}

/// Registers the help text of every metric with the recorder.
pub(crate) fn describe() {
    parts().iter().flat_map(|(_, metrics)| *metrics).for_each(Metric::describe);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write;
    use std::path::Path;

    use hindsight_runtime::MetricKind;

    use super::*;

    const HEAD: &str = "# Metrics\n\n\
        `GET /metrics` of every process answers in Prometheus' text format. Counters begin at 0 when the process starts.\n\
        `deploy/alerts.yaml` holds rules for Prometheus.\n\n\
        <!-- Made by the test `metric_catalogue`; HINDSIGHT_METRICS_WRITE=1 writes it anew. -->\n";

    fn document() -> String {
        let mut text = HEAD.to_owned();
        for (part, metrics) in parts() {
            write!(
                text,
                "\n## {part}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n"
            )
            .expect("writes into memory");
            for metric in metrics {
                let kind = match metric.kind {
                    MetricKind::Counter => "counter",
                    MetricKind::Gauge => "gauge",
                    MetricKind::Histogram => "histogram",
                };
                let labels: Vec<_> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
                let labels = labels.join(", ");
                writeln!(text, "| `{}` | {kind} | {labels} | {} |", metric.name, metric.help)
                    .expect("writes into memory");
            }
        }
        text
    }

    #[test]
    fn the_document_lists_every_metric() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/METRICS.md");
        if std::env::var_os("HINDSIGHT_METRICS_WRITE").is_some() {
            std::fs::write(&path, document()).expect("docs/METRICS.md can be written");
        }
        let held = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(held, document(), "run this test with HINDSIGHT_METRICS_WRITE=1");
    }

    #[test]
    fn names_are_unique_and_follow_the_rules_of_prometheus() {
        let mut names = BTreeSet::new();
        for metric in parts().iter().flat_map(|(_, metrics)| *metrics) {
            assert!(names.insert(metric.name), "{} is there twice", metric.name);
            assert!(metric.name.starts_with("hindsight_"), "{}", metric.name);
            let is_total = metric.name.ends_with("_total");
            assert_eq!(is_total, metric.kind == MetricKind::Counter, "{}", metric.name);
            assert!(metric.help.ends_with('.'), "{}: {}", metric.name, metric.help);
        }
    }

    #[test]
    fn alerts_name_metrics_that_exist() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/alerts.yaml");
        let rules = std::fs::read_to_string(&path).expect("deploy/alerts.yaml is there");
        let known: BTreeSet<_> =
            parts().iter().flat_map(|(_, metrics)| *metrics).map(|metric| metric.name).collect();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let named: BTreeSet<_> =
            rules.split(|c| !is_name(c)).filter(|word| word.starts_with("hindsight_")).collect();
        assert!(named.len() >= 8, "{named:?}");
        let unknown: Vec<_> = named.difference(&known).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
