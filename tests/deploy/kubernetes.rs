//! `deploy/kubernetes`, and RabbitMQ's cluster there.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use ringback_testkit::servers::find_program;
use serde_json::Value;

use crate::support::{changed, command, files_below, items, json, python, read, root, run, text};

const BASE: &str = "deploy/kubernetes/base";
const WORKER: &str = "deploy/kubernetes/base/worker.yaml";
const RABBITMQ: &str = "deploy/rabbitmq/cluster/kubernetes.yaml";
/// Values for another's chart, and no manifest.
const NO_MANIFEST: &str = "adapter-rules.yaml";

fn checking(files: &[PathBuf]) -> std::process::Command {
    let mut python = python();
    python.arg("tests/python/check_kubernetes.py").args(files);
    python
}

fn manifests_in(files: &[PathBuf]) -> Vec<Value> {
    let found = json(&mut checking(files));
    items(&found).map(|found| found["manifest"].clone()).collect()
}

fn files() -> Vec<PathBuf> {
    let mut files = files_below("deploy/kubernetes", ".yaml");
    files.retain(|file| !file.ends_with(NO_MANIFEST));
    files.push(root().join(RABBITMQ));
    files
}

fn base() -> Vec<Value> {
    manifests_in(&files_below(BASE, ".yaml"))
}

fn of_kind<'a>(manifests: &'a [Value], kind: &str) -> Vec<&'a Value> {
    let found: Vec<_> = manifests.iter().filter(|manifest| manifest["kind"] == kind).collect();
    assert!(!found.is_empty(), "there is no {kind}");
    found
}

#[test]
fn manifests_are_as_kubernetes_schemas_say() {
    assert!(manifests_in(&files()).len() > 20);
    let directory = tempfile::tempdir().expect("a directory");
    for (from, to) in [
        ("replicas: 3", "replicas: three"),
        ("readinessProbe:", "readynessProbe:"),
        ("apiVersion: apps/v1", "apiVersion: apps/v1beta1"),
        ("name: ringback-worker\n", "name: ringback-worker\n  name: ringback-worker\n"),
    ] {
        let bad = changed(WORKER, from, to, directory.path());
        assert!(!run(&mut checking(&[bad])).0, "{to}");
    }
}

/// Each file is named by the `kustomization.yaml` beside it, and what those name is there.
#[test]
fn every_file_is_used_and_every_name_leads_to_one() {
    for file in files_below("deploy/kubernetes", "kustomization.yaml") {
        let directory = file.parent().expect("in a directory");
        let kustomization = &manifests_in(std::slice::from_ref(&file))[0];
        let named = |list: &str| -> HashSet<PathBuf> {
            let names = items(&kustomization[list]).map(|name| directory.join(text(name)));
            names.map(|path| path.canonicalize().expect("it is there")).collect()
        };
        let (resources, components) = (named("resources"), named("components"));
        for path in resources.iter().chain(&components).filter(|path| path.is_dir()) {
            assert!(path.join("kustomization.yaml").is_file(), "{}", path.display());
        }
        for entry in fs::read_dir(directory).expect("it is there") {
            let path = entry.expect("it can be read").path();
            let is_manifest = path.is_file() && path != file && !path.ends_with(NO_MANIFEST);
            assert!(!is_manifest || resources.contains(&path), "{} is in no use", path.display());
        }
    }
}

/// Where there is kubectl, which no test needs: what it makes of the example is as the schemas say, and is what the files
/// say.
#[test]
fn example_is_rendered_whole() {
    let Some(kubectl) = find_program("kubectl") else { return };
    let directory = tempfile::tempdir().expect("a directory");
    for (overlay, kind) in [("overlays/example", "HorizontalPodAutoscaler"), ("base", "Deployment")]
    {
        let (rendered, yaml) =
            run(command(&kubectl).args(["kustomize"]).arg(format!("deploy/kubernetes/{overlay}")));
        assert!(rendered, "{yaml}");
        let file = directory.path().join("rendered.yaml");
        fs::write(&file, yaml).expect("there is room");
        let manifests = manifests_in(&[file]);
        of_kind(&manifests, kind);
        for workload in of_kind(&manifests, "Deployment") {
            // The autoscaler's number is not overwritten.
            let is_scaled = overlay != "base" && workload["metadata"]["name"] == "ringback-worker";
            assert_eq!(workload["spec"]["replicas"].is_null(), is_scaled, "{workload}");
        }
    }
}

#[test]
fn pods_stop_in_time_are_probed_and_confined() {
    let base = base();
    for workload in of_kind(&base, "Deployment") {
        let name = text(&workload["metadata"]["name"]);
        let pod = &workload["spec"]["template"]["spec"];
        assert!(pod["terminationGracePeriodSeconds"].as_u64() > Some(35), "{name}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert!(pod["securityContext"]["runAsUser"].as_u64() > Some(0), "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for container in items(&pod["containers"]).chain(items(&pod["initContainers"])) {
            let may = &container["securityContext"];
            assert_eq!(may["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(may["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(may["capabilities"]["drop"][0], "ALL", "{name}");
            assert!(container["resources"]["requests"]["cpu"].is_string(), "{name}");
            assert!(container["resources"]["limits"]["memory"].is_string(), "{name}");
        }
        let container = &pod["containers"][0];
        // A server that is away makes nobody be killed.
        for (probe, path) in [
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ] {
            assert_eq!(container[probe]["httpGet"]["path"], path, "{name}");
            assert_eq!(container[probe]["httpGet"]["port"], "metrics", "{name}");
        }
        let role = name.strip_prefix("ringback-").expect("its role");
        assert_eq!(container["args"][0], role, "{name}");
        assert_eq!(container["lifecycle"]["preStop"].is_null(), role == "worker", "{name}");
    }
}

#[test]
fn secrets_are_referred_to_and_nowhere_written() {
    let base = base();
    let secret_settings = ["DATABASE_URL", "AMQP_URL", "REDIS_URL", "MASTER_KEY", "ADMIN_KEY"];
    for workload in of_kind(&base, "Deployment") {
        let pod = &workload["spec"]["template"]["spec"];
        for variable in items(&pod["containers"])
            .chain(items(&pod["initContainers"]))
            .flat_map(|c| items(&c["env"]))
        {
            let reference = &variable["valueFrom"]["secretKeyRef"];
            assert_eq!(reference["name"], "ringback-secrets", "{variable}");
            // RINGBACK_DATABASE_URL, database_url.
            let name = format!("RINGBACK_{}", text(&reference["key"]).to_uppercase());
            assert_eq!(variable["name"], name.as_str());
            // It is taken out once there is an instance key.
            assert_eq!(
                reference["optional"] == true,
                reference["key"] == "admin_key",
                "{variable}"
            );
        }
    }
    for settings in of_kind(&base, "ConfigMap") {
        let data = settings["data"].as_object().expect("settings");
        let is_secret =
            |name: &&String| secret_settings.iter().any(|secret| name.ends_with(secret));
        assert!(!data.keys().any(|name| is_secret(&name)), "{data:?}");
    }
    assert!(manifests_in(&files()).iter().all(|manifest| manifest["kind"] != "Secret"));
}

/// Each selects the pods that it means: a name that fits none is no error for Kubernetes.
#[test]
fn services_budgets_and_policies_select_pods_that_there_are() {
    let base = base();
    let pods: Vec<&Value> =
        of_kind(&base, "Deployment").iter().map(|workload| &workload["spec"]["template"]).collect();
    let selected = |labels: &Value| {
        let labels = labels.as_object().expect("labels");
        let fits = |pod: &&&Value| {
            labels.iter().all(|(name, value)| pod["metadata"]["labels"][name] == *value)
        };
        pods.iter().filter(fits).count()
    };
    for service in of_kind(&base, "Service") {
        assert_eq!(selected(&service["spec"]["selector"]), 1, "{service}");
    }
    for budget in of_kind(&base, "PodDisruptionBudget") {
        assert_eq!(selected(&budget["spec"]["selector"]["matchLabels"]), 1, "{budget}");
    }
    let policies = of_kind(&base, "NetworkPolicy");
    for policy in &policies {
        assert!(selected(&policy["spec"]["podSelector"]["matchLabels"]) > 0, "{policy}");
    }
    // To the internet go workers alone.
    let to_all = |policy: &&&Value| {
        let rules = items(&policy["spec"]["egress"]).flat_map(|rule| items(&rule["to"]));
        rules.into_iter().any(|to| to["ipBlock"]["cidr"] == "0.0.0.0/0")
    };
    let open: Vec<_> = policies.iter().filter(to_all).collect();
    assert_eq!(open.len(), 1);
    assert_eq!(
        open[0]["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"],
        "worker"
    );
    let except = &open[0]["spec"]["egress"][0]["to"][0]["ipBlock"]["except"];
    for network in
        ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10"]
    {
        assert!(items(except).any(|excepted| excepted == network), "{network}");
    }
}

#[test]
fn names_and_servers_are_reached_whether_they_are_pods_or_not() {
    let base = base();
    let policies = of_kind(&base, "NetworkPolicy");
    let to = |name: &str| -> Vec<&Value> {
        let policy = policies.iter().find(|policy| policy["metadata"]["name"] == name);
        let rules = items(&policy.expect("it is there")["spec"]["egress"]);
        rules.flat_map(|rule| items(&rule["to"])).collect()
    };
    for name in ["ringback-names", "ringback-servers"] {
        let to = to(name);
        assert!(to.iter().any(|to| to["podSelector"].is_object()), "{name}: pods");
        assert!(to.iter().any(|to| to["ipBlock"].is_object()), "{name}: addresses");
    }
    // NodeLocal DNSCache.
    assert!(to("ringback-names").iter().any(|to| to["ipBlock"]["cidr"] == "169.254.20.10/32"));
    let cluster = manifests_in(&[root().join(RABBITMQ)]);
    let rabbitmq = text(&of_kind(&cluster, "RabbitmqCluster")[0]["metadata"]["name"]);
    let by_name =
        |to: &&Value| to["podSelector"]["matchLabels"]["app.kubernetes.io/name"] == rabbitmq;
    assert!(to("ringback-servers").iter().any(by_name));
}

/// The namespace of the example lets no other pod in.
#[test]
fn pods_of_rabbitmq_are_confined_as_the_namespace_asks() {
    let example = files_below("deploy/kubernetes/overlays/example", "namespace.yaml");
    let labels = &manifests_in(&example)[0]["metadata"]["labels"];
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    let cluster = manifests_in(&[root().join(RABBITMQ)]);
    let spec = &of_kind(&cluster, "RabbitmqCluster")[0]["spec"];
    let pod = &spec["override"]["statefulSet"]["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    for (list, name) in [("containers", "rabbitmq"), ("initContainers", "setup-container")] {
        let container = &pod[list][0];
        assert_eq!(container["name"], name);
        assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL", "{name}");
    }
}

#[test]
fn alerts_and_dashboards_are_those_of_prometheus_and_grafana() {
    let (made, rule) = run(command("sh").arg("deploy/prometheus/as-prometheus-rule"));
    assert!(made, "{rule}");
    assert!(
        rule == read("deploy/kubernetes/components/monitoring/alerts.yaml"),
        "alerts.yml has changed: its first line says how to make alerts.yaml anew"
    );
    let parsed = |path: &str| {
        let load =
            "import json, sys, yaml; json.dump(yaml.safe_load(open(sys.argv[1])), sys.stdout)";
        json(python().args(["-c", load, path]))
    };
    let rule = parsed("deploy/kubernetes/components/monitoring/alerts.yaml");
    assert_eq!(rule["spec"]["groups"], parsed("deploy/prometheus/alerts.yml")["groups"]);
    assert!(items(&rule["spec"]["groups"]).count() > 3);
    let dashboards = parsed("dashboards/kustomization.yaml");
    let named: Vec<&str> = items(&dashboards["configMapGenerator"])
        .flat_map(|map| items(&map["files"]))
        .map(text)
        .collect();
    for file in files_below("dashboards", ".json") {
        let name = file.file_name().expect("a file").to_string_lossy();
        assert!(named.contains(&name.as_ref()), "{name}");
    }
}

/// More workers come before somebody is called for the backlog.
#[test]
fn autoscaling_acts_before_the_alert_of_a_growing_backlog() {
    let worth = |path: &str, from: &str| -> u32 {
        let text = read(path);
        let (_, after) = text.split_once(from).expect(from);
        let digits = after.chars().take_while(char::is_ascii_digit).collect::<String>();
        digits.parse().expect("a number")
    };
    let queues = r#"ringback_queue_messages{queue=~"fresh|returned|intake"})) > "#;
    let (_, growing) = read("deploy/prometheus/alerts.yml")
        .split_once("alert: RingbackBacklogGrowing")
        .map(|(before, after)| (before.to_owned(), after.to_owned()))
        .expect("the alert");
    let (_, threshold) = growing.split_once(queues).expect("its threshold");
    let threshold: u32 = threshold.lines().next().expect("a line").parse().expect("a number");
    for (path, average, least) in [
        ("autoscaling/autoscaler.yaml", "averageValue: \"", "minReplicas: "),
        ("keda/scaledobject.yaml", "threshold: \"", "minReplicaCount: "),
    ] {
        let path = format!("deploy/kubernetes/components/{path}");
        assert!(worth(&path, average) * worth(&path, least) < threshold, "{path}");
        assert!(read(&path).contains("returned"), "{path}: retries that are due want a worker too");
    }
}

#[test]
fn rabbitmq_has_the_same_advanced_configuration_everywhere() {
    let essence = |text: &str| -> String {
        let lines = text.lines().filter(|line| !line.trim_start().starts_with('%'));
        lines.flat_map(|line| line.split_whitespace()).collect()
    };
    let cluster = manifests_in(&[root().join(RABBITMQ)]);
    let spec = &of_kind(&cluster, "RabbitmqCluster")[0]["spec"];
    let advanced = essence(text(&spec["rabbitmq"]["advancedConfig"]));
    assert_eq!(advanced, essence(&read("deploy/rabbitmq/advanced.config")));
    assert_eq!(spec["replicas"], 3);
    let configuration = read("deploy/rabbitmq/cluster/rabbitmq.conf");
    for line in text(&spec["rabbitmq"]["additionalConfig"]).lines() {
        assert!(configuration.lines().any(|found| found == line), "{line}");
    }
}
