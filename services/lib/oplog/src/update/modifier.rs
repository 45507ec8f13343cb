//! Operators with dotted paths. As in the server, the paths form a tree that is walked along the
//! document.
//!
//! MongoDB 4.4 and earlier logged `$set` and `$unset` (`$v: 1`). In a user's `applyOps` all
//! operators occur (`operators`).
//!
//! New fields are appended in the order of that tree. The server sorts siblings in the tree: by
//! bytes up to 4.4, and since 5.0 with numbers by value. A primary also logs its `$set` in the
//! order in which it applied it, so the entry shows which of the two orders its server used: if the
//! paths of `$set` are sorted with numbers by value, the server used that order.

use std::cmp::Ordering;

use super::error::UpdateError;
use super::operators::{self, Action, After, Change, Rules, fields};
use super::output::{IndexName, Output, parse_index};
use crate::raw::{Doc, Element, MAX_DEPTH, kind};

/// How many nulls the server adds at most to an array to reach an index (`kMaxPaddingAllowed`).
const MAX_PADDING: u64 = 1_500_000;

/// The name that stands for every element of an array.
pub(super) const EACH: &[u8] = b"$[]";

type NameOrder = fn(&[u8], &[u8]) -> Ordering;

/// Applies `$set` and `$unset` as the server logs them.
pub(super) fn apply(pre: Doc<'_>, o: Doc<'_>) -> Result<Vec<u8>, UpdateError> {
    let mut changes = Vec::new();
    for operator in o.elements() {
        let operator = operator?;
        let is_set = match operator.name {
            b"$v" => continue,
            b"$set" => true,
            b"$unset" => false,
            _ => return Err(UpdateError::modifier("unknown operator", operator.name)),
        };
        for field in fields(operator)?.elements() {
            let field = field?;
            let action = if is_set { Action::Set(field) } else { Action::Unset };
            changes.push(Change { path: field.name, action });
        }
    }
    let sets = changes.iter().filter(|change| matches!(change.action, Action::Set(_)));
    let is_numeric_order =
        sets.is_sorted_by(|left, right| compare_paths(left.path, right.path, by_value).is_le());
    let order: NameOrder = if is_numeric_order { by_value } else { by_bytes };
    walk(pre, o, changes, order, &Rules::LOGGED)
}

/// Applies any operators, as the server does when a user gives them in an `applyOps`.
/// `numbers_by_value` states the order of siblings: true from 5.0 on.
pub(super) fn apply_operators(
    pre: Doc<'_>,
    o: Doc<'_>,
    numbers_by_value: bool,
    rules: &Rules<'_>,
) -> Result<Vec<u8>, UpdateError> {
    let order: NameOrder = if numbers_by_value { by_value } else { by_bytes };
    walk(pre, o, operators::read(pre, o, rules)?, order, rules)
}

fn walk(
    pre: Doc<'_>,
    o: Doc<'_>,
    mut changes: Vec<Change<'_>>,
    order: NameOrder,
    rules: &Rules<'_>,
) -> Result<Vec<u8>, UpdateError> {
    for change in &changes {
        check_path(change.path, rules.is_logged())?;
    }
    changes.sort_by(|left, right| compare_paths(left.path, right.path, order));
    for pair in changes.windows(2) {
        let rest = pair[1].path.strip_prefix(pair[0].path);
        if rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'.') {
            return Err(UpdateError::modifier("path conflicts with another", pair[1].path));
        }
    }
    let capacity = pre.as_bytes().len() + o.as_bytes().len();
    let mut applier = Applier { order, rules, out: Output::with_capacity(capacity) };
    applier.document(pre, &changes, 0)?;
    Ok(applier.out.into_bytes())
}

fn check_path(path: &[u8], is_logged: bool) -> Result<(), UpdateError> {
    for (depth, name) in names(path).enumerate() {
        let reason = match name {
            [] => "path has an empty name",
            EACH if !is_logged => continue,
            b"$" | [b'$', b'[', ..] => "path has a positional operator",
            _ if depth >= MAX_DEPTH => "path is too deep",
            _ => continue,
        };
        return Err(UpdateError::modifier(reason, path));
    }
    Ok(())
}

fn names(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.split(|&byte| byte == b'.')
}

fn compare_paths(left: &[u8], right: &[u8], order: NameOrder) -> Ordering {
    let (mut left, mut right) = (names(left), names(right));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(left), Some(right)) => match order(left, right) {
                Ordering::Equal => {}
                different => return different,
            },
        }
    }
}

fn by_bytes(left: &[u8], right: &[u8]) -> Ordering {
    left.cmp(right)
}

/// The server's `cmpPathsAndArrayIndexes`: of two names that both start with a digit, and not with
/// a needless zero, the longer name is larger, whether they are numbers or not.
fn by_value(left: &[u8], right: &[u8]) -> Ordering {
    let like_number = |name: &[u8]| match name {
        [b'0', _, ..] => false,
        [first, ..] => first.is_ascii_digit(),
        [] => false,
    };
    if like_number(left) && like_number(right) {
        left.len().cmp(&right.len()).then_with(|| left.cmp(right))
    } else {
        left.cmp(right)
    }
}

/// The changes at or below one name of a document: a leaf of the tree, or the changes that go
/// deeper.
struct Group<'c, 'a> {
    name: &'a [u8],
    changes: &'c [Change<'a>],
    /// Where in each path the next name starts. For a leaf, beyond the end of the path.
    next: usize,
    is_done: bool,
}

impl<'a> Group<'_, 'a> {
    /// Returns the only change of a leaf.
    fn leaf(&self) -> Option<&Change<'a>> {
        self.changes.first().filter(|change| self.next > change.path.len())
    }

    fn creates(&self) -> bool {
        self.changes.iter().any(|change| change.action.creates())
    }
}

/// Groups sorted changes, whose paths are the same up to `start`, by the name that starts there.
fn groups<'c, 'a>(changes: &'c [Change<'a>], start: usize) -> Vec<Group<'c, 'a>> {
    let name = |change: &Change<'a>| names(&change.path[start..]).next().unwrap_or_default();
    changes
        .chunk_by(|left, right| name(left) == name(right))
        .map(|changes| {
            let name = name(&changes[0]);
            Group { name, changes, next: start + name.len() + 1, is_done: false }
        })
        .collect()
}

struct Applier<'r> {
    order: NameOrder,
    rules: &'r Rules<'r>,
    out: Output,
}

/// Depth is bounded by the paths, which [`check_path`] bounds.
impl Applier<'_> {
    fn document(
        &mut self,
        pre: Doc<'_>,
        changes: &[Change<'_>],
        start: usize,
    ) -> Result<(), UpdateError> {
        let mut groups = groups(changes, start);
        if let Some(each) = groups.iter().find(|group| group.name == EACH) {
            return Err(UpdateError::modifier("not an array", each.changes[0].path));
        }
        let at = self.out.start()?;
        for element in pre.elements() {
            let element = element?;
            let found = groups.binary_search_by(|group| (self.order)(group.name, element.name));
            // When a name occurs twice, only the first field is changed.
            match found.ok().map(|at| &mut groups[at]).filter(|group| !group.is_done) {
                None => self.out.copy(element.as_bytes())?,
                Some(group) => {
                    group.is_done = true;
                    self.change(element.name, element, group, false)?;
                }
            }
        }
        for group in groups.iter().filter(|group| !group.is_done) {
            self.create(group.name, group)?;
        }
        self.out.end(at)
    }

    fn array(
        &mut self,
        pre: Doc<'_>,
        changes: &[Change<'_>],
        start: usize,
    ) -> Result<(), UpdateError> {
        let groups = groups(changes, start);
        if let [each] = groups.as_slice()
            && each.name == EACH
        {
            return self.each(pre, each);
        }
        let groups = by_index(groups)?;
        let mut groups = groups.iter().peekable();
        let at = self.out.start()?;
        let mut index = IndexName::zero();
        for element in pre.elements() {
            let element = element?;
            match groups.next_if(|(of, _)| *of == index.index()) {
                None => self.out.renamed(index.name(), element)?,
                Some((_, group)) => self.change(index.name(), element, group, true)?,
            }
            index.advance();
        }
        for (of, group) in groups.filter(|(_, group)| group.creates()) {
            if of.saturating_sub(index.index()) > MAX_PADDING {
                return Err(UpdateError::modifier("index is too far beyond its array", group.name));
            }
            while index.index() < *of {
                self.out.null(index.name())?;
                index.advance();
            }
            self.create(index.name(), group)?;
            index.advance();
        }
        self.out.end(at)
    }

    /// Changes every element of an array.
    fn each(&mut self, pre: Doc<'_>, group: &Group<'_, '_>) -> Result<(), UpdateError> {
        let at = self.out.start()?;
        let mut index = IndexName::zero();
        for element in pre.elements() {
            self.change(index.name(), element?, group, true)?;
            index.advance();
        }
        self.out.end(at)
    }

    /// Changes a value that exists. A path through a value of another type leads nowhere and is
    /// ignored: such an entry is applied again over a later state, which later entries correct.
    fn change(
        &mut self,
        name: &[u8],
        old: Element<'_>,
        group: &Group<'_, '_>,
        in_array: bool,
    ) -> Result<(), UpdateError> {
        if let Some(leaf) = group.leaf() {
            return match leaf.action.on(old, leaf.path, self.rules)? {
                After::Same => self.out.renamed(name, old),
                After::Element(value) => self.out.renamed(name, value),
                After::Made(value) => self.out.value(name, value.kind, &value.bytes),
                After::Gone if in_array => self.out.null(name),
                After::Gone => Ok(()),
            };
        }
        match old.kind {
            kind::DOCUMENT => {
                self.out.head_of(old.kind, name)?;
                self.document(Doc::new(old.value)?, group.changes, group.next)
            }
            kind::ARRAY => {
                self.out.head_of(old.kind, name)?;
                self.array(Doc::new(old.value)?, group.changes, group.next)
            }
            _ => match groups(group.changes, group.next).iter().any(|inner| inner.name == EACH) {
                true => Err(UpdateError::modifier("not an array", group.name)),
                false => self.out.renamed(name, old),
            },
        }
    }

    /// Creates what is missing: documents all the way down, whatever the names look like. A removal
    /// creates nothing.
    fn create(&mut self, name: &[u8], group: &Group<'_, '_>) -> Result<(), UpdateError> {
        if let Some(leaf) = group.leaf() {
            return match leaf.action.on_missing(leaf.path, self.rules)? {
                After::Element(value) => self.out.renamed(name, value),
                After::Made(value) => self.out.value(name, value.kind, &value.bytes),
                After::Same | After::Gone => Ok(()),
            };
        }
        if !group.creates() {
            return Ok(());
        }
        self.out.head_of(kind::DOCUMENT, name)?;
        let at = self.out.start()?;
        for inner in groups(group.changes, group.next) {
            if inner.name == EACH {
                return Err(UpdateError::modifier("array does not exist", group.name));
            }
            self.create(inner.name, &inner)?;
        }
        self.out.end(at)
    }
}

/// Returns the groups that name an element of an array, by index. Other names lead nowhere and are
/// ignored.
fn by_index<'c, 'a>(groups: Vec<Group<'c, 'a>>) -> Result<Vec<(u64, Group<'c, 'a>)>, UpdateError> {
    let mut indexed: Vec<(u64, Group<'c, 'a>)> =
        groups.into_iter().filter_map(|group| Some((parse_index(group.name)?, group))).collect();
    indexed.sort_by_key(|(index, _)| *index);
    if let Some(pair) = indexed.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(UpdateError::modifier("two names of one array element", pair[1].1.name));
    }
    Ok(indexed)
}
