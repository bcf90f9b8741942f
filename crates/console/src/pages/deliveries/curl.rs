//! A request as a command for a shell.

use std::fmt::Write as _;

use ringback_core::delivery::SentRequest;
use ringback_core::secret::Secret;

/// Stands for what is not shown.
pub(super) const SECRET: &str = "<secret>";

/// The command that sends this request: for `sh` and whatever reads quotes as it does.
pub(super) fn command(request: &SentRequest, body: Option<&str>) -> String {
    // As it is: curl takes brackets and braces in a URL for patterns, and shortens paths with dots.
    let mut command = format!(
        "curl --globoff --path-as-is --request {} --url {}",
        request.method.as_str(),
        quoted(&request.url)
    );
    for (name, value) in &request.headers {
        let header = match &**value {
            Secret::MASK => format!("{name}: {SECRET}"),
            // With a colon it would be left out.
            "" => format!("{name};"),
            value => format!("{name}: {value}"),
        };
        write!(command, " \\\n  --header {}", quoted(&header)).expect("a text takes all");
    }
    if let Some(body) = body {
        write!(command, " \\\n  --data-raw {}", quoted(body)).expect("a text takes all");
    }
    command
}

/// A text as one word of a shell: between single quotes nothing means anything but the next single quote.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use ringback_core::callback::{Format, Method};

    use super::*;

    /// Texts that a shell reads as something else where they are not quoted well.
    const HARD: [&str; 8] = [
        "",
        "it's 'quoted' \"twice\"",
        "'",
        "two\nlines\n",
        "$HOME $(id) `id` ${x} \\ \\n \\'",
        "naïve – 日本 🦀",
        "a && b; c | d > e # f * ? ~ ! %s",
        "\t tab and  spaces ",
    ];

    fn shell(script: &str) -> String {
        let output = Command::new("sh").args(["-c", script]).output().expect("there is a shell");
        assert!(output.status.success(), "{script}");
        String::from_utf8(output.stdout).expect("text")
    }

    #[test]
    fn shell_reads_each_text_as_it_was() {
        for text in HARD {
            assert_eq!(shell(&format!("printf %s {}", quoted(text))), text);
        }
    }

    #[test]
    fn shell_gives_curl_the_whole_request() {
        let headers = |(name, value): (&'static str, &'static str)| (name.into(), value.into());
        let own = [("x-note", "it's $5"), ("x-empty", ""), ("authorization", Secret::MASK)];
        let request = SentRequest {
            method: Method::Post,
            url: "https://example.com/it's?[a]={b}&c=$d".to_owned(),
            headers: own.into_iter().map(headers).collect(),
            format: Some(Format::Json),
        };
        for body in HARD {
            let script =
                format!("curl() {{ printf '%s\\001' \"$@\"; }}\n{}", command(&request, Some(body)));
            let said = shell(&script);
            let said = said.strip_suffix('\u{1}').expect("each ends so");
            let arguments: Vec<_> = said.split('\u{1}').collect();
            let expected = [
                "--globoff",
                "--path-as-is",
                "--request",
                "POST",
                "--url",
                "https://example.com/it's?[a]={b}&c=$d",
                "--header",
                "x-note: it's $5",
                "--header",
                "x-empty;",
                "--header",
                "authorization: <secret>",
                "--data-raw",
                body,
            ];
            assert_eq!(arguments, expected);
        }
    }

    #[test]
    fn request_without_a_body_has_none() {
        let request = SentRequest {
            method: Method::Get,
            url: "https://example.com/".to_owned(),
            headers: Vec::new(),
            format: None,
        };
        let expected = "curl --globoff --path-as-is --request GET --url 'https://example.com/'";
        assert_eq!(command(&request, None), expected);
    }
}
