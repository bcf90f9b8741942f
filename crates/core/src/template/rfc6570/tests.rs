use super::*;

/// The variables of section 3.2 of the RFC.
fn rfc_value(name: &str) -> Value<'static> {
    let text = |text| Value::Text(Cow::Borrowed(text));
    let list =
        |items: &[&'static str]| Value::List(items.iter().map(|i| Cow::Borrowed(*i)).collect());
    match name {
        "count" => list(&["one", "two", "three"]),
        "dom" => list(&["example", "com"]),
        "dub" => text("me/too"),
        "hello" => text("Hello World!"),
        "half" => text("50%"),
        "var" => text("value"),
        "who" => text("fred"),
        "base" => text("http://example.com/home/"),
        "path" => text("/foo/bar"),
        "list" => list(&["red", "green", "blue"]),
        "keys" => Value::Map(vec![
            ("semi".to_owned(), ";".into()),
            ("dot".to_owned(), ".".into()),
            ("comma".to_owned(), ",".into()),
        ]),
        "v" => text("6"),
        "x" => text("1024"),
        "y" => text("768"),
        "empty" => text(""),
        "empty_keys" => Value::Map(Vec::new()),
        _ => Value::Undefined,
    }
}

fn expand_text(template: &str, lookup: impl Fn(&str) -> Value<'static>) -> String {
    let template = Template::parse(template).unwrap_or_else(|e| panic!("{template}: {e:?}"));
    template.expand(10_000, lookup).expect("expands")
}

/// The value of the variable `x`.
fn expand_x(template: &str, x: &'static str) -> String {
    expand_text(template, |name| {
        assert_eq!(name, "x");
        Value::Text(x.into())
    })
}

/// Sections 3.2.1 to 3.2.9, and those of section 1.2 that are not among them.
const RFC_EXAMPLES: [(&str, &str); 124] = [
    // 1.2, levels 1 to 4.
    ("{+path}/here", "/foo/bar/here"),
    ("here?ref={+path}", "here?ref=/foo/bar"),
    ("X{#var}", "X#value"),
    ("X{#hello}", "X#Hello%20World!"),
    ("map?{x,y}", "map?1024,768"),
    ("{x,hello,y}", "1024,Hello%20World%21,768"),
    ("{+x,hello,y}", "1024,Hello%20World!,768"),
    ("{+path,x}/here", "/foo/bar,1024/here"),
    ("{#x,hello,y}", "#1024,Hello%20World!,768"),
    ("{#path,x}/here", "#/foo/bar,1024/here"),
    ("X{.var}", "X.value"),
    ("X{.x,y}", "X.1024.768"),
    ("{+path:6}/here", "/foo/b/here"),
    ("{#path:6}/here", "#/foo/b/here"),
    // 3.2.1
    ("{count}", "one,two,three"),
    ("{count*}", "one,two,three"),
    ("{/count}", "/one,two,three"),
    ("{/count*}", "/one/two/three"),
    ("{;count}", ";count=one,two,three"),
    ("{;count*}", ";count=one;count=two;count=three"),
    ("{?count}", "?count=one,two,three"),
    ("{?count*}", "?count=one&count=two&count=three"),
    ("{&count*}", "&count=one&count=two&count=three"),
    // 3.2.2
    ("{var}", "value"),
    ("{hello}", "Hello%20World%21"),
    ("{half}", "50%25"),
    ("O{empty}X", "OX"),
    ("O{undef}X", "OX"),
    ("{x,y}", "1024,768"),
    ("?{x,empty}", "?1024,"),
    ("?{x,undef}", "?1024"),
    ("?{undef,y}", "?768"),
    ("{var:3}", "val"),
    ("{var:30}", "value"),
    ("{list}", "red,green,blue"),
    ("{list*}", "red,green,blue"),
    ("{keys}", "semi,%3B,dot,.,comma,%2C"),
    ("{keys*}", "semi=%3B,dot=.,comma=%2C"),
    // 3.2.3
    ("{+var}", "value"),
    ("{+hello}", "Hello%20World!"),
    ("{+half}", "50%25"),
    ("{base}index", "http%3A%2F%2Fexample.com%2Fhome%2Findex"),
    ("{+base}index", "http://example.com/home/index"),
    ("O{+empty}X", "OX"),
    ("O{+undef}X", "OX"),
    ("up{+path}{var}/here", "up/foo/barvalue/here"),
    ("{+path:6}here", "/foo/bhere"),
    ("{+list}", "red,green,blue"),
    ("{+list*}", "red,green,blue"),
    ("{+keys}", "semi,;,dot,.,comma,,"),
    ("{+keys*}", "semi=;,dot=.,comma=,"),
    // 3.2.4
    ("{#var}", "#value"),
    ("{#hello}", "#Hello%20World!"),
    ("{#half}", "#50%25"),
    ("foo{#empty}", "foo#"),
    ("foo{#undef}", "foo"),
    ("{#x,hello,y}", "#1024,Hello%20World!,768"),
    ("{#path,x}/here", "#/foo/bar,1024/here"),
    ("{#path:6}here", "#/foo/bhere"),
    ("{#list}", "#red,green,blue"),
    ("{#list*}", "#red,green,blue"),
    ("{#keys}", "#semi,;,dot,.,comma,,"),
    ("{#keys*}", "#semi=;,dot=.,comma=,"),
    // 3.2.5
    ("{.who}", ".fred"),
    ("{.who,who}", ".fred.fred"),
    ("{.half,who}", ".50%25.fred"),
    ("www{.dom*}", "www.example.com"),
    ("X{.var}", "X.value"),
    ("X{.empty}", "X."),
    ("X{.undef}", "X"),
    ("X{.var:3}", "X.val"),
    ("X{.list}", "X.red,green,blue"),
    ("X{.list*}", "X.red.green.blue"),
    ("X{.keys}", "X.semi,%3B,dot,.,comma,%2C"),
    ("X{.keys*}", "X.semi=%3B.dot=..comma=%2C"),
    ("X{.empty_keys}", "X"),
    ("X{.empty_keys*}", "X"),
    // 3.2.6
    ("{/who}", "/fred"),
    ("{/who,who}", "/fred/fred"),
    ("{/half,who}", "/50%25/fred"),
    ("{/who,dub}", "/fred/me%2Ftoo"),
    ("{/var}", "/value"),
    ("{/var,empty}", "/value/"),
    ("{/var,undef}", "/value"),
    ("{/var,x}/here", "/value/1024/here"),
    ("{/var:1,var}", "/v/value"),
    ("{/list}", "/red,green,blue"),
    ("{/list*}", "/red/green/blue"),
    ("{/list*,path:4}", "/red/green/blue/%2Ffoo"),
    ("{/keys}", "/semi,%3B,dot,.,comma,%2C"),
    ("{/keys*}", "/semi=%3B/dot=./comma=%2C"),
    // 3.2.7
    ("{;who}", ";who=fred"),
    ("{;half}", ";half=50%25"),
    ("{;empty}", ";empty"),
    ("{;v,empty,who}", ";v=6;empty;who=fred"),
    ("{;v,bar,who}", ";v=6;who=fred"),
    ("{;x,y}", ";x=1024;y=768"),
    ("{;x,y,empty}", ";x=1024;y=768;empty"),
    ("{;x,y,undef}", ";x=1024;y=768"),
    ("{;hello:5}", ";hello=Hello"),
    ("{;list}", ";list=red,green,blue"),
    ("{;list*}", ";list=red;list=green;list=blue"),
    ("{;keys}", ";keys=semi,%3B,dot,.,comma,%2C"),
    ("{;keys*}", ";semi=%3B;dot=.;comma=%2C"),
    // 3.2.8
    ("{?who}", "?who=fred"),
    ("{?half}", "?half=50%25"),
    ("{?x,y}", "?x=1024&y=768"),
    ("{?x,y,empty}", "?x=1024&y=768&empty="),
    ("{?x,y,undef}", "?x=1024&y=768"),
    ("{?var:3}", "?var=val"),
    ("{?list}", "?list=red,green,blue"),
    ("{?list*}", "?list=red&list=green&list=blue"),
    ("{?keys}", "?keys=semi,%3B,dot,.,comma,%2C"),
    ("{?keys*}", "?semi=%3B&dot=.&comma=%2C"),
    // 3.2.9
    ("{&who}", "&who=fred"),
    ("{&half}", "&half=50%25"),
    ("?fixed=yes{&x}", "?fixed=yes&x=1024"),
    ("{&x,y,empty}", "&x=1024&y=768&empty="),
    ("{&x,y,undef}", "&x=1024&y=768"),
    ("{&var:3}", "&var=val"),
    ("{&list}", "&list=red,green,blue"),
    ("{&list*}", "&list=red&list=green&list=blue"),
    ("{&keys}", "&keys=semi,%3B,dot,.,comma,%2C"),
    ("{&keys*}", "&semi=%3B&dot=.&comma=%2C"),
];

#[test]
fn examples_of_the_rfc_come_out_as_printed() {
    for (template, expected) in RFC_EXAMPLES {
        assert_eq!(expand_text(template, rfc_value), expected, "{template}");
    }
}

#[test]
fn prefix_counts_characters_and_splits_none() {
    assert_eq!(expand_x("{x:2}", "ééé"), "%C3%A9%C3%A9");
    assert_eq!(expand_x("{+x:3}", "éééé"), "%C3%A9%C3%A9%C3%A9");
    assert_eq!(expand_x("{+x:3}", "ab日本語"), "ab%E6%97%A5");
    assert_eq!(expand_x("{+x:2}", "ab%20cd"), "ab");
    assert_eq!(expand_x("{+x:3}", "ab%20cd"), "ab%20");
    // Two triplets, one character.
    assert_eq!(expand_x("{+x:1}", "%C3%A9e"), "%C3%A9");
    // Encoded, a percent sign is a character like any other.
    assert_eq!(expand_x("{x:1}", "%C3%A9e"), "%25");
}

#[test]
fn reserved_expansion_keeps_triplets_and_encodes_what_no_url_has() {
    assert_eq!(expand_x("{+x}", "100% %zz %c3 %C3%A9 %"), "100%25%20%25zz%20%c3%20%C3%A9%20%25");
    assert_eq!(
        expand_x("{+x}", "a\\b\0\n\u{7f}|^`{}\"<>"),
        "a%5Cb%00%0A%7F%7C%5E%60%7B%7D%22%3C%3E"
    );
    let kept = ":/?#[]@!$&'()*+,;=-._~";
    assert_eq!(expand_x("{+x}", kept), kept);
    assert_eq!(expand_x("{x}", kept), "%3A%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D-._~");
}

#[test]
fn prefix_of_a_list_is_an_error() {
    let template = Template::parse("/{list:3}").expect("valid");
    let error = ExpandError::PrefixOfComposite { variable: "list".to_owned() };
    assert_eq!(template.expand(100, rfc_value), Err(error));
}

#[test]
fn expansion_stops_at_its_limit() {
    let template = Template::parse(&"{base}".repeat(1_000)).expect("valid");
    assert_eq!(template.expand(100, rfc_value), Err(ExpandError::TooLong));
    let template = Template::parse("0123456789").expect("valid");
    assert_eq!(template.expand(9, rfc_value), Err(ExpandError::TooLong));
    assert!(template.expand(10, rfc_value).is_ok());
}

#[test]
fn malformed_templates_are_refused_with_the_place() {
    for (template, at) in [
        ("{", 0),
        ("a{x", 1),
        ("{}", 1),
        ("{+}", 2),
        ("a}", 1),
        ("{=x}", 1),
        ("{|x}", 1),
        ("{$x}", 1),
        ("{x y}", 1),
        ("{x,}", 3),
        ("{x,,y}", 3),
        ("{x**}", 1),
        ("{x:}", 3),
        ("{x:0}", 3),
        ("{x:12345}", 3),
        ("{x:-1}", 3),
        ("{x:3*}", 1),
        ("{.x.}", 2),
        ("{x..y}", 1),
        ("{é}", 1),
        ("{{x}}", 1),
        ("a%zz", 1),
        ("é%aé", 2),
        ("%", 0),
        ("a b", 1),
        ("a|b", 1),
    ] {
        let error = Template::parse(template).expect_err(template);
        assert_eq!(error.at, at, "{template}: {}", error.why);
    }
}

#[test]
fn names_may_have_dots_digits_and_triplets() {
    for template in ["{a.b}", "{1}", "{_x}", "{a%20b}", "{x:9999}", "é{x}"] {
        assert!(Template::parse(template).is_ok(), "{template}");
    }
}
