use hindsight_segment::WriterEpoch;
use serde_json::json;

use super::*;

fn disk() -> DiskUse {
    DiskUse {
        log_bytes: 10,
        base_bytes: 20,
        history_bytes: 30,
        free_bytes: Some(1000),
        growth_bytes_per_hour: Some(300),
    }
}

#[test]
fn a_disk_that_will_soon_be_full_is_told() {
    let told = nearly_full(&disk()).expect("in three hours");
    assert!(told.text.starts_with("the disk is full in about 3 hours"), "{told:?}");
    assert_eq!(nearly_full(&DiskUse { free_bytes: Some(300 * FEW_HOURS), ..disk() }), None);
    assert_eq!(nearly_full(&DiskUse::default()), None);
}

/// Scripts read this.
#[test]
fn the_status_as_json() {
    let at = |t| Some(api::Timestamp { t, i: 1 });
    let progress = CopyProgress { stage: CopyStage::AwaitingMajority, ..CopyProgress::default() };
    let unlogged = api::UnloggedChange {
        ns: "shop.orders".into(),
        at: at(7),
        differences: vec!["index a_1".into()],
        taken_up: true,
    };
    let status = api::GetStatusResponse {
        positions: Some(api::Positions { majority: at(9), ..Default::default() }),
        restorable_through: at(8),
        lags_seconds: Some(api::Lags { majority_to_durable: Some(0), durable_to_applied: None }),
        role: role_of(&Role::StandingBy { leader: "b".into(), epoch: WriterEpoch(3) }),
        windows: 2,
        bases: vec!["base-1".into()],
        base_copy: copy_of(CopyState::Copying(progress)),
        unknown_commands_skipped: Some(api::SkippedCommands {
            counts: [("someDay".to_owned(), 1)].into(),
        }),
        catalog: Some(api::CatalogCheck { newest_unlogged: vec![unlogged], ..Default::default() }),
        disk: Some(disk_of(&disk())),
        errors: vec!["no space".into()],
        remedies: vec![remedies::to_api(&hindsight_remedy::Remedy::AllowPrimary)],
        ..Default::default()
    };
    let expected = json!({
        "positions": {
            "majority": {"t": 9, "i": 1}, "received": null, "durable": null, "indexed": null,
            "applied": null,
        },
        "restorable_from": null,
        "restorable_through": {"t": 8, "i": 1},
        "lags_seconds": {"majority_to_durable": 0, "durable_to_applied": null},
        "rollover_headroom_seconds": null,
        "api": null,
        "member": null,
        "member_reason": null,
        "role": {"leading": false, "leader": "b", "epoch": 3},
        "windows": 2,
        "gaps": 0,
        "bases": ["base-1"],
        "base_copy": {
            "stage": "AwaitingMajority", "collections_done": 0, "collections": 0, "documents": 0,
            "bytes": 0, "last_failure": null,
        },
        "history_loading": null,
        "unknown_commands_skipped": {"someDay": 1},
        "catalog": {
            "checked_seconds_ago": null, "unchecked": null, "members_differ": [], "unlogged": 0,
            "newest_unlogged": [{
                "ns": "shop.orders", "at": {"t": 7, "i": 1}, "differences": ["index a_1"],
                "taken_up": true,
            }],
        },
        "disk": {
            "log_bytes": 10, "base_bytes": 20, "history_bytes": 30, "free_bytes": 1000,
            "growth_bytes_per_hour": 300, "full_in_hours": 3,
        },
        "remedies": ["allow_primary"],
        "errors": ["no space"],
    });
    let json = serde_json::to_string(&StatusJson::from(status)).expect("plain data");
    assert_eq!(json, expected.to_string());
}

#[test]
fn what_is_absent_is_null() {
    let status = api::GetStatusResponse {
        role: role_of(&Role::Leading { epoch: WriterEpoch(4) }),
        base_copy: copy_of(CopyState::Failed("gone".into())),
        ..Default::default()
    };
    let json = serde_json::to_value(StatusJson::from(status)).expect("plain data");
    assert_eq!(json["role"], json!({"leading": true, "epoch": 4}));
    assert_eq!(json["base_copy"], json!({"failed": "gone"}));
    assert!(json["unknown_commands_skipped"].is_null() && json["positions"].is_object());
    let nothing = serde_json::to_value(StatusJson::from(api::GetStatusResponse::default()));
    let nothing = nothing.expect("plain data");
    assert!(nothing["role"].is_null() && nothing["base_copy"].is_null(), "{nothing}");
}
