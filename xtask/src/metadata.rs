//! What cargo knows of the workspace.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::run::cargo;

/// What cargo knows of the workspace.
pub(crate) struct Metadata {
    /// Where cargo builds.
    pub(crate) target_directory: PathBuf,
    /// Its members.
    pub(crate) members: Vec<Member>,
    /// Each package of the whole graph and what it is built with.
    graph: Vec<(String, Vec<String>)>,
}

/// A member of the workspace.
pub(crate) struct Member {
    /// Its name.
    pub(crate) name: String,
    /// What its manifest says it depends on, for its tests alone left out.
    pub(crate) dependencies: Vec<String>,
}

impl Metadata {
    /// Asks cargo.
    ///
    /// # Errors
    /// If it does not answer.
    pub(crate) fn read() -> anyhow::Result<Self> {
        let output = cargo(&["metadata", "--format-version", "1"]).output()?;
        ensure!(
            output.status.success(),
            "cargo metadata: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let json: Value = serde_json::from_slice(&output.stdout)?;
        Self::parse(&json).context("cargo metadata has an unknown form")
    }

    /// A workspace of these members.
    #[cfg(test)]
    pub(crate) fn of_members(members: Vec<Member>) -> Self {
        Self { target_directory: PathBuf::new(), members, graph: Vec::new() }
    }

    fn parse(json: &Value) -> Option<Self> {
        let packages = json["packages"].as_array()?;
        let ours = json["workspace_members"].as_array()?;
        let members =
            packages.iter().filter(|package| ours.contains(&package["id"])).map(Member::parse);
        let nodes = json["resolve"]["nodes"].as_array()?;
        Some(Self {
            target_directory: json["target_directory"].as_str()?.into(),
            members: members.collect::<Option<_>>()?,
            graph: nodes.iter().map(edges).collect::<Option<_>>()?,
        })
    }

    /// Whether there is a package of this name, ours or another's.
    pub(crate) fn has(&self, name: &str) -> bool {
        let is_ours = self.members.iter().any(|member| member.name == name);
        is_ours || self.graph.iter().any(|(id, _)| name_of(id) == name)
    }

    /// The names of all packages that this one is built with, itself among them.
    pub(crate) fn closure(&self, member: &str) -> Vec<&str> {
        let is_member = |id: &str| name_of(id) == member;
        let mut reached: Vec<&str> =
            self.graph.iter().map(|(id, _)| id.as_str()).filter(|id| is_member(id)).collect();
        let mut next = 0;
        while let Some(&id) = reached.get(next) {
            let edges = self.graph.iter().find(|(package, _)| package == id);
            for dependency in
                edges.map(|(_, dependencies)| dependencies.as_slice()).unwrap_or_default()
            {
                if !reached.contains(&dependency.as_str()) {
                    reached.push(dependency);
                }
            }
            next += 1;
        }
        reached.into_iter().map(name_of).collect()
    }
}

impl Member {
    fn parse(package: &Value) -> Option<Self> {
        let dependencies = package["dependencies"].as_array()?.iter();
        let shipped = dependencies.filter(|dependency| dependency["kind"] != "dev");
        let names = shipped.map(|dependency| dependency["name"].as_str().map(str::to_owned));
        Some(Self {
            name: package["name"].as_str()?.to_owned(),
            dependencies: names.collect::<Option<_>>()?,
        })
    }
}

fn edges(node: &Value) -> Option<(String, Vec<String>)> {
    let is_built_with = |dependency: &&Value| {
        dependency["dep_kinds"]
            .as_array()
            .is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"] != "dev"))
    };
    let dependencies = node["deps"].as_array()?.iter().filter(is_built_with);
    let names = dependencies.map(|dependency| dependency["pkg"].as_str().map(str::to_owned));
    Some((node["id"].as_str()?.to_owned(), names.collect::<Option<_>>()?))
}

/// The name in a package id: `path+file:///a/core#ringback-core@0.1.0`, or `…/xtask#0.1.0` where the directory names it.
fn name_of(id: &str) -> &str {
    let (place, fragment) = id.rsplit_once('#').unwrap_or(("", id));
    match fragment.split_once('@') {
        Some((name, _)) => name,
        None => place.rsplit('/').next().unwrap_or(place),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_out_of_package_ids() {
        assert_eq!(name_of("path+file:///home/a/crates/core#ringback-core@0.1.0"), "ringback-core");
        assert_eq!(name_of("path+file:///home/a/xtask#0.1.0"), "xtask");
        assert_eq!(
            name_of("registry+https://github.com/rust-lang/crates.io-index#tokio@1.54.1"),
            "tokio"
        );
    }
}
