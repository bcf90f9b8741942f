//! What an operator looks at and is woken by: dashboards, alerts, runbooks. That they show and tell what is so is shown in
//! [`distributed::monitoring`](crate::distributed).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringback_testkit::ringback_binary;
use ringback_testkit::servers::Prometheus;
use serde_json::{Value, json};

use crate::support::{Api, text};

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("it is there")
}

/// Each dashboard with the name of its file.
pub(crate) fn dashboards() -> Vec<(String, Value)> {
    let files = files("dashboards", "json");
    let read = |file: PathBuf| {
        let name = file.file_name().expect("it has one").to_string_lossy().into_owned();
        let json = serde_json::from_str(&contents(&file));
        (name, json.expect("dashboards are JSON"))
    };
    files.into_iter().map(read).collect()
}

/// A dashboard's panels, without the headings between them.
pub(crate) fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let all = dashboard["panels"].as_array().expect("a dashboard has panels");
    all.iter().filter(|panel| panel["type"] != "row")
}

/// The queries of a panel.
pub(crate) fn queries(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().expect("a panel has targets");
    targets.iter().map(|target| text(&target["expr"])).collect()
}

/// The lines of all code blocks in this language in all runbooks, with the file's name.
pub(crate) fn blocks_of_runbooks(language: &str) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    for file in files("docs/runbooks", "md") {
        let name = file.file_name().expect("it has one").to_string_lossy().into_owned();
        let mut is_ours = false;
        for line in contents(&file).lines().map(str::trim) {
            match line.strip_prefix("```") {
                Some(opened) => is_ours = opened == language,
                None if is_ours => lines.push((name.clone(), line.to_owned())),
                None => {}
            }
        }
    }
    lines
}

fn files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join(directory)).expect("it is there").flatten();
    let mut files: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_some_and(|found| found == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{directory} has no *.{extension}");
    files
}

fn contents(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// Runs promtool where the rules are.
fn promtool(arguments: &[&str]) {
    let run = Command::new("promtool")
        .args(arguments)
        .current_dir(root().join("deploy/prometheus"))
        .output()
        .expect("promtool is installed (Debian package prometheus)");
    let said = [run.stdout, run.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(run.status.success(), "promtool {}:\n{}", arguments.join(" "), said.concat());
}

/// All alerting rules, as Prometheus understands them.
async fn alerts() -> Vec<Value> {
    let rules = root().join("deploy/prometheus/alerts.yml");
    let prometheus = Prometheus::start(json!({"rule_files": [rules]}).to_string()).await;
    let prometheus = prometheus.expect("it starts with our rules");
    let answer = Api::new(prometheus.url(), "").get("/api/v1/rules?type=alert").await.expect(200);
    let groups = answer["data"]["groups"].as_array().expect("there are groups");
    let rules = |group: &Value| group["rules"].as_array().cloned().unwrap_or_default();
    groups.iter().flat_map(rules).collect()
}

#[test]
fn prometheus_takes_its_configuration_and_the_rules() {
    promtool(&["check", "config", "prometheus.yml"]);
    promtool(&["check", "rules", "alerts.yml"]);
}

#[tokio::test]
async fn each_alert_fires_when_it_should_and_is_quiet_when_it_should_not() {
    promtool(&["test", "rules", "alerts_test.yml"]);

    // Which alerts have a case that fires, and which one that does not.
    let cases = contents(&root().join("deploy/prometheus/alerts_test.yml"));
    let mut tested: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut alert = "";
    for line in cases.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("alertname: ") {
            alert = name;
        } else if let Some(expected) = line.strip_prefix("exp_alerts:") {
            let kind = if expected.trim() == "[]" { "quiet" } else { "firing" };
            tested.entry(alert).or_default().insert(kind);
        }
    }
    for alert in alerts().await {
        let name = text(&alert["name"]);
        let both = ["firing", "quiet"].into();
        assert_eq!(tested.get(name.as_str()), Some(&both), "cases of {name}");
    }
}

#[tokio::test]
async fn each_alert_has_a_severity_and_a_runbook_of_its_own() {
    let index = contents(&root().join("docs/runbooks/README.md"));
    let guide = contents(&root().join("docs/monitoring.md"));
    let mut described = BTreeSet::new();
    for alert in alerts().await {
        let name = text(&alert["name"]);
        let severity = text(&alert["labels"]["severity"]);
        assert!(["critical", "warning", "info"].contains(&severity.as_str()), "{name}: {severity}");
        for annotation in ["summary", "description"] {
            assert!(!text(&alert["annotations"][annotation]).is_empty(), "{name}: {annotation}");
        }
        let url = text(&alert["annotations"]["runbook_url"]);
        let file = url.rsplit('/').next().expect("it has a last part");
        let runbook = contents(&root().join("docs/runbooks").join(file));
        assert!(runbook.starts_with(&format!("# {name}\n")), "{file} is about {name}");
        for part in ["**Means.**", "**Hit", "\n## Look\n", "\n## Mend\n", "\n## Over when\n"] {
            assert!(runbook.contains(part), "{file} has no {part:?}");
        }
        for (list, link) in [
            (&index, format!("| [{name}]({file}) |")),
            (&guide, format!("| [{name}](runbooks/{file}) |")),
        ] {
            let listed = |line: &str| line.starts_with(&link) && line.contains(&severity);
            assert!(list.lines().any(listed), "{link} with {severity}");
        }
        described.insert(file.to_owned());
    }
    described.insert("README.md".to_owned());
    let there = files("docs/runbooks", "md").into_iter();
    let there = there.map(|file| file.file_name().expect("one").to_string_lossy().into_owned());
    assert_eq!(there.collect::<BTreeSet<_>>(), described, "runbooks and alerts");
}

#[test]
fn each_panel_says_what_it_shows_in_which_unit_and_what_to_do() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert!(uids.insert(text(&dashboard["uid"])), "{name}: its uid is another's");
        assert!(dashboard["title"].as_str().is_some_and(|title| title.starts_with("Ringback: ")));
        assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 39));
        assert_eq!(dashboard.get("id"), None, "{name}: an id is for one Grafana alone");
        let mut ids = BTreeSet::new();
        for panel in dashboard["panels"].as_array().expect("it has panels") {
            assert!(ids.insert(panel["id"].as_u64().expect("a number")), "{name}: {}", panel["id"]);
            assert!(!text(&panel["title"]).is_empty(), "{name}: {}", panel["id"]);
        }
        assert_no_overlap(&name, &dashboard);
        for panel in panels(&dashboard) {
            let title = format!("{name}: {}", panel["title"]);
            assert!(!text(&panel["fieldConfig"]["defaults"]["unit"]).is_empty(), "{title}");
            let description = text(&panel["description"]);
            let sentences = description.matches(". ").count() + description.matches("; ").count();
            assert!(sentences >= 1 && description.ends_with('.'), "{title}: {description}");
            for word in description.split([' ', '(', ')', ',', ';']) {
                let file = word.trim_end_matches('.');
                assert!(
                    !file.starts_with("docs/") || root().join(file).exists(),
                    "{title}: there is no {file}"
                );
            }
            let targets = panel["targets"].as_array().expect("it has targets");
            let references: BTreeSet<_> =
                targets.iter().map(|target| text(&target["refId"])).collect();
            assert_eq!(references.len(), targets.len(), "{title}: two queries of one name");
            for from in targets.iter().chain([panel]) {
                let datasource = json!({"type": "prometheus", "uid": "${datasource}"});
                assert_eq!(from["datasource"], datasource, "{title}");
            }
        }
    }
}

/// No two panels lie on each other, and none sticks out.
fn assert_no_overlap(name: &str, dashboard: &Value) {
    const COLUMNS: u64 = 24;
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("it has panels") {
        let [x, y, width, height] =
            ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().expect("a number"));
        assert!(width > 0 && height > 0 && x + width <= COLUMNS, "{name}: {}", panel["title"]);
        for place in (x..x + width).flat_map(|x| (y..y + height).map(move |y| (x, y))) {
            assert!(taken.insert(place), "{name}: {} lies on another", panel["title"]);
        }
    }
}

#[test]
fn commands_in_runbooks_are_commands_of_ours() {
    let binary = ringback_binary().expect("the binary is built");
    let mut tried = 0;
    for (file, line) in blocks_of_runbooks("sh") {
        let Some(arguments) = line.strip_prefix("ringback ") else { continue };
        // What is asked for help is not done, but all before it has to be understood.
        let script = format!("exec \"$0\" {arguments} --help");
        let run = Command::new("sh").args(["-c", &script]).arg(&binary).output();
        let run = run.expect("there is a shell");
        assert!(run.status.success(), "{file}: `{line}`: {}", String::from_utf8_lossy(&run.stderr));
        tried += 1;
    }
    assert!(tried > 20, "{tried} commands");
}
