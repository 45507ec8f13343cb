//! The privileges that the user that reads the source must have. Error messages, README and tests
//! take them from here.
//!
//! No built-in role except `root` with `__system` grants all of this. For example, `backup` may not
//! read `system.views`.

/// The built-in role that the user needs.
pub const ROLE: &str = "clusterMonitor";
/// Actions on `{anyResource: true}`.
pub const ACTIONS: [&str; 3] = ["find", "listCollections", "listIndexes"];
/// The additional action on `{anyResource: true}` that reading the buckets of time-series
/// collections requires from MongoDB 8.3 on. Older servers refuse to create a role with it.
pub const RAW_DATA_ACTION: &str = "performRawDataOperations";
/// Actions on `{cluster: true}`.
pub const CLUSTER_ACTIONS: [&str; 1] = ["listDatabases"];

/// All privileges, for an error message.
pub const PRIVILEGES: &str = "the role clusterMonitor and a role with the actions find, listCollections and listIndexes \
     on {anyResource: true} (from MongoDB 8.3 on performRawDataOperations, too), and listDatabases on {cluster: true}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_and_the_readme_name_everything() {
        let readme = include_str!("../../../../README.md");
        let block = readme.split("```js").nth(1).and_then(|rest| rest.split("```").next());
        let block = block.expect("the README shows how to create the role");
        let all = [ROLE, RAW_DATA_ACTION].into_iter().chain(ACTIONS).chain(CLUSTER_ACTIONS);
        for name in all {
            assert!(PRIVILEGES.contains(name), "the message lacks {name}");
            assert!(block.contains(&format!("\"{name}\"")), "the README lacks {name}");
        }
        let quoted: Vec<_> = block.split('"').skip(1).step_by(2).collect();
        assert_eq!(quoted.len(), ACTIONS.len() + CLUSTER_ACTIONS.len() + 4, "{quoted:?}");
    }
}
