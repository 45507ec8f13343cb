//! Finds actions that roles grant and a target does not know. Roles outlive actions: a server loads
//! a role of an older server that grants `diagLogging`, and ignores the action. The same server
//! refuses a new role that grants it, and with it every other role of the same call.

use std::collections::{BTreeMap, BTreeSet};

use hindsight_oplog::raw::{Doc, DocWriter, Element, Malformed, kind};

use super::id_of;

/// Returns the actions that roles grant, each with the ids of the roles that grant it.
pub(in super::super) fn actions_of(
    roles: &[Vec<u8>],
) -> Result<BTreeMap<String, BTreeSet<String>>, Malformed> {
    let mut found = BTreeMap::<String, BTreeSet<String>>::new();
    for role in roles {
        let id = id_of(role).unwrap_or("(unreadable)");
        for privilege in privileges(Doc::new(role)?)? {
            let actions = privilege.get(b"actions")?.and_then(Element::as_array);
            for action in actions.unwrap_or(Doc::EMPTY).elements() {
                if let Some(action) = action?.as_str() {
                    found.entry(action.to_owned()).or_default().insert(id.to_owned());
                }
            }
        }
    }
    Ok(found)
}

fn privileges(role: Doc<'_>) -> Result<Vec<Doc<'_>>, Malformed> {
    let privileges = role.get(b"privileges")?.and_then(Element::as_array).unwrap_or(Doc::EMPTY);
    let documents = privileges.elements().map(|element| Ok(element?.as_doc()));
    Ok(documents.collect::<Result<Vec<_>, Malformed>>()?.into_iter().flatten().collect())
}

/// Returns the role without these actions, and without privileges that grant nothing else.
pub(in super::super) fn without(
    role: &[u8],
    unknown: &BTreeSet<String>,
) -> Result<Vec<u8>, Malformed> {
    let doc = Doc::new(role)?;
    let mut fitted = DocWriter::with_capacity(role.len());
    for element in doc.elements() {
        let element = element?;
        if element.name != b"privileges" || element.as_array().is_none() {
            fitted.element(element);
            continue;
        }
        fitted.open(kind::ARRAY, element.name);
        let mut number = 0_usize;
        for privilege in privileges(doc)? {
            if let Some(privilege) = privilege_without(privilege, unknown)? {
                fitted.value(kind::DOCUMENT, number.to_string().as_bytes(), &privilege);
                number += 1;
            }
        }
        fitted.close();
    }
    Ok(fitted.finish())
}

fn privilege_without(
    privilege: Doc<'_>,
    unknown: &BTreeSet<String>,
) -> Result<Option<Vec<u8>>, Malformed> {
    let is_known = |action: &Element<'_>| action.as_str().is_none_or(|it| !unknown.contains(it));
    let listed = privilege.get(b"actions")?.and_then(Element::as_array).unwrap_or(Doc::EMPTY);
    let listed = listed.elements().collect::<Result<Vec<_>, _>>()?;
    let known: Vec<&Element<'_>> = listed.iter().filter(|action| is_known(action)).collect();
    if known.is_empty() && !listed.is_empty() {
        return Ok(None);
    }
    let mut fitted = DocWriter::with_capacity(privilege.as_bytes().len());
    for element in privilege.elements() {
        let element = element?;
        if element.name != b"actions" {
            fitted.element(element);
            continue;
        }
        fitted.open(kind::ARRAY, element.name);
        for (number, action) in known.iter().enumerate() {
            fitted.value(action.kind, number.to_string().as_bytes(), action.value);
        }
        fitted.close();
    }
    Ok(Some(fitted.finish()))
}

#[cfg(test)]
mod tests {
    use bson::{RawDocumentBuf, rawdoc};

    use super::*;

    fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
        names.map(str::to_owned).into()
    }

    fn role(privileges: bson::RawArrayBuf) -> RawDocumentBuf {
        rawdoc! { "_id": "admin.ops", "role": "ops", "privileges": privileges, "roles": [] }
    }

    fn privilege<const N: usize>(db: &str, actions: [&str; N]) -> RawDocumentBuf {
        let actions: bson::RawArrayBuf = actions.into_iter().collect();
        rawdoc! { "resource": { "db": db, "collection": "" }, "actions": actions }
    }

    #[test]
    fn actions_are_collected_and_taken_out() {
        let privileges = |with: bool| {
            let mut all = bson::RawArrayBuf::new();
            if with {
                all.push(privilege("", ["diagLogging"]));
                all.push(privilege("shop", ["find", "diagLogging", "insert"]));
            } else {
                all.push(privilege("shop", ["find", "insert"]));
            }
            all.push(privilege("empty", []));
            all
        };
        let before = role(privileges(true)).into_bytes();
        let found = actions_of(std::slice::from_ref(&before)).expect("well formed");
        assert_eq!(found.keys().collect::<Vec<_>>(), ["diagLogging", "find", "insert"]);
        assert_eq!(found["diagLogging"], set(["admin.ops"]));
        let after = without(&before, &set(["diagLogging"])).expect("well formed");
        assert_eq!(after, role(privileges(false)).into_bytes());
        assert_eq!(without(&before, &set(["other"])).expect("well formed"), before);
    }
}
