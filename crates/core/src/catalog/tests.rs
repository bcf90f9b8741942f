use super::*;

fn kind(name: &str) -> &'static EventType {
    let named = |kind: &&EventType| kind.name.as_str() == name;
    built_in().iter().find(named).expect("it is built in")
}

fn said(kind: &EventType, variables: &str) -> Vec<String> {
    let variables = serde_json::from_str(variables).expect("an object");
    check(kind, &variables).iter().map(ToString::to_string).collect()
}

fn parsed(json: &str) -> EventType {
    serde_json::from_str(json).expect("a type")
}

/// The limits of a built-in type's strings, in the order of its variables.
fn limits(name: &str) -> Vec<(&'static str, u32)> {
    let limit = |variable: &'static Variable| Some((&*variable.name, variable.max_length?.get()));
    kind(name).variables.iter().filter_map(limit).collect()
}

#[test]
fn built_in_types_are_sound_and_each_stands_there_once() {
    let types = built_in();
    assert_eq!(types.len(), 25, "20 of Conga Sign, 1 of ConceptShare, 4 of Ringback itself");
    for kind in types {
        assert_eq!(kind.faults(), [], "{}", kind.name);
        assert!(!kind.description.is_empty() && !kind.variables.is_empty(), "{}", kind.name);
        assert_eq!(check(kind, &kind.sample()), [], "{}", kind.name);
    }
    assert_eq!(Catalog::with([]).iter().count(), types.len());
}

#[test]
fn built_in_types_have_the_fields_and_limits_of_their_documents() {
    let names = built_in().iter().map(|kind| kind.name.as_str());
    let names: Vec<_> = names.filter(|name| !name.starts_with("ringback.")).collect();
    let congas = "DOCUMENT_SIGNED DOCUMENT_VIEWED EMAIL_BOUNCE KBA_FAILURE PACKAGE_ACTIVATE PACKAGE_ARCHIVE \
        PACKAGE_ATTACHMENT PACKAGE_COMPLETE PACKAGE_CREATE PACKAGE_DEACTIVATE PACKAGE_DECLINE PACKAGE_DELETE \
        PACKAGE_EXPIRE PACKAGE_READY_FOR_COMPLETE PACKAGE_RESTORE PACKAGE_TRASH ROLE_REASSIGN SIGNER_COMPLETE \
        SIGNER_LOCKED TEMPLATE_CREATE COMMENT_CREATED";
    assert_eq!(names, congas.split_whitespace().collect::<Vec<_>>());
    let always = [("sessionUser", 255), ("packageId", 255)];
    for (name, more) in [
        ("DOCUMENT_SIGNED", Some(("documentId", 256))),
        ("DOCUMENT_VIEWED", Some(("documentId", 256))),
        ("PACKAGE_ATTACHMENT", Some(("message", 255))),
        ("PACKAGE_DECLINE", Some(("message", 4_000))),
        ("ROLE_REASSIGN", Some(("newRoleId", 255))),
        ("EMAIL_BOUNCE", None),
        ("KBA_FAILURE", None),
    ] {
        let expected: Vec<_> = always.into_iter().chain(more).collect();
        assert_eq!(limits(name), expected, "{name}");
    }
    let names: Vec<_> =
        kind("COMMENT_CREATED").variables.iter().map(|variable| &*variable.name).collect();
    let expected = "COMMENT_ID ASSET_ID PROJECT_ID COMMENTOR_ID COMMENTOR_NAME COMMENTOR_USERNAME COMMENT DRAFT";
    assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
}

#[test]
fn limit_is_counted_in_characters_and_told_with_the_length() {
    let signed = |user: &str| {
        let json = format!(r#"{{"sessionUser":{user},"packageId":"p","documentId":"d"}}"#);
        said(kind("DOCUMENT_SIGNED"), &json)
    };
    let quoted = |text: &str, times| format!("\"{}\"", text.repeat(times));
    for fits in [quoted("x", 255), quoted("ü", 255), quoted("😀", 255), quoted("\\u00fc", 255)] {
        assert_eq!(signed(&fits), [""; 0], "{fits:.20}");
    }
    for long in [quoted("x", 256), quoted("😀", 256), quoted("\\ud83d\\ude00", 256)] {
        let expected = "sessionUser has 256 characters, and 255 is the most";
        assert_eq!(signed(&long), [expected], "{long:.20}");
    }
}

#[test]
fn all_that_is_wrong_is_told_and_what_the_type_does_not_know_is_taken() {
    let decline = format!(
        r#"{{"packageId":7,"message":"{}","createdDate":"soon","OTHER":[1]}}"#,
        "x".repeat(4_001)
    );
    assert_eq!(
        said(kind("PACKAGE_DECLINE"), &decline),
        [
            "sessionUser is required",
            "packageId is a string, got a number",
            "message has 4001 characters, and 4000 is the most",
            "createdDate is an RFC 3339 time such as 2026-01-02T03:04:05.678Z, got a string",
        ]
    );
    let nulls = r#"{"sessionUser":"u","packageId":null,"message":null,"createdDate":null}"#;
    assert_eq!(said(kind("PACKAGE_DECLINE"), nulls), ["packageId is required"]);
    assert_eq!(said(kind("COMMENT_CREATED"), r#"{"COMMENT_ID":"c-178"}"#), [""; 0]);
}

#[test]
fn each_type_of_variable_takes_its_values_and_no_others() {
    let values = [
        ("string", r#""""#),
        ("integer", "-7"),
        ("integer", "1.0"),
        ("integer", "12345678901234567890"),
        ("number", "1.10"),
        ("number", "1e3"),
        ("boolean", "false"),
        ("timestamp", r#""2026-01-02T03:04:05Z""#),
        ("object", r#"{"a":1}"#),
        ("array", "[]"),
    ];
    let takes = |kind: &str, value: &str| {
        let kind =
            parsed(&format!(r#"{{"name":"T","variables":[{{"name":"v","type":"{kind}"}}]}}"#));
        said(&kind, &format!(r#"{{"v":{value}}}"#)).is_empty()
    };
    for kind in ["string", "integer", "number", "boolean", "timestamp", "object", "array", "any"] {
        for (of, value) in values {
            let expected = kind == of
                || kind == "any"
                || (kind, of) == ("number", "integer")
                || (kind, of) == ("string", "timestamp");
            assert_eq!(takes(kind, value), expected, "{kind} {value}");
        }
        assert!(takes(kind, "null"), "{kind}");
        let given =
            parsed(&format!(r#"{{"name":"T","variables":[{{"name":"v","type":"{kind}"}}]}}"#));
        assert_eq!(check(&given, &given.sample()), [], "{kind}");
    }
}

#[test]
fn type_that_breaks_a_rule_is_told_where() {
    let faults = |json: String| {
        let faults = parsed(&json).faults();
        faults.into_iter().map(|fault| fault.pointer).collect::<Vec<_>>()
    };
    let variable = |json: &str| faults(format!(r#"{{"name":"T","variables":[{{{json}}}]}}"#));
    let long = |chars| "x".repeat(chars);
    assert_eq!(
        faults(format!(r#"{{"name":"T","description":"{}"}}"#, long(4_001))),
        ["/description"]
    );
    for (json, pointer) in [
        (r#""name":"""#.to_owned(), "name"),
        (r#""name":"a\nb""#.to_owned(), "name"),
        (r#""name":"v","description":"a\u0000""#.to_owned(), "description"),
        (format!(r#""name":"{}""#, long(257)), "name"),
        (format!(r#""name":"v","description":"{}""#, long(1_001)), "description"),
        (r#""name":"v","type":"integer","max_length":3"#.to_owned(), "max_length"),
        (r#""name":"v","type":"string","max_length":1000001"#.to_owned(), "max_length"),
        (r#""name":"v","type":"integer","example":"one""#.to_owned(), "example"),
        (r#""name":"v","type":"string","max_length":2,"example":"xyz""#.to_owned(), "example"),
        (format!(r#""name":"v","example":"{}""#, long(4_096)), "example"),
    ] {
        assert_eq!(variable(&json), [format!("/variables/0/{pointer}")], "{json:.60}");
    }
    let twice = r#"{"name":"T","variables":[{"name":"v"},{"name":"w"},{"name":"v"}]}"#.to_owned();
    assert_eq!(faults(twice), ["/variables/2/name"]);
    let many: Vec<_> = (0..=1_000).map(|n| format!(r#"{{"name":"v{n}"}}"#)).collect();
    assert_eq!(
        faults(format!(r#"{{"name":"T","variables":[{}]}}"#, many.join(","))),
        ["/variables"]
    );
}

#[test]
fn own_type_stands_in_for_the_built_in_one() {
    let catalog =
        Catalog::with([parsed(r#"{"name":"ORDER_PAID"}"#), parsed(r#"{"name":"EMAIL_BOUNCE"}"#)]);
    let origin = |name: &str| {
        let name = name.parse().expect("a name");
        catalog.get(&name).map(|(kind, origin)| (kind.variables.len(), origin))
    };
    assert_eq!(origin("ORDER_PAID"), Some((0, Origin::Own)));
    assert_eq!(origin("EMAIL_BOUNCE"), Some((0, Origin::ReplacesBuiltIn)));
    assert_eq!(origin("KBA_FAILURE"), Some((3, Origin::BuiltIn)));
    assert_eq!(origin("NOTHING"), None);
}
