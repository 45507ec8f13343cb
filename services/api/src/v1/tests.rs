//! Checks the description of the API, which clients rely on.

use std::collections::BTreeSet;

use hindsight_remedy::Remedy;

use super::described;
use super::description::description_json;

#[test]
fn the_description_is_valid_and_names_every_answer() {
    let (_, description) = described();
    let json = description_json(&description);
    assert_eq!(json["openapi"], "3.1.0");
    let paths = json["paths"].as_object().expect("there are paths");
    assert!(paths.len() >= 17, "{} paths", paths.len());
    let mut ids = BTreeSet::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("methods") {
            let about = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{about} has no summary");
            assert!(ids.insert(operation["operationId"].as_str()), "{about}: its id is taken");
            assert!(operation["responses"]["4XX"].is_object(), "{about} describes no failure");
            for (status, response) in operation["responses"].as_object().expect("responses") {
                assert!(response["description"].is_string(), "{about} does not describe {status}");
            }
            let names = path.matches('{').count();
            let described = operation["parameters"]
                .as_array()
                .map_or(0, |all| all.iter().filter(|parameter| parameter["in"] == "path").count());
            assert_eq!(names, described, "{about}: parameters of the path");
        }
    }
}

#[test]
fn every_schema_that_is_referred_to_is_there() {
    let (_, description) = described();
    let json = serde_json::to_value(&description).expect("it is plain data");
    let schemas = json["components"]["schemas"].as_object().expect("there are schemas");
    let text = json.to_string();
    let references = text.split("\"#/components/schemas/").skip(1);
    let mut seen = 0;
    for reference in references {
        let name = reference.split('"').next().unwrap_or_default();
        assert!(schemas.contains_key(name), "{name} is referred to and not described");
        seen += 1;
    }
    assert!(seen > 20, "{seen} references");
}

#[test]
fn a_remedy_that_is_a_field_of_a_request_has_its_name() {
    let (_, description) = described();
    let json = description_json(&description);
    let restore = &json["components"]["schemas"]["Restore"]["properties"];
    for remedy in [Remedy::AllowNonEmpty, Remedy::LeaveOutUnrestorable] {
        let name = serde_json::to_value(remedy).expect("a name");
        let name = name.as_str().expect("it has no values");
        assert!(restore[name].is_object(), "{name}: {restore:#}");
    }
    let wait = json["paths"]["/v1/wait"]["get"]["parameters"].as_array().expect("parameters");
    let time = serde_json::to_value(Remedy::Time).expect("a name");
    assert!(wait.iter().any(|parameter| parameter["name"] == time), "{wait:?}");
}

#[test]
fn numbers_are_as_large_as_they_may_be() {
    let (_, description) = described();
    let json = description_json(&description);
    let position = &json["components"]["schemas"]["Position"]["properties"];
    assert_eq!(position["t"]["format"], "uint32", "{position}");
    assert!(!json.to_string().contains("u-int"));
}
