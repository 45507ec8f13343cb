//! Tests invalid messages, and messages that are meant to do damage.

use anyhow::{Result, ensure};
use axum::http::Method;
use bson::doc;
use hindsight_proto::v1 as api;
use hindsight_tests::Api;
use hindsight_tests::api::encoded;
use tonic::Code;

use super::super::served::Served;
use super::{failed, problem};

/// Levels of nesting that fit into one message, and for which no stack has room.
const LEVELS: usize = 500_000;

/// Sends bytes that are not protobuf, and bodies that are not JSON.
pub(super) async fn malformed(served: &Served) -> Result<()> {
    let api = served.api().await?;
    for method in ["GetDocument", "ScanCollection", "CreateRestore", "GetStatus", "NoSuchMethod"] {
        for message in [&b"\xff\xff\xff\xff"[..], b"\x0a\x7f", b"\x0a\x02\xff\xfe", b"\x08"] {
            let status = raw(&api, method, &framed(message)).await?;
            // Unknown fields are not an error: the status then comes after the answer. A message
            // that cannot be decoded at all is INTERNAL (13) in gRPC.
            let fine = ["", "3", "13"];
            let is_fine = status == "12" || fine.contains(&status.as_str());
            ensure!(is_fine, "{method} {message:?}: {status}");
            ensure!((status == "12") == (method == "NoSuchMethod"), "{method}: {status}");
        }
        // A frame that promises more bytes than it has, and a frame that claims to be compressed
        // but is not.
        for body in [&b"\x00\x00\x00\x00\xff\x01"[..], b"\x01\x00\x00\x00\x01\x00", b"\x00"] {
            raw(&api, method, body).await?;
        }
    }
    let json = ("content-type", "application/json");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for path in ["/v1/restores", "/v1/restores/plan", "/v1/verify"] {
        for body in ["", "{", "null", "[7]", "\"x\"", "{\"no\":1}", "\u{0}", &deep] {
            let answer = api.send(Method::POST, path, &[json], body.to_owned()).await?;
            problem(path, &answer, 400, "INVALID_ARGUMENT")?;
        }
        let answer = api.send(Method::POST, path, &[], "{}").await?;
        problem(path, &answer, 400, "INVALID_ARGUMENT")?;
        let large = "x".repeat(4 << 20);
        let answer = api.send(Method::POST, path, &[json], large).await?;
        ensure!((400..500).contains(&answer.status), "{path}: {}", answer.status);
        answer.reason()?;
    }
    Ok(())
}

/// Returns the `grpc-status` of a call with this body.
async fn raw(api: &Api, method: &str, body: &[u8]) -> Result<String> {
    let path = format!("/hindsight.v1.Hindsight/{method}");
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let answer = api.send(Method::POST, &path, &headers, body.to_vec()).await?;
    ensure!(answer.status == 200, "{method}: {answer:?}");
    Ok(answer.header("grpc-status").to_owned())
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap();
    [&[0][..], &length.to_be_bytes(), message].concat()
}

/// Returns `{_id: {"": {"": …}}}` with this many levels.
fn bottomless(levels: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(levels * 7 + 16);
    let inner = 5 + 7 * (levels - 1);
    bytes.extend(u32::try_from(4 + 5 + inner + 1).unwrap().to_le_bytes());
    bytes.extend(b"\x03_id\x00");
    for level in (0..levels).rev() {
        bytes.extend(u32::try_from(5 + 7 * level).unwrap().to_le_bytes());
        if level > 0 {
            bytes.extend([0x03, 0]);
        }
    }
    bytes.resize(bytes.len() + levels + 1, 0);
    bytes
}

/// Sends endless nesting, and ids of a megabyte. They may be refused or answered, but must never
/// end the process.
pub(super) async fn hostile(served: &Served) -> Result<()> {
    let api = served.api().await?;
    let ns = || "shop.orders".to_owned();
    let invalid = (Code::InvalidArgument, "INVALID_ARGUMENT");
    for levels in [300, LEVELS] {
        let deep = bytes::Bytes::from(bottomless(levels));
        let hindsight = || api.hindsight.clone();
        let request = api::GetDocumentRequest { ns: ns(), id: deep.clone(), at: None };
        let answer = hindsight().get_document(request).await;
        failed("a deep id", answer, invalid.0, invalid.1)?;
        let request = api::ListVersionsRequest { ns: ns(), id: deep.clone(), ..Default::default() };
        let answer = hindsight().list_versions(request).await;
        failed("a deep id", answer, invalid.0, invalid.1)?;
        let request = api::SearchEntriesRequest { id: deep.clone(), ..Default::default() };
        let answer = hindsight().search_entries(request).await;
        failed("a deep id", answer.map(drop), invalid.0, invalid.1)?;
        let request =
            api::ScanCollectionRequest { ns: ns(), filter: deep.clone(), ..Default::default() };
        let answer = hindsight().scan_collection(request).await;
        failed("a deep filter", answer.map(drop), invalid.0, invalid.1)?;
        let request =
            api::ScanCollectionRequest { ns: ns(), projection: deep.clone(), ..Default::default() };
        let answer = hindsight().scan_collection(request).await;
        failed("a deep projection", answer.map(drop), invalid.0, invalid.1)?;
        let from = Some(api::TimeSpec { text: "latest".into(), exclusive: false });
        let request = api::DiffTimesRequest { from, filter: deep.clone(), ..Default::default() };
        let answer = hindsight().diff_times(request).await;
        failed("a deep filter", answer.map(drop), invalid.0, invalid.1)?;
    }
    let large = doc! {"_id": "x".repeat(1 << 20)}.to_vec()?;
    let request = api::GetDocumentRequest { ns: ns(), id: large.into(), at: None };
    let answer = api.hindsight.clone().get_document(request).await;
    failed("a large id", answer, Code::NotFound, "NO_SUCH_DOCUMENT")?;
    let request = api::GetDocumentRequest { ns: "x.".repeat(1 << 20), ..Default::default() };
    let answer = api.hindsight.clone().get_document(request).await;
    failed("a large name", answer, invalid.0, invalid.1)?;

    let documents = "/v1/collections/shop.orders/documents";
    for levels in [100, 2_000] {
        let text = format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels));
        for path in [
            format!("{documents}?filter={}", encoded(&text)),
            format!("{documents}?projection={}", encoded(&text)),
            format!("{documents}/{}", encoded(&text)),
            format!("/v1/entries?id={}", encoded(&text)),
        ] {
            let answer = api.get(&path).await?;
            ensure!(answer.status < 500, "{}: {answer:?}", &path[..60]);
        }
    }
    // Longer than the head of a request may be.
    let path = format!("{documents}/{}", "x".repeat(100_000));
    match api.get(&path).await {
        Ok(answer) => ensure!((400..500).contains(&answer.status), "{}", answer.status),
        Err(error) => println!("a path of 100 kB: {error:#}"),
    }
    served.api().await?.get("/v1/status").await?.expect(200)?;
    Ok(())
}
