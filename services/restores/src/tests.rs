use std::time::Duration;

use super::*;

fn asked() -> Fingerprint {
    Fingerprint::of(&api::RestoreSpec::default())
}

fn named(request_id: &str) -> Arc<Job> {
    let metadata = api::RestoreMetadata { request_id: request_id.into(), ..Default::default() };
    Arc::new(Job::new(metadata, asked(), CancellationToken::new()))
}

#[tokio::test]
async fn who_repeats_a_request_waits_until_it_is_prepared() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let restores = Restores::open(directory.path())?;
    let Reserved::Mine(place) = restores.reserve("id", &asked()).await? else {
        panic!("it is the first")
    };
    let job = named("id");
    let fingerprint = asked();
    let again = restores.reserve("id", &fingerprint);
    tokio::pin!(again);
    let early = tokio::time::timeout(Duration::from_millis(20), &mut again).await;
    assert!(early.is_err(), "it did not wait");
    // Another request does not wait for it.
    assert!(matches!(restores.reserve("other", &asked()).await?, Reserved::Mine(_)));
    assert!(matches!(restores.reserve("", &asked()).await?, Reserved::Mine(_)));
    place.take(&job)?;
    let Reserved::Begun(begun) = again.await? else { panic!("it was begun") };
    assert_eq!(begun.name, job.name);
    Ok(())
}

#[tokio::test]
async fn a_place_is_free_when_its_caller_goes_away() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let restores = Restores::open(directory.path())?;
    for _ in 0..20 {
        assert!(matches!(restores.reserve("", &asked()).await?, Reserved::Mine(_)));
        let first = restores.reserve("id", &asked()).await?;
        drop(first);
    }
    assert!(restores.all().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_request_is_known_again_after_a_restart() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let restores = Restores::open(directory.path())?;
    let Reserved::Mine(place) = restores.reserve("id", &asked()).await? else {
        panic!("it is the first")
    };
    let job = named("id");
    place.take(&job)?;
    let restores = Restores::open(directory.path())?;
    let Reserved::Begun(begun) = restores.reserve("id", &asked()).await? else {
        panic!("it was begun")
    };
    assert_eq!(begun.name, job.name);
    let other = api::RestoreSpec { to: "mongodb://db2".into(), ..Default::default() };
    let refused = restores.reserve("id", &Fingerprint::of(&other)).await.map(drop);
    assert_eq!(refused.expect_err("another target").code(), tonic::Code::AlreadyExists);
    Ok(())
}

#[test]
fn one_that_cannot_be_forgotten_is_in_nobodys_way() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let restores = Restores::open(directory.path())?;
    for second in 0..=200 {
        let metadata = api::RestoreMetadata { created_ms: second * 1000, ..Default::default() };
        let ended = Job::new(metadata, asked(), CancellationToken::new());
        ended.interrupt().expect("it ran");
        restores.register().add(&Arc::new(ended));
    }
    let oldest = Arc::clone(&restores.register().too_old()[0]);
    // A directory cannot be deleted as a file.
    let at = oldest.name.strip_prefix(record::COLLECTION).expect("every name has it");
    std::fs::create_dir(directory.path().join(at))?;
    let place = Place { restores: &restores, request_id: "id".into() };
    let begun = named("id");
    place.take(&begun)?;
    assert!(restores.find(&begun.name).is_ok() && restores.find(&oldest.name).is_ok());
    std::fs::remove_dir(directory.path().join(at))?;
    restores.forget_the_oldest();
    assert!(restores.find(&oldest.name).is_err());
    Ok(())
}
