//! Tests restores that are ended early: by a call, or by ending the process.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::http::Method;
use hindsight_proto::longrunning::{CancelOperationRequest, Operation, operation};
use hindsight_tests::hindsight::{run, run_json};
use hindsight_tests::{Api, HindsightProcess};
use tonic::Code;
use tonic_types::RpcStatusExt;

use super::super::served::Served;
use super::{
    DOCUMENTS, create, documents_in, full_source, get, hold_in_the_middle, slow_target, until_done,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_is_cancelled_or_interrupted_and_says_so() -> Result<()> {
    let mut served = full_source().await?;
    cancelled(&served, How::Grpc).await?;
    cancelled(&served, How::Http).await?;
    cancelled(&served, How::CommandLine).await?;
    interrupted(&mut served, Ending::Kill).await?;
    interrupted(&mut served, Ending::Stop).await?;
    served.ends_well().await
}

#[derive(Clone, Copy, Debug)]
enum How {
    Grpc,
    Http,
    CommandLine,
}

/// Returns the code, the reason and the text of a restore that failed.
fn failure(operation: &Operation) -> Result<(Code, String, String)> {
    let Some(operation::Result::Error(failed)) = &operation.result else {
        anyhow::bail!("it did not fail: {operation:?}")
    };
    let info = failed.get_details_error_info().context("no reason")?;
    Ok((Code::from(failed.code), info.reason, failed.message.clone()))
}

async fn cancelled(served: &Served, how: How) -> Result<()> {
    let api = served.api().await?;
    let mut target = slow_target().await?;
    let name = create(&api, &target).await?.name;
    hold_in_the_middle(&api, &name, &mut target).await?;
    let path = format!("/v1/{name}");
    let answer = api.send(Method::DELETE, &path, &[], "").await?;
    ensure!(answer.expect(400)?.reason()? == "INVALID_ARGUMENT", "a running one is forgotten");
    match how {
        How::Grpc => {
            let request = CancelOperationRequest { name: name.clone() };
            api.operations.clone().cancel_operation(request).await?;
        }
        How::Http => {
            api.send(Method::POST, &format!("{path}/cancel"), &[], "").await?.expect(204)?;
        }
        How::CommandLine => {
            run_json(&served.data, &["restores", "cancel", &name]).await?.expect_success()?;
        }
    }
    ensure!(super::metadata(&get(&api, &name).await?)?.cancel_requested);
    let asked = Instant::now();
    target.resume()?;
    let ended = until_done(&api, &name).await?;
    ensure!(asked.elapsed() < Duration::from_secs(20), "it took {:?}", asked.elapsed());
    let (code, reason, text) = failure(&ended)?;
    ensure!((code, reason.as_str()) == (Code::Cancelled, "CANCELLED"), "{how:?}: {ended:?}");
    ensure!(text.contains("incomplete") || text.contains("drop"), "no advice: {text}");
    let json = api.get(&path).await?.expect(200)?.json()?;
    ensure!(json["error"]["reason"] == "CANCELLED" && json["error"]["detail"] == *text, "{json}");
    let written = documents_in(&target.client().await?).await?;
    ensure!(written < u64::from(DOCUMENTS.unsigned_abs()), "{written} documents are there");
    let watched = run_json(&served.data, &["restores", "watch", &name]).await?.expect_code(1)?;
    ensure!(watched.stderr.contains("cancel"), "{}", watched.stderr);
    println!("cancelled by {how:?} after {written} of {DOCUMENTS} documents");
    run_json(&served.data, &["restores", "delete", &name]).await?.expect_success()?;
    ensure!(get(&api, &name).await.is_err(), "a deleted operation is still there");
    Ok(())
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    Kill,
    Stop,
}

async fn interrupted(served: &mut Served, ending: Ending) -> Result<()> {
    let api = served.api().await?;
    let mut target = slow_target().await?;
    let name = create(&api, &target).await?.name;
    hold_in_the_middle(&api, &name, &mut target).await?;
    match ending {
        Ending::Kill => {
            served.up.kill()?;
            target.resume()?;
        }
        Ending::Stop => {
            target.resume()?;
            ensure!(served.up.stop().await?.success(), "{}", served.up.stderr());
        }
    }
    served.up = HindsightProcess::up(&served.set.uri(), &served.data, &[]).await?;
    let api = served.api().await?;
    says_interrupted(&api, &name).await?;
    let written = documents_in(&target.client().await?).await?;
    ensure!(written < u64::from(DOCUMENTS.unsigned_abs()), "{written} documents are there");
    println!("interrupted by {ending:?} after {written} of {DOCUMENTS} documents");
    let data = served.data.display().to_string();
    let listed = run(&["restores", "list", "--data", &data]).await?.expect_success()?;
    ensure!(listed.stdout.contains("must not be used"), "{}", listed.stdout);
    run_json(&served.data, &["restores", "delete", &name]).await?.expect_success()?;
    Ok(())
}

async fn says_interrupted(api: &Api, name: &str) -> Result<()> {
    let operation = get(api, name).await?;
    ensure!(operation.done, "nobody runs it, and it is not done: {operation:?}");
    let (code, reason, text) = failure(&operation)?;
    ensure!((code, reason.as_str()) == (Code::Aborted, "INTERRUPTED"), "{operation:?}");
    ensure!(text.contains("incomplete") && text.contains("run the restore again"), "{text}");
    let json = api.get(&format!("/v1/{name}")).await?.expect(200)?.json()?;
    ensure!(json["error"]["reason"] == "INTERRUPTED" && json["done"] == true, "{json}");
    Ok(())
}
