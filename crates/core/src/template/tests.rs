use super::*;
use crate::Timestamp;

fn event(variables: &str) -> Event {
    Event {
        id: "0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21".parse().expect("a UUID"),
        name: "COMMENT_CREATED".parse().expect("a name"),
        account: "acme".parse().expect("an account"),
        time: Timestamp::EPOCH,
        accepted_at: Timestamp::EPOCH,
        deliver_at: None,
        variables: serde_json::from_str(variables).expect("an object"),
        trace: None,
    }
}

fn expand(template: &str, variables: &str) -> Result<String, InvalidExpansion> {
    let template: UrlTemplate = template.parse().unwrap_or_else(|e| panic!("{template}: {e}"));
    template.expand(&event(variables)).map(String::from)
}

fn expanded(template: &str, variables: &str) -> String {
    expand(template, variables).unwrap_or_else(|e| panic!("{template} with {variables}: {e}"))
}

fn refusal(template: &str) -> InvalidTemplate {
    template.parse::<UrlTemplate>().expect_err(template)
}

#[test]
fn tags_are_replaced_in_path_and_query() {
    assert_eq!(
        expanded(
            "https://example.com/hook/{PROJECT_ID}?asset={ASSET_ID}",
            r#"{"PROJECT_ID":178,"ASSET_ID":"a b/c"}"#
        ),
        "https://example.com/hook/178?asset=a%20b%2Fc"
    );
    assert_eq!(expanded("http://h:8080?q={X}", r#"{"X":"?#&"}"#), "http://h:8080/?q=%3F%23%26");
}

#[test]
fn each_kind_of_value_expands() {
    let variables = r#"{"t":true,"f":false,"nil":null,"n":1.10,"big":12345678901234567890,"u":"caf\u00e9",
        "list":["a",null,2,{"x": 1}],"map":{"b":1,"a":null,"c":[1, 2]},"none":[],"nulls":[null],"half":"\ud83d"}"#;
    for (tag, expected) in [
        ("{t}", "True"),
        ("{f}", "False"),
        ("{nil}", ""),
        ("{absent}", ""),
        ("{n}", "1.10"),
        ("{big}", "12345678901234567890"),
        ("{u}", "caf%C3%A9"),
        ("{list}", "a,2,%7B%22x%22%3A%201%7D"),
        ("{list*}", "a,2,%7B%22x%22%3A%201%7D"),
        ("{map}", "b,1,c,%5B1%2C%202%5D"),
        ("{none}{nulls}", ""),
        ("{half}", "%5Cud83d"),
    ] {
        let url = expanded(&format!("http://h/_{tag}"), variables);
        assert_eq!(url, format!("http://h/_{expected}"), "{tag}");
    }
    assert_eq!(
        expanded("http://h/a{?map*,nil,t}", variables),
        "http://h/a?b=1&c=%5B1%2C%202%5D&t=True"
    );
    assert_eq!(expanded("http://h/a{?list*}", r#"{"list":[1,""]}"#), "http://h/a?list=1&list=");
}

#[test]
fn event_guid_and_event_id_are_the_events_own() {
    assert_eq!(
        expanded("http://h/{EVENT_GUID}/{EVENT_ID}", r#"{"EVENT_GUID":"x","EVENT_ID":"y"}"#),
        "http://h/0190b8a4-7f3c-7c1e-9d52-3f6a1e0c8b21/COMMENT_CREATED"
    );
}

#[test]
fn url_without_tags_is_itself() {
    assert_eq!(expanded("https://example.com", "{}"), "https://example.com/");
    assert_eq!(expanded("HTTPS://Example.COM:443/a/../b?x=1", "{}"), "https://example.com/b?x=1");
    assert_eq!(
        expanded("https://münchen.example/ü", "{}"),
        "https://xn--mnchen-3ya.example/%C3%BC"
    );
    assert_eq!(expanded("http://[2606:4700::1]:8080/", "{}"), "http://[2606:4700::1]:8080/");
}

#[test]
fn place_is_fixed_if_no_tag_stands_in_the_path() {
    let place = |text: &str| {
        let template: UrlTemplate = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
        template.fixed_place().map(String::from)
    };
    for (text, fixed) in [
        ("http://h:8080/system.ashx", "http://h:8080/system.ashx"),
        ("http://h:8080/system.ashx?f=lp&id={X}", "http://h:8080/system.ashx"),
        ("http://h/system.ashx{?X}", "http://h/system.ashx"),
        ("http://h/a/../system.ashx?{X}", "http://h/system.ashx"),
        ("http://h?{X}", "http://h/"),
    ] {
        assert_eq!(place(text).as_deref(), Some(fixed), "{text}");
    }
    for text in ["http://h/system.ashx{X}", "http://h/{X}", "http://h/a{?X}/b", "http://h/a{;X}"] {
        assert_eq!(place(text), None, "{text}");
    }
}

#[test]
fn fragment_is_never_sent() {
    assert_eq!(expanded("http://h/a#b", "{}"), "http://h/a");
    assert_eq!(expanded("http://h/a#{X}", r#"{"X":".."}"#), "http://h/a");
    assert_eq!(expanded("http://h/a{#X}", r#"{"X":"b/../c"}"#), "http://h/a");
}

#[test]
fn template_shows_as_it_was_given() {
    let text = "HTTP://Example.com/{X}#f";
    let template: UrlTemplate = text.parse().expect("valid");
    assert_eq!(template.as_str(), text);
    assert_eq!(template.to_string(), text);
    assert_eq!(template.origin().as_str(), "http://example.com/");
}

#[test]
fn tag_in_scheme_host_or_port_is_refused() {
    for template in [
        "{SCHEME}://example.com/",
        "http{S}://example.com/",
        "{+URL}",
        "http://{HOST}/",
        "http://example.{TLD}/",
        "http://example.com:{PORT}/",
        "http://example.com{X}/",
        "http://example.com{/path}",
        "http://example.com{?q}",
        "http://{user}@example.com/",
        "http://example.com{.x}/{y}",
    ] {
        assert_eq!(refusal(template), InvalidTemplate::TagInAuthority, "{template}");
    }
}

#[test]
fn bad_urls_are_refused_each_with_its_reason() {
    for (template, reason) in [
        ("", InvalidTemplate::Scheme),
        ("example.com/hook", InvalidTemplate::Scheme),
        ("ftp://example.com/", InvalidTemplate::Scheme),
        ("http:example.com", InvalidTemplate::Scheme),
        ("http://", InvalidTemplate::NoHost),
        ("http:///path", InvalidTemplate::NoHost),
        ("http://:80/", InvalidTemplate::NoHost),
        ("http://user:pass@example.com/", InvalidTemplate::Credentials),
        ("http://user@example.com/{X}", InvalidTemplate::Credentials),
        ("http://a b/", InvalidTemplate::Character { at: 8 }),
        ("http://h\\@evil/", InvalidTemplate::Character { at: 8 }),
        ("http://h/\n", InvalidTemplate::Character { at: 9 }),
        (" http://h/", InvalidTemplate::Character { at: 0 }),
        ("http://h/\u{a0}", InvalidTemplate::Character { at: 9 }),
        ("http://h/{X}/../b", InvalidTemplate::DotSegment),
        ("http://h/{X}/%2E./b", InvalidTemplate::DotSegment),
        ("http://h:99999/", InvalidTemplate::Url(url::ParseError::InvalidPort)),
        ("http://h:99999/{X}", InvalidTemplate::Url(url::ParseError::InvalidPort)),
    ] {
        assert_eq!(refusal(template), reason, "{template}");
    }
    assert!(matches!(refusal("http://h/{X"), InvalidTemplate::Syntax { at: 9, .. }));
    assert!(matches!(refusal("http://h/%zz"), InvalidTemplate::Syntax { at: 9, .. }));
    let long = |n: usize| format!("http://h/{}", "a".repeat(n - 9));
    assert!(long(4_096).parse::<UrlTemplate>().is_ok());
    assert_eq!(refusal(&long(4_097)), InvalidTemplate::TooLong);
}

#[test]
fn event_can_not_climb_out_of_its_path_segment() {
    for (template, value) in [
        ("http://h/a/{X}/b", ".."),
        ("http://h/a/{X}", "."),
        ("http://h/a/.{X}/b", "."),
        ("http://h/a/.{X}/b", ""),
        ("http://h/a/%2e{X}/b", "."),
        ("http://h/a/{X}{Y}/b", ".."),
        ("http://h/a{/X}", ".."),
        ("http://h/a/{+X}", "b/../../c"),
        ("http://h/a/{+X}", "%2e%2E/c"),
        ("http://h/a/{+X}", "..?x"),
        ("http://h/a/b/../{X}", ".."),
    ] {
        let variables = format!(r#"{{"X":"{value}"}}"#);
        let refused = Err(InvalidExpansion::DotSegment);
        assert_eq!(expand(template, &variables), refused, "{template} {value}");
    }
}

#[test]
fn dots_that_climb_nowhere_are_sent() {
    for (template, value, url) in [
        ("http://h/a/{X}", "...", "http://h/a/..."),
        ("http://h/a/v{X}", "..", "http://h/a/v.."),
        ("http://h/a/{X}", "../b", "http://h/a/..%2Fb"),
        ("http://h/a?x={X}", "..", "http://h/a?x=.."),
        ("http://h/a?x=/{X}/b", "..", "http://h/a?x=/../b"),
        ("http://h/a/{Y}?x=/../b", "..", "http://h/a/?x=/../b"),
        ("http://h/a{?X}", "/../", "http://h/a?X=%2F..%2F"),
        ("http://h/a/b/../{X}", "c", "http://h/a/c"),
        ("http://h/a{.X}", "x/..", "http://h/a.x%2F.."),
    ] {
        assert_eq!(expanded(template, &format!(r#"{{"X":"{value}"}}"#)), url, "{template}");
    }
}

#[test]
fn event_can_not_choose_the_host() {
    for (template, value, url) in [
        ("http://h/{+X}", "//evil.example/", "http://h///evil.example/"),
        ("http://h/{+X}", "@evil.example", "http://h/@evil.example"),
        ("http://h?{+X}", "@evil.example/", "http://h/?@evil.example/"),
        ("http://h/{+X}", "\\\\evil.example", "http://h/%5Cevil.example"),
        ("http://h/{X}", "\\n\\r\\t", "http://h/%0A%0D%09"),
    ] {
        assert_eq!(expanded(template, &format!(r#"{{"X":"{value}"}}"#)), url, "{template}");
    }
}

#[test]
fn expansion_that_is_too_long_is_refused() {
    let variables = |n: usize| format!(r#"{{"X":"{}"}}"#, "a".repeat(n));
    assert!(expand("http://h/{X}", &variables(8_183)).is_ok());
    assert_eq!(expand("http://h/{X}", &variables(8_184)), Err(InvalidExpansion::TooLong));
    let literal = format!("http://h/{}{{X}}", "ü".repeat(2_000));
    assert_eq!(expand(&literal, "{}"), Err(InvalidExpansion::TooLong), "once percent-encoded");
}

#[test]
fn prefix_of_a_list_names_the_variable() {
    let error = expand("http://h/{X:3}", r#"{"X":[1]}"#).expect_err("a list has no prefix");
    assert!(error.to_string().contains('X'), "{error}");
}
