//! What axe-core finds wrong with a page for people who can't see it, or use no mouse.

use std::fmt;

use anyhow::Context as _;
use serde_json::Value;

use super::driver::Driver;

/// A rule of accessibility that a page breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// How much it is in the way.
    pub impact: Impact,
    /// The rule's name, such as `color-contrast`.
    pub rule: String,
    /// What it asks for.
    pub help: String,
    /// Selectors of the elements that break it.
    pub elements: Vec<String>,
}

/// How much a violation is in the way of those whom it hinders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Impact {
    /// A nuisance.
    Minor,
    /// It takes them longer.
    Moderate,
    /// Some can't use a part.
    Serious,
    /// Some can't use the page.
    Critical,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {} ({})", self.impact, self.help, self.rule)?;
        self.elements.iter().try_for_each(|element| write!(formatter, "\n    {element}"))
    }
}

/// Runs it on the page that is open.
///
/// It comes in as a script of the driver's, which a page's policy has no say in.
pub(super) async fn run(driver: &Driver) -> anyhow::Result<Vec<Violation>> {
    const RUN: &str = r#"
        const [done] = arguments;
        const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];
        axe.run(document, {runOnly: {type: "tag", values: tags}, resultTypes: ["violations"]})
            .then((found) => done(found.violations), (error) => done(String(error)));
    "#;
    let axe = std::env::var("RINGBACK_TEST_AXE").context(
        "RINGBACK_TEST_AXE is not set: `cargo xtask test` fetches axe-core and runs the tests with it",
    )?;
    let axe = std::fs::read_to_string(&axe).context(axe)?;
    driver.run(&axe, &[]).await.context("loading axe-core")?;
    let found = driver.run_and_wait(RUN).await.context("running axe-core")?;
    let found = found.as_array().with_context(|| format!("axe-core: {found}"))?;
    Ok(found.iter().map(violation).collect())
}

fn violation(found: &Value) -> Violation {
    let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
    let impact = match found["impact"].as_str() {
        Some("minor") => Impact::Minor,
        Some("moderate") => Impact::Moderate,
        Some("serious") => Impact::Serious,
        // What has no name yet is to be looked at.
        _ => Impact::Critical,
    };
    let elements = found["nodes"].as_array().into_iter().flatten();
    // Within frames a selector has several parts.
    let selector = |element: &Value| {
        let parts = element["target"].as_array().into_iter().flatten();
        let parts: Vec<_> = parts.map(|part| part.as_str().unwrap_or_default()).collect();
        let why = element["failureSummary"].as_str().unwrap_or_default().replace('\n', " ");
        format!("{}: {why}", parts.join(" "))
    };
    let elements = elements.map(selector).collect();
    Violation { impact, rule: text("id"), help: text("help"), elements }
}
