use super::*;

fn found(pattern: &str, flags: &str, text: &str) -> bool {
    Pattern::new(b"f", pattern.as_bytes(), flags.as_bytes()).unwrap().is_in(text.as_bytes())
}

#[test]
fn it_is_perl_s_language() {
    assert!(found("(?<=a)b", "", "ab"));
    assert!(found("(a|b)\\1", "", "xbb"));
    // A dollar stands before a last newline as well, and \w is ASCII.
    assert!(found("a$", "", "a\n"));
    assert!(!found("^\\w$", "", "é"));
    assert!(found("^.$", "", "é"));
    assert!(found("a.b", "", "\0a\0b"));
}

#[test]
fn flags_do_what_they_say() {
    assert!(!found("É", "", "é") && found("É", "i", "é") && found("É", "iu", "é"));
    assert!(!found("^b", "", "a\nb") && found("^b", "m", "a\nb"));
    assert!(!found("a.b", "", "a\nb") && found("a.b", "s", "a\nb"));
    assert!(!found("a b", "x", "a b") && found("a b # c", "x", "ab"));
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let refused =
        |source: &[u8], flags: &[u8]| Pattern::new(b"name", source, flags).unwrap_err().to_string();
    assert!(refused(b"a", b"g").contains("unknown flag 'g'"));
    assert!(refused(b"(", b"").contains("missing closing parenthesis"));
    assert!(refused(b"a\0", b"").contains("null byte"));
    assert!(refused(b"\xff", b"").contains("not UTF-8"));
    assert!(refused(b"(", b"").starts_with("\"name\": "));
}

#[test]
fn late_quantifiers_are_plain_text() {
    assert!(found("^a{,3}$", "", "a{,3}") && !found("^a{,3}$", "", "aa"));
    assert!(found("^\\d{,3}$", "", "1{,3}"));
    assert!(found("^a{ 1,2 }$", "", "a{ 1,2 }"));
    assert!(
        found("^a{1,}$", "", "aaa") && found("^a{2}$", "", "aa") && found("^a{1,2}$", "", "aa")
    );
    assert!(found("^a{}$", "", "a{}") && found("^a{b}$", "", "a{b}"));
    assert!(found("^\\x{61}\\\\{1,2}\\{,1}$", "", "a\\\\{,1}"));
    assert!(found("^\\Qa{,3}\\E{,1}$", "", "a{,3}{,1}") && found("^\\Q{,1}", "", "{,1}"));
    assert!(found("^[{,3}]$", "", "{") && !found("^[{,3}]$", "", "\\"));
}

#[test]
fn letters_that_are_no_escapes_stand_for_themselves() {
    assert!(found("^\\q[\\j]\\\\i$", "", "qj\\i") && found("\\Q\\q\\E", "", "\\q"));
}

#[test]
fn a_search_without_end_is_no_match() {
    assert!(!found("(a+)+$", "", &format!("{}b", "a".repeat(60))));
}

#[test]
fn text_that_is_not_utf8_does_not_match() {
    assert!(!Pattern::new(b"f", b"a", b"").unwrap().is_in(b"a\xff"));
}
