//! Tests collections that compare strings by a collation, and names that hold no documents.

use anyhow::{Context, Result, ensure};
use bson::{Bson, Document, doc};
use futures_util::TryStreamExt;
use hindsight_proto::v1::{self as v1, TimeSpec};
use hindsight_tests::Api;
use hindsight_tests::api::encoded;
use tonic::Code;

use super::super::served::Served;
use super::{failed, problem};

const INVALID: (Code, &str) = (Code::InvalidArgument, "INVALID_ARGUMENT");

pub(super) async fn questions(served: &Served) -> Result<()> {
    let shop = served.client.database("shop");
    let french = doc! {"locale": "fr", "strength": 1};
    shop.run_command(doc! {"create": "words", "collation": french}).await?;
    let words = shop.collection::<Document>("words");
    words.insert_one(doc! {"_id": "Été", "n": 1, "word": "Été"}).await?;
    shop.run_command(doc! {"create": "few", "viewOn": "orders", "pipeline": []}).await?;
    served.wait().await?;
    // The server finds these documents; a comparison of bytes would not.
    ensure!(words.find_one(doc! {"word": "ete"}).await?.is_some(), "the collation is not used");
    ensure!(words.find_one(doc! {"_id": "ete"}).await?.is_some(), "the collation is not used");
    let api = served.api().await?;
    filters(&api).await?;
    ids(&api).await?;
    views(&api).await
}

fn scan(ns: &str, filter: Document) -> Result<v1::ScanCollectionRequest> {
    let filter = filter.to_vec()?.into();
    Ok(v1::ScanCollectionRequest { ns: ns.into(), filter, ..Default::default() })
}

async fn filters(api: &Api) -> Result<()> {
    for filter in [doc! {"word": "ete"}, doc! {"n": {"$in": [1, "x"]}}] {
        let answer = api.hindsight.clone().scan_collection(scan("shop.words", filter)?).await;
        if let Err(status) = &answer {
            ensure!(status.message().contains("locale fr, strength 1"), "{status:?}");
        }
        failed("strings under a collation", answer.map(drop), INVALID.0, INVALID.1)?;
    }
    for filter in [doc! {}, doc! {"n": {"$gte": 1}}, doc! {"word": {"$regex": "^Ét"}}] {
        let request = scan("shop.words", filter.clone())?;
        let answers = api.hindsight.clone().scan_collection(request).await?.into_inner();
        let answers: Vec<_> = answers.try_collect().await?;
        let found: usize = answers.iter().map(|answer| answer.documents.len()).sum();
        ensure!(found == 1, "{filter}: {found} are found");
    }
    let diff = |ns: &str| {
        let latest = Some(TimeSpec { text: "latest".into(), exclusive: false });
        let filter = doc! {"word": "ete"}.to_vec()?.into();
        anyhow::Ok(v1::DiffTimesRequest {
            ns: ns.into(),
            from: latest,
            filter,
            ..Default::default()
        })
    };
    for ns in ["", "shop.*", "shop.words"] {
        let answer = api.hindsight.clone().diff_times(diff(ns)?).await;
        failed("a difference of them", answer.map(drop), INVALID.0, INVALID.1)?;
    }
    api.hindsight.clone().diff_times(diff("shop.orders")?).await?;
    let filter = encoded(r#"{"word":"ete"}"#);
    let path = format!("/v1/collections/shop.words/documents?filter={filter}");
    let answer = api.get(&path).await?;
    problem(&path, &answer, 400, INVALID.1)?;
    ensure!(answer.json()?["field"] == "filter", "{answer:?}");
    Ok(())
}

async fn ids(api: &Api) -> Result<()> {
    let document = |id: &Bson| doc! {"_id": id}.to_vec();
    let get = |id: &Bson| {
        let id = document(id)?.into();
        anyhow::Ok(v1::GetDocumentRequest { ns: "shop.words".into(), id, at: None })
    };
    let versions = |id: &Bson| {
        let id = document(id)?.into();
        anyhow::Ok(v1::ListVersionsRequest { ns: "shop.words".into(), id, ..Default::default() })
    };
    let exact = Bson::from("Été");
    let found = api.hindsight.clone().get_document(get(&exact)?).await?.into_inner();
    ensure!(!found.document.is_empty(), "the exact string is not found");
    let found = api.hindsight.clone().list_versions(versions(&exact)?).await?.into_inner();
    ensure!(found.versions.len() == 1, "{found:?}");
    let not_found = (Code::NotFound, "NO_SUCH_DOCUMENT");
    for (id, (code, reason)) in [
        (Bson::from("ete"), INVALID),
        (Bson::from(doc! {"word": "ete"}), INVALID),
        (Bson::from(7), not_found),
    ] {
        let what = id.to_string();
        failed(&what, api.hindsight.clone().get_document(get(&id)?).await, code, reason)?;
        failed(&what, api.hindsight.clone().list_versions(versions(&id)?).await, code, reason)?;
    }
    let path = "/v1/collections/shop.words/documents/ete";
    let answer = api.get(path).await?;
    problem(path, &answer, 400, INVALID.1)?;
    ensure!(answer.json()?["field"] == "id", "{answer:?}");
    Ok(())
}

/// Tests that a view is listed, and that errors say where its documents are.
async fn views(api: &Api) -> Result<()> {
    for path in ["/v1/collections/shop.few/documents", "/v1/collections/shop.few/documents/1"] {
        let answer = api.get(path).await?;
        problem(path, &answer, 404, "NO_SUCH_COLLECTION")?;
        let told = answer.json()?;
        let detail = told["detail"].as_str().context("a text")?;
        ensure!(detail.contains("is a view") && detail.contains("shop.orders"), "{detail}");
    }
    Ok(())
}
