//! `docker-compose.yml`, alone and with a cluster of RabbitMQ.

use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::environment::{ADMIN_KEY, SECRETS, made, variables};
use crate::support::{changed, command, items, json, python, read, root, run, text};

const COMPOSE: &str = "docker-compose.yml";
const CLUSTER: &str = "deploy/rabbitmq/cluster/docker-compose.yml";
const ROLES: [&str; 3] = ["ingest", "worker", "console"];

/// What the files come to, with the variables of an `.env` that `make-env` makes.
fn resolved(files: &[&str]) -> Value {
    resolved_with(files, &[])
}

/// The same with variables that go before those.
fn resolved_with(files: &[&str], others: &[(&str, &str)]) -> Value {
    let directory = tempfile::tempdir().expect("a directory");
    let env = variables(&made(directory.path()));
    json(resolving(files).envs(env).envs(others.iter().copied()))
}

fn resolving(files: &[&str]) -> Command {
    let mut python = python();
    python.arg("tests/python/resolve_compose.py").args(files).env_clear();
    python
}

fn schema_says(file: &Path) -> (bool, String) {
    let check = ["-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"];
    run(python().args(check).arg(file))
}

fn services(project: &Value) -> impl Iterator<Item = (&String, &Value)> {
    project["services"].as_object().expect("services").iter()
}

/// Names, of a list or of a mapping.
fn names(value: &Value) -> HashSet<&str> {
    let listed = items(value).map(text);
    listed.chain(value.as_object().into_iter().flatten().map(|(name, _)| name.as_str())).collect()
}

/// `40s`, `1m`.
fn seconds(value: &Value) -> u32 {
    let text = text(value);
    let number = |unit| text.strip_suffix(unit).and_then(|number: &str| number.parse::<u32>().ok());
    number("s").or_else(|| number("m").map(|minutes| minutes * 60)).expect("a duration")
}

#[test]
fn compose_files_are_as_their_schema_says() {
    for file in [COMPOSE, CLUSTER] {
        let (valid, said) = schema_says(&root().join(file));
        assert!(valid, "{said}");
    }
    let directory = tempfile::tempdir().expect("a directory");
    let bad = changed(COMPOSE, "stop_grace_period:", "stop_grace:", directory.path());
    assert!(!schema_says(&bad).0);
}

#[test]
fn nothing_starts_without_secrets_and_each_that_is_missing_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let env = variables(&made(directory.path()));
    for name in SECRETS {
        for value in [None, Some("")] {
            let others = env.iter().filter(|(other, _)| other != name).cloned();
            let missing = value.map(|value| (name.to_owned(), value.to_owned()));
            let (resolves, said) = run(resolving(&[COMPOSE]).envs(others.chain(missing)));
            assert!(!resolves && said.contains(name), "{name}: {said}");
        }
    }
    let without_cookie = env.iter().filter(|(name, _)| name != "RABBITMQ_COOKIE").cloned();
    let (resolves, said) = run(resolving(&[COMPOSE, CLUSTER]).envs(without_cookie));
    assert!(!resolves && said.contains("RABBITMQ_COOKIE"), "{said}");
}

#[test]
fn only_the_proxy_and_grafana_have_ports_and_on_this_machine_alone() {
    for files in [&[COMPOSE][..], &[COMPOSE, CLUSTER]] {
        let project = resolved(files);
        for (name, service) in services(&project) {
            let ports: Vec<_> = items(&service["ports"]).map(text).collect();
            let is_public = ["proxy", "grafana"].contains(&name.as_str());
            assert_eq!(!ports.is_empty(), is_public, "{name}: {ports:?}");
            assert!(ports.iter().all(|port| port.starts_with("127.0.0.1:")), "{name}: {ports:?}");
        }
        // Who else could be reached from outside, or send there.
        let networks = project["networks"].as_object().expect("networks");
        for (name, service) in services(&project) {
            let leads_out = |network: &&str| networks[*network]["internal"] != true;
            let out =
                names(&service["networks"]).iter().filter(|network| leads_out(network)).count();
            // Prometheus to an Alertmanager, wherever it is.
            let may = ["proxy", "grafana", "worker", "prometheus"].contains(&name.as_str());
            assert_eq!(out > 0, may, "{name}");
        }
    }
}

#[test]
fn services_are_checked_restarted_and_waited_for() {
    for files in [&[COMPOSE][..], &[COMPOSE, CLUSTER]] {
        let project = resolved(files);
        let known = |kind: &str| names(&project[kind]);
        let (networks, volumes) = (known("networks"), known("volumes"));
        for (name, service) in services(&project) {
            assert!(service["healthcheck"]["test"].is_array(), "{name} has no health check");
            assert_eq!(service["restart"], "unless-stopped", "{name}");
            assert!(names(&service["networks"]).is_subset(&networks), "{name}");
            for (other, how) in service["depends_on"].as_object().into_iter().flatten() {
                assert_eq!(how["condition"], "service_healthy", "{name} on {other}");
                assert!(project["services"][other].is_object(), "{name}: there is no {other}");
            }
            for volume in items(&service["volumes"]).map(text) {
                let source = volume.split(':').next().expect("a source");
                let there = match source.strip_prefix("./") {
                    Some(path) => root().join(path).exists(),
                    None => volumes.contains(source),
                };
                assert!(there, "{name}: {source}");
            }
            let image = text(&service["image"]);
            let tag = image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or_default();
            assert!(!tag.is_empty() && tag != "latest", "{name}: {image} is another one every day");
        }
    }
}

#[test]
fn roles_can_be_scaled_and_have_the_time_to_stop() {
    let project = resolved(&[COMPOSE, CLUSTER]);
    for role in ROLES {
        let service = &project["services"][role];
        assert_eq!(service["command"][0], role);
        assert!(seconds(&service["stop_grace_period"]) > 30, "{role}");
        // Either would be taken by the first of several.
        assert!(service["container_name"].is_null() && service["ports"].is_null(), "{role}");
        assert_eq!(service["read_only"], true, "{role}");
        for server in ["rabbitmq", "rabbitmq-2", "rabbitmq-3", "redis", "postgres"] {
            assert_eq!(service["depends_on"][server]["condition"], "service_healthy", "{role}");
        }
    }
    let replicas = |project: &Value, role: &str| {
        text(&project["services"][role]["deploy"]["replicas"]).to_owned()
    };
    assert_eq!([replicas(&project, "ingest"), replicas(&project, "worker")], ["2", "3"]);
    // A plain `up` makes them as many as there were.
    let more = resolved_with(&[COMPOSE], &[("RINGBACK_INGESTS", "4"), ("RINGBACK_WORKERS", "8")]);
    assert_eq!([replicas(&more, "ingest"), replicas(&more, "worker")], ["4", "8"]);
}

/// Of several services that build one name at once, all but one fail.
#[test]
fn image_is_built_once_and_used_by_all_roles() {
    for registry in [None, Some(("RINGBACK_IMAGE", "images.example.com/ringback:1"))] {
        let project = resolved_with(&[COMPOSE], registry.as_slice());
        let built = services(&project).filter(|(_, service)| !service["build"].is_null());
        assert_eq!(built.map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["console"]);
        for role in ROLES {
            let image = registry.map_or("ringback:local", |(_, image)| image);
            assert_eq!(project["services"][role]["image"], image, "{role}");
            // `never` would not pull that of a registry, `build` none at all.
            assert!(project["services"][role]["pull_policy"].is_null(), "{role}");
        }
    }
}

#[test]
fn admin_key_is_told_to_whom_it_is_of_use_and_can_be_taken_out() {
    let project = resolved(&[COMPOSE]);
    let emptied = resolved_with(&[COMPOSE], &[(ADMIN_KEY, "")]);
    for role in ROLES {
        let key = |project: &Value| project["services"][role]["environment"][ADMIN_KEY].clone();
        assert_eq!(key(&project).is_null(), role == "worker", "{role}");
        assert!(role == "worker" || key(&emptied) == "", "{role}");
    }
}

#[test]
fn prometheus_finds_each_process_and_each_node_of_rabbitmq_by_a_name() {
    let project = resolved(&[COMPOSE, CLUSTER]);
    let in_metrics = |name: &str| project["services"][name]["networks"]["metrics"].clone();
    let configuration = read("deploy/prometheus/prometheus.yml");
    assert!(!configuration.contains("static_configs"), "of several it finds one");
    for name in ROLES.into_iter().chain(["rabbitmq"]) {
        assert!(configuration.contains(&format!("- names: [{name}]\n")), "{name}");
    }
    for node in ["rabbitmq-2", "rabbitmq-3"] {
        assert_eq!(in_metrics(node)["aliases"][0], "rabbitmq", "{node}");
    }
    assert!(in_metrics("rabbitmq").is_object(), "by its own name");
}

#[test]
fn settings_are_ones_that_ringback_knows_and_takes() {
    let project = resolved(&[COMPOSE]);
    let binary = ringback_testkit::ringback_binary().expect("the binary is built");
    let (_, help) = run(command(&binary).args(["serve", "--help"]));
    for role in ROLES {
        let environment = project["services"][role]["environment"].as_object().expect("settings");
        for name in environment.keys() {
            assert!(help.contains(&format!("[env: {name}")), "{role}: there is no {name}");
        }
        let environment = environment.iter().map(|(name, value)| (name, text(value)));
        // Servers with such names there are none here: what can't be reached is 69, what can't be understood 64.
        let doctor = command(&binary).args(["topology", "verify"]).envs(environment).output();
        let doctor = doctor.expect("it runs");
        let said = String::from_utf8_lossy(&doctor.stderr);
        assert_eq!(doctor.status.code(), Some(69), "{role}: {said}");
        assert!(said.contains("rabbitmq:5672"), "{role}: {said}");
    }
}

/// Redis is started by a script of three programs' quoting: the file's, the shell's and its own.
#[test]
fn redis_keeps_what_it_has_and_throws_nothing_out() {
    let project = resolved(&[COMPOSE]);
    let redis = &project["services"]["redis"];
    let script = text(&redis["command"][2]);
    let directory = tempfile::tempdir().expect("a directory");
    let socket = directory.path().join("socket");
    let here =
        format!("dir {}\nport 0\nunixsocket {}", directory.path().display(), socket.display());
    let environment = redis["environment"].as_object().expect("variables");
    let environment: Vec<_> = environment.iter().map(|(name, value)| (name, text(value))).collect();
    let mut server = command("sh")
        .args(["-c", &script.replace("dir /data", &here)])
        .envs(environment.clone())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let ask = |words: &[&str]| {
        let mut client = command("redis-cli");
        run(client.arg("-s").arg(&socket).args(words).envs(environment.clone())).1
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while ask(&["ping"]).trim() != "PONG" {
        assert!(std::time::Instant::now() < deadline, "{}", ask(&["ping"]));
        std::thread::yield_now();
    }
    let settings = ["maxmemory", "maxmemory-policy", "appendonly", "requirepass"];
    let told = settings.map(|name| ask(&["config", "get", name]).replace('\n', " "));
    let refused = run(command("redis-cli").arg("-s").arg(&socket).arg("ping")).1;
    server.kill().expect("it runs");
    server.wait().expect("it ends");
    assert_eq!(told[0].trim(), "maxmemory 536870912");
    assert_eq!(told[1].trim(), "maxmemory-policy noeviction");
    assert_eq!(told[2].trim(), "appendonly yes");
    assert!(told[3].trim().len() > "requirepass".len() + 24);
    assert!(refused.contains("NOAUTH"), "{refused}");
}
