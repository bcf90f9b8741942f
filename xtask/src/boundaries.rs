//! Which crate may use which: `bans.deny` of deny.toml, and one rule that cargo-deny has no words for.
//!
//! cargo-deny says the same and more, but is not on every machine; the table is the same one. What only tests use is
//! nobody's business (`graph.exclude-dev`).

use anyhow::{Context as _, ensure};

use crate::metadata::Metadata;
use crate::run::root;

/// A library, and the only packages that may depend on it directly.
struct Ban {
    library: String,
    wrappers: Vec<String>,
}

/// The domain is pure: none of these may be behind it, not even by way of another crate.
const NOT_IN_CORE: [&str; 5] = ["tokio", "reqwest", "hyper", "sqlx", "tracing"];

/// Holds every member of the workspace to the rules.
///
/// # Errors
/// Names each that breaks one.
pub(crate) fn check(metadata: &Metadata) -> anyhow::Result<()> {
    let bans = read_bans(&std::fs::read_to_string(root().join("deny.toml"))?)?;
    let broken = [broken_bans(metadata, &bans), impurities_of_core(metadata)].concat();
    ensure!(broken.is_empty(), "crate boundaries:\n  {}", broken.join("\n  "));
    Ok(())
}

fn read_bans(text: &str) -> anyhow::Result<Vec<Ban>> {
    let table: toml::Table = text.parse().context("deny.toml")?;
    let bans = table.get("bans").and_then(|bans| bans.get("deny")).and_then(toml::Value::as_array);
    let bans = bans.context("deny.toml has a list `bans.deny`")?;
    bans.iter()
        .map(|ban| {
            read_ban(ban)
                .with_context(|| format!("deny.toml: {ban:?} has no `crate` and `wrappers`"))
        })
        .collect()
}

fn read_ban(ban: &toml::Value) -> Option<Ban> {
    let wrappers =
        ban.get("wrappers")?.as_array()?.iter().map(|name| name.as_str().map(str::to_owned));
    Some(Ban {
        library: ban.get("crate")?.as_str()?.to_owned(),
        wrappers: wrappers.collect::<Option<_>>()?,
    })
}

fn broken_bans(metadata: &Metadata, bans: &[Ban]) -> Vec<String> {
    let mut broken = Vec::new();
    for Ban { library, wrappers } in bans {
        for wrapper in wrappers {
            if !metadata.has(wrapper) {
                broken.push(format!("deny.toml allows {library} to {wrapper}, which there is not"));
            }
        }
        for member in &metadata.members {
            let uses = member.dependencies.contains(library);
            if uses && !wrappers.contains(&member.name) {
                broken.push(format!("{} may not depend on {library} (deny.toml)", member.name));
            }
        }
    }
    broken
}

fn impurities_of_core(metadata: &Metadata) -> Vec<String> {
    let core = metadata.closure("ringback-core");
    let impure = NOT_IN_CORE.iter().filter(|library| core.contains(library));
    impure.map(|library| format!("ringback-core is pure, and built with {library}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Member;

    fn workspace(dependency: &str) -> Metadata {
        let member = |name: &str, dependencies: &[&str]| Member {
            name: name.to_owned(),
            dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
        };
        Metadata::of_members(vec![
            member("ringback-worker", &[dependency]),
            member("ringback-store", &[]),
        ])
    }

    #[test]
    fn only_wrappers_may_use_a_banned_library() {
        let bans = read_bans(r#"bans.deny = [{ crate = "sqlx", wrappers = ["ringback-store"] }]"#);
        let bans = bans.expect("a valid table");
        assert_eq!(broken_bans(&workspace("tokio"), &bans), [""; 0]);
        let broken = broken_bans(&workspace("sqlx"), &bans);
        assert_eq!(broken, ["ringback-worker may not depend on sqlx (deny.toml)"]);
    }

    #[test]
    fn wrapper_that_does_not_exist_is_a_slip_of_the_pen() {
        let bans =
            [Ban { library: "sqlx".to_owned(), wrappers: vec!["ringback-stroe".to_owned()] }];
        assert_eq!(broken_bans(&workspace("tokio"), &bans).len(), 1);
    }

    #[test]
    fn ban_without_wrappers_is_refused_and_not_passed_over() {
        assert!(read_bans(r#"bans.deny = [{ crate = "sqlx" }]"#).is_err());
        assert!(read_bans("[bans]").is_err());
    }
}
