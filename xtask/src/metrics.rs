//! What is said of metrics: `docs/metrics.md` is made of their definitions, and whoever names one elsewhere names one that
//! exists, with labels and values that it has.

use std::fs;

use anyhow::{Context as _, ensure};
use ringback_metrics::definitions::{self, Definition, Kind, Values};

use crate::run::root;

const DOCUMENT: &str = "docs/metrics.md";

/// Where metrics are named.
const NAMED_IN: [(&str, &str); 4] =
    [("docs", "md"), ("docs/runbooks", "md"), ("dashboards", "json"), ("deploy/prometheus", "yml")];

/// What all names begin with.
const PREFIX: &str = "ringback_";

/// What Prometheus adds to every series, and to a histogram's.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// Writes the document.
///
/// # Errors
/// If it can't be written.
pub(crate) fn write() -> anyhow::Result<()> {
    fs::write(root().join(DOCUMENT), ringback_metrics::document()).context(DOCUMENT)
}

/// Checks the document, and all that names metrics.
///
/// # Errors
/// Names what is stale or wrong.
pub(crate) fn check() -> anyhow::Result<()> {
    let written = fs::read_to_string(root().join(DOCUMENT)).context(DOCUMENT)?;
    ensure!(
        written == ringback_metrics::document(),
        "{DOCUMENT} is stale: `cargo xtask docs` writes it"
    );
    let mut faults = Vec::new();
    for (directory, extension) in NAMED_IN {
        for entry in fs::read_dir(root().join(directory)).context(directory)? {
            let file = entry?.path();
            if file.extension().is_some_and(|found| found == extension) {
                let shown = file.strip_prefix(root()).unwrap_or(&file).display().to_string();
                let text = fs::read_to_string(&file).with_context(|| shown.clone())?;
                faults
                    .extend(faults_of(&text).into_iter().map(|fault| format!("{shown}: {fault}")));
            }
        }
    }
    ensure!(faults.is_empty(), "metrics:\n  {}", faults.join("\n  "));
    Ok(())
}

/// What is wrong with the metrics that a text names.
fn faults_of(text: &str) -> Vec<String> {
    // In JSON the quotes of a query are escaped.
    let text = text.replace('\\', "");
    let mut faults = Vec::new();
    for (start, _) in text.match_indices(PREFIX) {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if text[..start].ends_with(is_word) {
            continue;
        }
        let end = text[start..].find(|c| !is_word(c)).map_or(text.len(), |length| start + length);
        let (name, rest) = (&text[start..end], &text[end..]);
        if is_a_crate(name) {
            continue;
        }
        match definition(name) {
            Some(definition) => faults.extend(faults_of_selector(definition, rest)),
            // `ringback_events_…`: any that begins so.
            None if name.ends_with('_') && begins_some(name) => {}
            None => faults.push(format!("there is no metric `{name}`")),
        }
    }
    faults.sort();
    faults.dedup();
    faults
}

fn definition(name: &str) -> Option<&'static Definition> {
    let of_histogram =
        ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    definitions::ALL.into_iter().find(|definition| match definition.kind {
        Kind::Histogram { .. } => of_histogram == Some(definition.name) || definition.name == name,
        Kind::Counter | Kind::Gauge => definition.name == name,
    })
}

fn begins_some(name: &str) -> bool {
    definitions::ALL.iter().any(|definition| definition.name.starts_with(name))
}

/// Log filters name crates.
fn is_a_crate(name: &str) -> bool {
    let directory = name.trim_start_matches(PREFIX);
    !directory.is_empty() && root().join("crates").join(directory).is_dir()
}

fn faults_of_selector(definition: &Definition, rest: &str) -> Vec<String> {
    let Some(inside) = rest.strip_prefix('{').and_then(|rest| rest.split('}').next()) else {
        return Vec::new();
    };
    matchers(inside).into_iter().filter_map(|matcher| fault_of(definition, matcher)).collect()
}

/// Parts between commas that are not quoted.
fn matchers(inside: &str) -> Vec<&str> {
    let mut is_quoted = false;
    let between = |c| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    };
    inside.split(between).map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn fault_of(definition: &Definition, matcher: &str) -> Option<String> {
    let name = definition.name;
    let end = matcher.find(['=', '!']).unwrap_or(matcher.len());
    let (label, matched) = matcher.split_at(end);
    let label = label.trim();
    if ADDED.contains(&label) || !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return None;
    }
    let Some(known) = definition.labels.iter().find(|known| known.name == label) else {
        return Some(format!("`{name}` has no label `{label}`"));
    };
    let Values::These(values) = known.values else { return None };
    let said = matched.trim_start_matches(['=', '!', '~']).trim_matches('"');
    let is_plain = |word: &&str| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let mut words = said.split(['|', ',']).filter(is_plain).filter(|word| !word.is_empty());
    let unknown = words.find(|word| !values.contains(word))?;
    Some(format!("`{name}` has no `{label}` that is `{unknown}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_dashboards_and_alerts_name_what_there_is() {
        check().expect("every name is right, and docs/metrics.md is not stale");
    }

    #[test]
    fn name_that_does_not_exist_is_a_fault() {
        let text = "sum(rate(ringback_atempts_total[5m])) ringback_build_info_bucket";
        let missing = ["`ringback_atempts_total`", "`ringback_build_info_bucket`"];
        assert_eq!(faults_of(text), missing.map(|name| format!("there is no metric {name}")));
        let text = "ringback_accept_duration_seconds_bucket, `ringback_events_…`, ringback_worker=debug, RINGBACK_LOG";
        assert_eq!(faults_of(text), [""; 0]);
    }

    #[test]
    fn label_or_value_that_does_not_exist_is_a_fault() {
        let text =
            r#"ringback_attempts_total{callback=~"$callback", outcome!="success", job="a,b"}"#;
        assert_eq!(faults_of(text), [""; 0]);
        let text = r#"ringback_queue_messages{queue=~\"fresh|retuned\", status=\"x\"}"#;
        let name = "`ringback_queue_messages`";
        let expected = [
            format!("{name} has no `queue` that is `retuned`"),
            format!("{name} has no label `status`"),
        ];
        assert_eq!(faults_of(text), expected);
    }
}
