use std::path::Path;

use futures_util::StreamExt;
use hindsight_access::Role;
use hindsight_proto::v1 as api;
use serde_json::json;

use super::*;

fn admission(directory: &Path, room: usize) -> Admission {
    let audit = AuditLog::open(&directory.join("audit.jsonl")).expect("a file");
    Admission::of_server(audit, room)
}

fn request<C: ApiCall>(message: C, role: Role) -> Request<C> {
    let mut request = Request::new(message);
    request.extensions_mut().insert(Caller { name: "ann".into(), role, peer: None });
    request
}

fn get(role: Role) -> Request<api::GetDocumentRequest> {
    request(api::GetDocumentRequest { ns: "shop.orders".into(), ..Default::default() }, role)
}

fn scan(role: Role) -> Request<api::ScanCollectionRequest> {
    request(api::ScanCollectionRequest::default(), role)
}

fn status(role: Role) -> Request<api::GetStatusRequest> {
    request(api::GetStatusRequest {}, role)
}

fn lines(directory: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(directory.join("audit.jsonl")).expect("a file");
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

fn phases(directory: &Path) -> Vec<(Value, Value)> {
    let pair = |line: Value| (line["phase"].clone(), line["code"].clone());
    lines(directory).into_iter().map(pair).collect()
}

#[tokio::test]
async fn a_read_is_on_record_before_and_after_it_is_answered() {
    let directory = tempfile::tempdir().expect("a directory");
    let admission = admission(directory.path(), 1);
    let call = admission.begin(&get(Role::Viewer)).expect("it may");
    assert_eq!(lines(directory.path()).len(), 1);
    let answer = async { Ok(api::GetDocumentResponse::default()) };
    call.one(answer).await.expect("an answer");
    let lines = lines(directory.path());
    assert_eq!(lines[1]["about"]["ns"], "shop.orders");
    assert_eq!((&lines[1]["code"], &lines[1]["documents"]), (&json!("OK"), &json!(1)));
}

#[tokio::test]
async fn a_caller_that_goes_away_ends_its_call() {
    let directory = tempfile::tempdir().expect("a directory");
    let admission = admission(directory.path(), 1);
    let call = admission.begin(&scan(Role::Viewer)).expect("it may");
    let answers: Answers<api::ScanCollectionResponse> =
        Box::pin(futures_util::stream::repeat_with(|| Ok(Default::default())));
    let mut answers = call.many(async { Ok(answers) }).await.expect("a stream").into_inner();
    assert!(answers.next().await.is_some_and(|answer| answer.is_ok()));
    let full = admission.begin(&get(Role::Viewer)).map(drop);
    assert_eq!(full.expect_err("there is room for one").code(), Code::ResourceExhausted);
    drop(answers);
    admission.begin(&status(Role::Viewer)).expect("there is room again");
    assert_eq!(phases(directory.path())[1], (json!("ended"), json!("CANCELLED")));
}

#[tokio::test]
async fn a_deadline_ends_answers_that_never_come() {
    let directory = tempfile::tempdir().expect("a directory");
    let admission = admission(directory.path(), 4);
    let soon = || "20m".parse().expect("text");
    let (mut get, mut scan) = (get(Role::Viewer), scan(Role::Viewer));
    get.metadata_mut().insert("grpc-timeout", soon());
    scan.metadata_mut().insert("grpc-timeout", soon());
    let call = admission.begin(&get).expect("it may");
    let never = std::future::pending::<Result<api::GetDocumentResponse, Status>>();
    assert_eq!(call.one(never).await.expect_err("too late").code(), Code::DeadlineExceeded);
    let call = admission.begin(&scan).expect("it may");
    let answers: Answers<api::ScanCollectionResponse> = Box::pin(futures_util::stream::pending());
    let mut answers = call.many(async { Ok(answers) }).await.expect("a stream").into_inner();
    let late = answers.next().await.expect("an end").expect_err("too late");
    assert_eq!(late.code(), Code::DeadlineExceeded);
    assert!(answers.next().await.is_none());
}

#[test]
fn who_may_not_is_on_record_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let admission = admission(directory.path(), 1);
    let create = request(api::CreateRestoreRequest::default(), Role::Operator);
    let refused = admission.begin(&create).map(drop);
    assert_eq!(refused.expect_err("it may not").code(), Code::PermissionDenied);
    assert_eq!(phases(directory.path()), [(json!("ended"), json!("PERMISSION_DENIED"))]);
    let mut stranger = status(Role::Viewer);
    stranger.extensions_mut().clear();
    assert!(admission.begin(&stranger).is_err(), "it did not pass the gate");
}

#[test]
fn timeouts_are_read_as_grpc_writes_them() {
    let of = |text: &'static str| {
        let mut request = Request::new(());
        request.metadata_mut().insert("grpc-timeout", text.parse().expect("text"));
        timeout(&request)
    };
    assert_eq!(of("2S"), Some(Duration::from_secs(2)));
    assert_eq!(of("99999999H"), Some(Duration::from_secs(99_999_999 * 3600)));
    for bad in ["", "S", "2", "123456789S", "-1S", "2x"] {
        assert_eq!(of(bad), None, "{bad}");
    }
}

#[tokio::test]
async fn work_that_nobody_waits_for_takes_its_room_until_it_ends() {
    let directory = tempfile::tempdir().expect("a directory");
    let admission = admission(directory.path(), 1);
    let call = admission.begin(&get(Role::Viewer)).expect("it may");
    let place = call.place();
    assert!(place.is_wanted());
    drop(call);
    assert!(!place.is_wanted());
    let full = admission.begin(&get(Role::Viewer)).map(drop);
    assert_eq!(full.expect_err("a thread still works").code(), Code::ResourceExhausted);
    drop(place);
    admission.begin(&get(Role::Viewer)).expect("there is room again");
}
