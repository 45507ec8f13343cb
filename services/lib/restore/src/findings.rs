//! What a target cannot hold. Several checks find it before anything is written, and report it in
//! one form.

use hindsight_remedy::Remedy;

use super::error::{LISTED, listed};
use super::plan::{Plan, Skipped};

/// What the target cannot hold, or holds in another form.
#[derive(Debug, Default)]
pub(super) struct Findings {
    problems: Vec<Problem>,
    /// Whether what some problem is about can be left out.
    removable: bool,
    pub(super) left_out: Vec<Skipped>,
    pub(super) warnings: Vec<String>,
}

/// One obstacle, and all namespaces that it affects.
#[derive(Debug)]
struct Problem {
    namespaces: Vec<String>,
    /// The option or index, the reason and the remedy.
    what: String,
}

/// One thing that a target cannot hold.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Obstacle {
    /// What the target cannot hold, such as `option size` or `index a_1`.
    pub(super) what: String,
    pub(super) reason: String,
    pub(super) remedy: String,
    /// True if the rest can be restored without it.
    pub(super) removable: bool,
}

impl Findings {
    /// Records what cannot be held. Returns true when all of it is left out.
    pub(super) fn tell(
        &mut self,
        namespace: &str,
        obstacles: Vec<Obstacle>,
        leave_out: bool,
    ) -> bool {
        let mut all_left_out = true;
        for Obstacle { what, reason, remedy, removable } in obstacles {
            if leave_out && removable {
                self.left_out.push(Skipped { ns: format!("{namespace} ({what})"), reason });
                continue;
            }
            all_left_out = false;
            self.removable |= removable;
            let without = if removable { "; or leave it out" } else { "" };
            let what = format!("{what}: {reason}; {remedy}{without}");
            match self.problems.iter_mut().find(|problem| problem.what == what) {
                Some(problem) => problem.namespaces.push(namespace.to_owned()),
                None => {
                    self.problems.push(Problem { namespaces: vec![namespace.to_owned()], what })
                }
            }
        }
        all_left_out
    }

    /// Returns the problems. Each names the namespaces, the obstacle, the reason and the remedy.
    pub(super) fn problems(&self) -> Vec<String> {
        let said = |problem: &Problem| {
            format!("{}, {}", listed(&problem.namespaces, LISTED), problem.what)
        };
        self.problems.iter().map(said).collect()
    }

    /// Returns what a person can do about all problems of a kind.
    pub(super) fn remedies(&self) -> Vec<Remedy> {
        self.removable.then_some(Remedy::LeaveOutUnrestorable).into_iter().collect()
    }

    /// Adds all findings to the plan.
    pub(super) fn add_to(self, plan: &mut Plan) {
        plan.remedies.extend(self.remedies());
        plan.unfit.extend(self.problems());
        plan.skipped.extend(self.left_out);
        plan.warnings.extend(self.warnings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collections_with_the_same_obstacle_are_named_together() {
        let mut findings = Findings::default();
        let obstacle = || Obstacle {
            what: "option recordPreImages".into(),
            reason: "MongoDB 7.0.28 no longer knows it".into(),
            remedy: "restore into the source's version".into(),
            removable: false,
        };
        for number in 0..23 {
            findings.tell(&format!("shop.c{number}"), vec![obstacle()], false);
        }
        let problems = findings.problems();
        assert_eq!(problems.len(), 1);
        let problem = &problems[0];
        assert!(
            problem.starts_with("shop.c0, shop.c1, ") && problem.contains("c19 and 3 more, option")
        );
    }
}
