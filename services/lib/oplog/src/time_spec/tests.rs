#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const NOON: u32 = 1_795_262_624;

fn read(text: &str) -> Result<TimeSpec, TimeSpecError> {
    text.parse()
}

#[test]
fn every_spelling_is_read() {
    let second = TimeSpec::Second(NOON);
    let exact = TimeSpec::Exact(Timestamp::new(NOON, 42));
    for (text, expected) in [
        ("2026-11-21T12:03:44Z", second),
        ("2026-11-21t12:03:44z", second),
        ("2026-11-21 12:03:44", second),
        ("2026-11-21T12:03:44", second),
        ("  2026-11-21T12:03:44\n", second),
        ("2026-11-21T12:03:44.000Z", second),
        ("2026-11-21T12:03:44.0", second),
        ("2026-11-21T12:03:44,000+00:00", second),
        ("2026-11-21T13:03:44+01:00", second),
        ("2026-11-21T13:03:44+0100", second),
        ("2026-11-21T06:33:44-05:30", second),
        ("2026-11-22T11:33:44+23:30", second),
        ("2026-11-21T12:03:44-00:00", second),
        ("1795262624", second),
        ("1795262624,42", exact),
        ("1795262624.42", exact),
        ("1795262624:42", exact),
        ("1795262624, 42", exact),
        ("(1795262624,42)", exact),
        ("Timestamp(1795262624, 42)", exact),
        ("Timestamp({ t: 1795262624, i: 42 })", exact),
        ("Timestamp({\"t\":1795262624,\"i\":42})", exact),
        ("2026-11-21T12:03:44Z (1795262624,42)", exact),
        ("latest", TimeSpec::Latest),
        ("Latest", TimeSpec::Latest),
        ("0,0", TimeSpec::Exact(Timestamp::ZERO)),
        ("4294967295,4294967295", TimeSpec::Exact(Timestamp::MAX)),
        ("1795262624,4000000", TimeSpec::Exact(Timestamp::new(NOON, 4_000_000))),
        ("1795262624.0", TimeSpec::Exact(Timestamp::new(NOON, 0))),
        ("1970-01-01T00:00:00Z", TimeSpec::Second(0)),
        ("1969-12-31T23:59:59-00:01", TimeSpec::Second(59)),
        ("2106-02-07T06:28:15Z", TimeSpec::Second(u32::MAX)),
        ("2024-02-29T00:00:00Z", TimeSpec::Second(1_709_164_800)),
    ] {
        assert_eq!(read(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_time_or_more_than_one_is_refused_with_its_reason() {
    for (text, reason) in [
        ("", "empty"),
        ("   ", "empty"),
        ("now", "form"),
        ("yesterday", "form"),
        ("2026-11-21", "form"),
        ("2026-11-21T12", "form"),
        ("2026-11-21T12:03", "form"),
        ("2026-11-21T12:03Z", "form"),
        ("20261121T120344Z", "form"),
        ("21.11.2026 12:03:44", "increment is not a whole number"),
        ("12:03:44", "increment is not a whole number"),
        ("+2026-11-21T12:03:44Z", "form"),
        ("2026-11-21T12:03:44.5Z", "fractions"),
        ("2026-11-21T12:03:44.0000000001", "fractions"),
        ("2026-11-21T12:03:44.Z", "no digits"),
        ("2026-11-21T12:03:44 UTC", "zone"),
        ("2026-11-21T12:03:44+1", "zone"),
        ("2026-11-21T12:03:44+01", "zone"),
        ("2026-11-21T12:03:44+a1:00", "zone"),
        ("2026-11-21T12:03:44+24:00", "zone"),
        ("2026-11-21T12:03:44+01:60", "zone"),
        ("2026-11-21T12:03:44+01:00[Europe/Berlin]", "zone"),
        ("2026-11-21T12:03:44Ä", "zone"),
        ("2026-11-21T12:03:60Z", "leap"),
        ("2026-11-21T24:00:00Z", "no such"),
        ("2026-02-29T00:00:00Z", "no such"),
        ("2026-13-01T00:00:00Z", "no such"),
        ("1969-12-31T23:59:59Z", "1970"),
        ("2106-02-07T06:28:16Z", "2106"),
        ("9999-12-31T23:59:59-23:59", "2106"),
        ("0000-01-01T00:00:00+23:59", "1970"),
        ("2026", "9 or 10 digits"),
        ("20261121", "9 or 10 digits"),
        ("1795262624000", "smaller unit"),
        ("4294967296", "above 4294967295"),
        ("4294967296,1", "seconds is above"),
        ("1,4294967296", "increment is above"),
        ("-1,2", "form"),
        ("1795262624,", "increment is not"),
        (",42", "seconds is not"),
        ("1795262624,4,2", "increment is not"),
        ("1795262624,+4", "increment is not"),
        ("12:03", "time of day"),
        ("3.5", "write 3,5"),
        ("1795262624.123456789", "write 1795262624,123456789"),
        ("1795262624.042", "fraction"),
        ("(1795262624)", "no increment"),
        ("Timestamp({ i: 42, t: 1795262624 })", "{ t: seconds, i: increment }"),
        ("2026-11-21T12:03:45Z (1795262624,42)", "differ"),
        ("2026-11-21T12:03:44Z (1795262624,42", "not closed"),
        ("١٧٩٥٢٦٢٦٢٤,42", "form"),
    ] {
        let error = read(text).expect_err(text);
        assert!(error.reason.contains(reason), "{text}: {error}");
    }
}

#[test]
fn the_message_names_input_reason_and_remedy() {
    assert_eq!(
        read("20261121\n\u{1b}[31m").unwrap_err().to_string(),
        "\"20261121\\n\\u{1b}[31m\" is not a time: it is not of the form YYYY-MM-DDTHH:MM:SS with \
         or without a zone. Write 2026-11-21T12:03:44Z, 2026-11-21T13:03:44+01:00, \
         2026-11-21T12:03:44 (UTC), 1795262624,42 (seconds and increment, also with '.' or ':' \
         between), or latest"
    );
    assert!(read(&"x".repeat(1 << 20)).unwrap_err().to_string().len() < 500);
}

#[test]
fn the_remedies_of_the_message_work() {
    for text in ["2026-11-21T12:03:44Z", "2026-11-21T13:03:44+01:00", "2026-11-21T12:03:44"] {
        assert_eq!(read(text), Ok(TimeSpec::Second(NOON)));
    }
}

#[test]
fn bounds_take_in_what_people_mean() {
    let latest = Timestamp::new(NOON, 7);
    let exact = TimeSpec::Exact(Timestamp::new(NOON, 42));
    let second = TimeSpec::Second(NOON);
    for (spec, until, before, from) in [
        (exact, (NOON, 42), (NOON, 41), (NOON, 42)),
        (second, (NOON, u32::MAX), (NOON - 1, u32::MAX), (NOON, 0)),
        (TimeSpec::Latest, (NOON, 7), (NOON, 6), (NOON, 7)),
        (TimeSpec::Second(0), (0, u32::MAX), (0, 0), (0, 0)),
    ] {
        let timestamp = |(seconds, increment)| Timestamp::new(seconds, increment);
        assert_eq!(spec.until_inclusive(latest), timestamp(until));
        assert_eq!(spec.before_exclusive(latest), timestamp(before));
        assert_eq!(spec.since_inclusive(latest), timestamp(from));
    }
}

#[test]
fn times_are_shown_to_people_in_both_forms() {
    let shown = Timestamp::new(NOON, 42).for_people().to_string();
    assert_eq!(shown, "2026-11-21T12:03:44Z (1795262624,42)");
    let last = Timestamp::MAX.for_people().to_string();
    assert_eq!(last, "2106-02-07T06:28:15Z (4294967295,4294967295)");
}

/// Text that is close to what can be read.
fn nearly() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("2026-11-21T12:03:44".to_string()),
        Just("1795262624".to_string()),
        Just("Timestamp(".to_string()),
        Just("{ t: ".to_string()),
        "[0-9]{1,3}",
        "[-+ZTti:.,(){} é]",
        any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn what_is_shown_is_read_again(value in any::<u64>()) {
        let ts = Timestamp::from_u64(value);
        let exact = Ok(TimeSpec::Exact(ts));
        prop_assert_eq!(read(&ts.for_people().to_string()), exact.clone());
        prop_assert_eq!(read(&ts.to_string()), exact);
        let second = TimeSpec::Second(ts.seconds());
        prop_assert_eq!(read(&second.to_string()), Ok(second));
    }

    #[test]
    fn zones_move_the_clock_and_not_the_time(seconds in 200_000_u32.., minutes in -1439..=1439_i32) {
        let local = jiff::Timestamp::from_second(i64::from(seconds) + i64::from(minutes) * 60).unwrap();
        let (sign, size) = (if minutes < 0 { '-' } else { '+' }, minutes.abs());
        let zone = format!("{sign}{:02}:{:02}", size / 60, size % 60);
        let text = local.to_string().replace('Z', &zone);
        prop_assert_eq!(read(&text), Ok(TimeSpec::Second(seconds)));
    }

    #[test]
    fn no_text_panics(text in any::<String>()) {
        let _ = read(&text);
    }

    #[test]
    fn no_text_close_to_a_time_panics_or_is_read_as_what_it_does_not_say(text in nearly()) {
        if let Ok(spec) = read(&text) {
            prop_assert_eq!(read(&spec.to_string()), Ok(spec));
        }
    }
}
