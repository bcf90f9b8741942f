//! What goes out in each format, byte for byte. The files in `golden` are the examples of the two systems' documents
//! whose receivers Ringback serves.

use ringback_core::callback::Format;
use ringback_core::render::{Body, body};
use ringback_core::{Event, Timestamp};

const EVENT_TIME: &str = "2026-01-02T03:04:05.678Z";

fn event(name: &str, variables: &str) -> Event {
    Event {
        id: "123456ab-12ab-9876-1234-12345678abcd".parse().expect("a UUID"),
        name: name.parse().expect("a name"),
        account: "acme".parse().expect("an account"),
        time: EVENT_TIME.parse().expect("a time"),
        accepted_at: Timestamp::from_ms(1_767_323_045_900),
        deliver_at: None,
        variables: serde_json::from_str(variables).expect("an object"),
        trace: None,
    }
}

fn conga(name: &str, variables: &str) -> String {
    let Body { content_type, text } = body(Format::CongaSign, &event(name, variables));
    assert_eq!(content_type, "application/json");
    text
}

macro_rules! golden {
    ($file:literal) => {
        include_str!(concat!("golden/", $file)).trim_end_matches('\n')
    };
}

#[test]
fn notifications_of_conga_sign_are_those_of_its_documentation() {
    let sender = |package: &str, at: &str| {
        format!(r#"{{"sessionUser":"18EZDL44xgsX","packageId":"{package}","createdDate":"{at}"}}"#)
    };
    let signer = |user: &str, rest: &str| {
        format!(
            r#"{{{rest},"packageId":"5n4obeO8jYoPp126Cm-Y3fxdfbo=","extra":1,"sessionUser":"{user}"}}"#
        )
    };
    let first = "44aafb7c-97b9-40e1-bb59-eb76c7d2a484";
    for (name, variables, expected) in [
        (
            "PACKAGE_CREATE",
            sender("wVdZEaPD2igwUnFGJBjDD0dpO7k=", "2018-06-30T20:04:55.384Z"),
            golden!("conga_package_created.json"),
        ),
        (
            "PACKAGE_ACTIVATE",
            sender("5n4obeO8jYoPp126Cm-Y3fxdfbo=", "2018-06-30T20:09:50.425Z"),
            golden!("conga_package_sent.json"),
        ),
        (
            "DOCUMENT_SIGNED",
            signer(
                first,
                r#""documentId":"default-consent","createdDate":"2018-06-30T20:10:51.002Z""#,
            ),
            golden!("conga_consent_accepted.json"),
        ),
        (
            "DOCUMENT_SIGNED",
            signer(
                first,
                r#""createdDate":"2018-06-30T22:12:12.256+02:00",
                   "documentId":"7caf46cdd75f7a411bf8c22793b84fa79d8d180becc40691""#,
            ),
            golden!("conga_document_completed.json"),
        ),
        (
            "SIGNER_COMPLETE",
            signer(first, r#""message":null,"createdDate":"2018-06-30T20:12:12.272Z""#),
            golden!("conga_signer_completed.json"),
        ),
        (
            "PACKAGE_COMPLETE",
            signer(
                "e00696ec-d6f5-4feb-89c5-a5ce002a6c66",
                r#""createdDate":"2018-06-30T20:15:01.038Z""#,
            ),
            golden!("conga_package_completed.json"),
        ),
        (
            "ROLE_REASSIGN",
            signer(first, r#""newRoleId":"r-2","createdDate":"2017-05-02T20:17:58.408Z""#),
            golden!("conga_role_reassigned.json"),
        ),
    ] {
        assert_eq!(conga(name, &variables), expected);
    }
}

#[test]
fn notification_takes_its_date_from_the_event_where_its_variables_say_none() {
    for variables in ["{}", r#"{"createdDate":null}"#, r#"{"createdDate":"yesterday"}"#] {
        let text = conga("PACKAGE_TRASH", variables);
        assert!(text.ends_with(&format!(r#""createdDate":"{EVENT_TIME}"}}"#)), "{text}");
    }
}

#[test]
fn notification_keeps_its_class_and_has_a_new_role_only_where_one_was_given_away() {
    let variables = r#"{"@class":"evil","name":"OTHER","newRoleId":"r-2"}"#;
    let text = conga("PACKAGE_TRASH", variables);
    let begin = r#"{"@class":"com.silanis.esl.packages.event.ESLProcessEvent","name":"PACKAGE_TRASH","sessionUser":null,"#;
    assert!(text.starts_with(begin) && !text.contains("newRoleId"), "{text}");
    assert!(conga("ROLE_REASSIGN", "{}").contains(r#""documentId":null,"newRoleId":null,"#));
}

#[test]
fn form_is_that_of_concept_share() {
    let variables = r#"{"COMMENT_ID":178,"ASSET_ID":13,"PROJECT_ID":6,"COMMENTOR_ID":3,
        "COMMENTOR_NAME":"Testy McTestface","COMMENTOR_USERNAME":"testy@example.com",
        "COMMENT":"Needs more cowbell","DRAFT":false}"#;
    let Body { content_type, text } = body(Format::Form, &event("COMMENT_CREATED", variables));
    assert_eq!(content_type, "application/x-www-form-urlencoded");
    assert_eq!(text, golden!("concept_share_comment_created.form"));
}

#[test]
fn json_is_the_event() {
    let variables = r#"{"COMMENT_ID":178,"PRICE":1.10,"TAGS":[ "a" ]}"#;
    let Body { content_type, text } = body(Format::Json, &event("COMMENT_CREATED", variables));
    assert_eq!(content_type, "application/json");
    assert_eq!(text, golden!("comment_created.json"));
}

#[test]
fn cloud_event_has_every_attribute_and_the_variables_to_the_letter() {
    let variables = r#"{"COMMENT_ID":178,"PRICE":1.10,"TAGS":[ "a" ]}"#;
    let Body { content_type, text } =
        body(Format::CloudEvents, &event("COMMENT_CREATED", variables));
    assert_eq!(content_type, "application/cloudevents+json");
    assert_eq!(text, golden!("comment_created.cloudevent.json"));
}
