//! The report of a restore.

use hindsight_proto::v1 as api;
use serde::Serialize;
use utoipa::ToSchema;

use super::PositionJson;
use super::plan::SkippedJson;

/// What a restore did and what it left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RestoreReport)]
pub struct ReportJson {
    /// Always `complete`: a restore that ends in another way has an error and no report.
    pub outcome: &'static str,
    /// The same as `through`.
    pub timestamp: Option<PositionJson>,
    /// Whether everything was read back from the target and compared.
    pub verified: bool,
    /// Number of documents that were written.
    pub documents: u64,
    /// Bytes of these documents.
    pub bytes: u64,
    pub collections: Vec<RestoredCollectionJson>,
    /// Namespaces of the restored views.
    pub views: Vec<String>,
    /// Number of users that were merged into those of the target.
    pub users: u64,
    /// Number of roles that were merged into those of the target.
    pub roles: u64,
    /// What was not written, and why.
    pub skipped: Vec<SkippedJson>,
    /// What the user should know about the restored state.
    pub warnings: Vec<String>,
    /// Documents per second, while documents were loaded.
    pub documents_per_second: f64,
    /// Bytes per second, while documents were loaded.
    pub bytes_per_second: f64,
    /// How long each part took.
    pub seconds: SecondsJson,
    /// The report in one sentence, for people.
    pub summary: String,
    /// The last position included.
    pub through: Option<PositionJson>,
}

/// One restored collection.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RestoredCollection)]
pub struct RestoredCollectionJson {
    pub ns: String,
    /// Number of documents that were written.
    pub documents: u64,
    /// Bytes of these documents.
    pub bytes: u64,
    /// A digest of the documents that were written, in hexadecimal.
    pub digest: String,
    /// Number of indexes, including `_id_`.
    pub indexes: u64,
    /// Whether the collection was read back from the target and is the same.
    pub verified: bool,
}

/// How long each part of a restore took, in seconds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RestoreSeconds)]
pub struct SecondsJson {
    /// The whole restore.
    pub total: f64,
    /// Creating collections.
    pub collections: f64,
    /// Loading documents.
    pub documents: f64,
    /// Building indexes, except those that expire documents.
    pub indexes: f64,
    /// Reading documents back and comparing them.
    pub verification: f64,
}

impl From<api::RestoredCollection> for RestoredCollectionJson {
    fn from(collection: api::RestoredCollection) -> Self {
        let api::RestoredCollection { ns, documents, bytes, digest, indexes, verified } =
            collection;
        Self { ns, documents, bytes, digest, indexes, verified }
    }
}

impl From<api::RestoreSeconds> for SecondsJson {
    fn from(seconds: api::RestoreSeconds) -> Self {
        let api::RestoreSeconds { total, collections, documents, indexes, verification } = seconds;
        Self { total, collections, documents, indexes, verification }
    }
}

impl From<api::RestoreReport> for ReportJson {
    fn from(report: api::RestoreReport) -> Self {
        let through = report.through.map(Into::into);
        Self {
            outcome: "complete",
            timestamp: through,
            verified: report.verified,
            documents: report.documents,
            bytes: report.bytes,
            collections: report.collections.into_iter().map(Into::into).collect(),
            views: report.views,
            users: report.users,
            roles: report.roles,
            skipped: report.skipped.into_iter().map(Into::into).collect(),
            warnings: report.warnings,
            documents_per_second: report.documents_per_second,
            bytes_per_second: report.bytes_per_second,
            seconds: report.seconds.unwrap_or_default().into(),
            summary: report.summary,
            through,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scripts read this.
    #[test]
    fn the_report_as_json() {
        let collection = api::RestoredCollection {
            ns: "shop.orders".into(),
            documents: 2,
            bytes: 3000,
            digest: "00".into(),
            indexes: 1,
            verified: true,
        };
        let report = api::RestoreReport {
            through: Some(api::Timestamp { t: 7, i: 1 }),
            verified: true,
            documents: 2,
            bytes: 3000,
            collections: vec![collection],
            views: vec!["shop.paid".into()],
            users: 3,
            roles: 4,
            skipped: vec![api::Skipped { ns: "shop.v".into(), reason: "it is broken".into() }],
            warnings: vec!["odd".into()],
            documents_per_second: 20.0,
            bytes_per_second: 30_000.0,
            seconds: Some(api::RestoreSeconds { total: 1.235, ..Default::default() }),
            summary: "restored 2 documents, verified".into(),
        };
        let json = serde_json::to_value(ReportJson::from(report)).expect("plain data");
        let (collections, seconds) = (
            r#"[{"ns":"shop.orders","documents":2,"bytes":3000,"digest":"00","indexes":1,"verified":true}]"#,
            r#"{"total":1.235,"collections":0.0,"documents":0.0,"indexes":0.0,"verification":0.0}"#,
        );
        let expected = [
            r#"{"outcome":"complete","timestamp":{"t":7,"i":1},"verified":true,"documents":2,"#,
            &format!(r#""bytes":3000,"collections":{collections},"views":["shop.paid"],"#),
            r#""users":3,"roles":4,"skipped":[{"ns":"shop.v","reason":"it is broken"}],"#,
            r#""warnings":["odd"],"documents_per_second":20.0,"bytes_per_second":30000.0,"#,
            &format!(r#""seconds":{seconds},"summary":"restored 2 documents, verified","#),
            r#""through":{"t":7,"i":1}}"#,
        ];
        assert_eq!(json.to_string(), expected.concat());
    }
}
