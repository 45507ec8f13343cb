use super::*;

const V6: Series = Series::new(6, 0);
const V7: Series = Series::new(7, 0);

fn found(pattern: &str, flags: &str, text: &str) -> bool {
    let of = |version| Pattern::new(b"f", pattern.as_bytes(), flags.as_bytes(), version);
    let answer = of(V6).unwrap().is_in(text.as_bytes());
    // A later server that accepts the pattern at all gives it the same meaning.
    assert!(of(V7).is_ok_and(|it| it.is_in(text.as_bytes())) == answer || of(V7).is_err());
    answer
}

#[test]
fn it_is_perl_s_language() {
    assert!(found("(?<=a)b", "", "ab"));
    assert!(found("(a|b)\\1", "", "xbb"));
    // A dollar matches before a last newline as well, and \w is ASCII.
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
    assert!(!found("a b", "x", "a b") && found("a b # c\n", "x", "ab"));
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let refused = |source: &[u8], flags: &[u8]| {
        Pattern::new(b"name", source, flags, V6).unwrap_err().to_string()
    };
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
    assert!(found("^\\Qa{,3}\\E{,1}$", "", "a{,3}{,1}") && found("^\\Q{,1}\\E", "", "{,1}"));
    assert!(found("^[{,3}]$", "", "{") && !found("^[{,3}]$", "", "\\"));
}

#[test]
fn letters_that_are_no_escapes_stand_for_themselves() {
    assert!(found("^\\q[\\j]\\\\i$", "", "qj\\i") && found("\\Q\\q\\E", "", "\\q"));
}

/// As 6.0.5 and 7.0.28 answered each of these patterns.
#[test]
fn up_to_6_0_patterns_are_read_as_pcre_8_reads_them_and_then_refused() {
    for (pattern, text) in [
        ("^\\q$", "q"),
        ("^[\\z\\A\\C\\G\\K\\Z]$", "K"),
        ("^[\\B\\R\\X]$", "R"),
        ("^[]\\q]$", "]"),
        ("^[]\\q]$", "q"),
        ("^[^]\\q]$", "k"),
        ("^[[:alpha:]\\q-]$", "q"),
        ("^\\8$", "8"),
        ("^(a)?\\9$", "9"),
        ("^\\81$", "81"),
        ("^[\\d-z]$", "-"),
        ("^[\\w-é]$", "é"),
        ("^[[:digit:]-z]$", "z"),
        ("^[\\pL-9]$", "-"),
        ("^[\\p{Lu}-9]$", "9"),
    ] {
        assert!(found(pattern, "", text), "{pattern}");
        let refused = Pattern::new(b"f", pattern.as_bytes(), b"", V7);
        assert!(refused.is_err(), "{pattern}");
    }
    assert!(!found("^[\\d-z]$", "", "p") && !found("^[\\w-é]$", "", "ä"));
    for pattern in ["\\Qabc", "\\N{U+61}", "(?x)a # x", "\\Q\\"] {
        assert!(Pattern::new(b"f", pattern.as_bytes(), b"", V6).is_err(), "{pattern}");
        assert!(Pattern::new(b"f", pattern.as_bytes(), b"", V7).is_ok(), "{pattern}");
    }
    assert!(Pattern::new(b"f", b"a #", b"xi", V6).is_err());
    assert!(Pattern::new(b"f", b"a #", b"xi", V7).is_ok());
    for pattern in ["(*UCP)a", "(*UTF8)(*UCP)a", "a # x\n", "[\\8]", "(?#[)\\w", "[a\\E-z]"] {
        assert!(found(pattern, "", "8 a # x\n"), "{pattern}");
    }
    for pattern in ["a)(b", "a)|(b", "a)", "(?:a", "\\", "[[.a.]]", "[\\N]", "\\U"] {
        for version in [V6, V7] {
            assert!(Pattern::new(b"f", pattern.as_bytes(), b"", version).is_err(), "{pattern}");
        }
    }
}

#[test]
fn a_search_without_end_is_no_match() {
    assert!(!found("(a+)+$", "", &format!("{}b", "a".repeat(60))));
}

#[test]
fn text_that_is_not_utf8_does_not_match() {
    assert!(!Pattern::new(b"f", b"a", b"", V6).unwrap().is_in(b"a\xff"));
}

/// 7.0.28 refuses `\k` in a class; the PCRE2 that is linked here takes it for the letter.
#[test]
fn an_escape_that_later_libraries_take_in_a_class_is_refused() {
    assert!(Pattern::new(b"name", b"^[\\k]$", b"", V7).is_err());
    assert!(Pattern::new(b"name", b"^[^a\\k-z]$", b"", V7).is_err());
    let named = Pattern::new(b"name", b"^(?<n>a)\\k<n>$", b"", V7).expect("a reference");
    assert!(named.is_in(b"aa") && !named.is_in(b"ak"));
    assert!(found("^[\\k]$", "", "k"), "PCRE 8 takes it");
}
