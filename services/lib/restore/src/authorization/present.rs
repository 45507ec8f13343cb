//! Finds users and roles that a target already has with other contents. A merge leaves those as
//! they are.

use super::super::accounts::{AccountKind, Authorization, id_of};
use super::super::destination::{ReadBack, Shown};
use super::super::error::{LISTED, RestoreError, listed};

/// Sentences about users and roles that a target already has.
#[derive(Debug, Default)]
pub(in super::super) struct Present {
    /// Why users and roles cannot be merged.
    pub(in super::super) problems: Vec<String>,
    /// Which users and roles the target keeps besides those of the state.
    pub(in super::super) warnings: Vec<String>,
}

/// Compares the target's accounts of these kinds with those that will be merged. `own` is the user
/// that this restore is logged in as; the target keeps its own version of that user. A system
/// collection that we may not read is not compared.
pub(in super::super) async fn present(
    held: &dyn ReadBack,
    kinds: &[AccountKind],
    merged: &Authorization,
    own: Option<&str>,
) -> Result<Present, RestoreError> {
    let mut present = Present::default();
    for kind in kinds.iter().copied() {
        let Shown::Documents(held) = held.accounts(kind).await? else { continue };
        let (wanted, what) = (merged.of_kind(kind), kind.noun());
        let more = more(wanted, &held, own);
        if !more.is_empty() {
            present.warnings.push(format!(
                "it keeps each of these {what}s, which it has and the state does not: {}",
                listed(&more, LISTED)
            ));
        }
        let others = others(wanted, &held, own);
        if !others.is_empty() {
            present.problems.push(format!(
                "it already has each of these {what}s with another definition: {}; drop them on the target first",
                listed(&others, LISTED)
            ));
        }
    }
    Ok(present)
}

/// Returns the ids of the documents that are held but not wanted.
fn more(wanted: &[Vec<u8>], held: &[Vec<u8>], own: Option<&str>) -> Vec<String> {
    let names = held.iter().map(|document| id_of(document));
    let is_more = |id: &Option<&str>| *id != own && !wanted.iter().any(|other| id_of(other) == *id);
    names.filter(is_more).flatten().map(str::to_owned).collect()
}

/// Returns the ids of the wanted documents that are held with other contents.
fn others(wanted: &[Vec<u8>], held: &[Vec<u8>], own: Option<&str>) -> Vec<String> {
    let is_other = |document: &&Vec<u8>| {
        let id = id_of(document);
        id != own && held.iter().any(|other| id_of(other) == id && other != *document)
    };
    let names = wanted.iter().filter(is_other).map(|document| id_of(document).unwrap_or_default());
    names.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use bson::rawdoc;

    use super::*;

    #[test]
    fn only_those_that_differ_are_in_the_way() {
        let user = |id: &str, key: &str| rawdoc! { "_id": id, "key": key }.into_bytes();
        let wanted =
            [user("a.same", "1"), user("a.other", "1"), user("a.me", "1"), user("a.new", "1")];
        let held =
            [user("a.same", "1"), user("a.other", "2"), user("a.me", "2"), user("a.more", "1")];
        assert_eq!(others(&wanted, &held, Some("a.me")), ["a.other"]);
        assert_eq!(others(&wanted, &held, None), ["a.other", "a.me"]);
        assert_eq!(more(&wanted, &held, Some("a.me")), ["a.more"]);
        assert_eq!(more(&wanted[..2], &held, Some("a.me")), ["a.more"]);
    }
}
