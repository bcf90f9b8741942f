//! What is done to a page.

use std::time::Duration;

use serde_json::{Value, json};

use super::driver::{Element, Refused};
use super::{Browser, Key, SOON};

/// Finds what is called by its words.
const FIND: &str = include_str!("find.js");

impl Browser {
    /// Opens a page and waits until it is loaded, whatever is answered: see [`status`](Self::status).
    ///
    /// # Panics
    /// If nothing is answered.
    pub async fn open(&self, url: &str) {
        let opened = self.driver.post("url", &json!({"url": url})).await;
        opened.unwrap_or_else(|error| panic!("opening {url}: {error:#}"));
    }

    /// Loads the page again.
    ///
    /// # Panics
    /// If the browser does not.
    pub async fn reload(&self) {
        self.driver.post("refresh", &json!({})).await.expect("a page is loaded again");
    }

    /// Goes back to the page before.
    ///
    /// # Panics
    /// If the browser does not.
    pub async fn back(&self) {
        self.driver.post("back", &json!({})).await.expect("there is a page before");
    }

    /// Writes `text` into the field with this label (or else name), in the place of what stands there.
    ///
    /// # Panics
    /// If there is no such field, or it takes no text.
    pub async fn fill(&self, field: &str, text: &str) {
        self.act("field", field, async |element| {
            self.driver.post(&element.command("clear"), &json!({})).await?;
            self.driver.post(&element.command("value"), &json!({"text": text})).await
        })
        .await;
    }

    /// Takes the choice that reads `option` in the list with this label (or else name).
    ///
    /// # Panics
    /// If there is no such list, or no such choice in it.
    pub async fn choose(&self, list: &str, option: &str) {
        const OPTION: &str = "const plain = (text) => text.replace(/\\s+/g, ' ').trim(); \
             return [...arguments[0].options].find((option) => plain(option.text) === arguments[1]) ?? null;";
        self.act("field", list, async |element| {
            let found = self.driver.run(OPTION, &[element.reference(), json!(option)]).await?;
            let found = Element::of(&found)
                .ok_or_else(|| anyhow::anyhow!("`{list}` has no choice `{option}`"))?;
            self.driver.post(&found.command("click"), &json!({})).await
        })
        .await;
    }

    /// Ticks the box with this label, takes the tick off it, or chooses the one of several.
    ///
    /// # Panics
    /// If there is none that can be ticked.
    pub async fn tick(&self, field: &str) {
        self.click("field", field).await;
    }

    /// Presses the button with this text (or title), and waits for the page that this may lead to.
    ///
    /// # Panics
    /// If there is none that can be pressed.
    pub async fn press(&self, button: &str) {
        self.click("button", button).await;
    }

    /// Follows the link with this text, and waits for the page.
    ///
    /// # Panics
    /// If there is none that can be followed.
    pub async fn follow(&self, link: &str) {
        self.click("link", link).await;
    }

    /// Presses a key, for whatever is focused.
    ///
    /// # Panics
    /// If the browser does not.
    pub async fn key(&self, key: Key) {
        let codes = key.codes();
        let down = codes.iter().map(|code| json!({"type": "keyDown", "value": code}));
        let up = codes.iter().rev().map(|code| json!({"type": "keyUp", "value": code}));
        let actions: Vec<_> = down.chain(up).collect();
        let keyboard = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        self.driver.post("actions", &keyboard).await.expect("keys are pressed");
    }

    /// Runs a function's body in the page and gives what it `return`s.
    ///
    /// # Panics
    /// If it throws.
    pub async fn run_script(&self, body: &str) -> Value {
        let ran = self.driver.run(body, &[]).await;
        ran.unwrap_or_else(|error| panic!("{error:#} in: {body}"))
    }

    async fn click(&self, kind: &str, words: &str) {
        self.act(kind, words, async |element| {
            self.driver.post(&element.command("click"), &json!({})).await
        })
        .await;
    }

    /// Does something to what is called so: when it is there, and again if it was not to be used yet.
    async fn act(
        &self,
        kind: &str,
        words: &str,
        act: impl AsyncFn(Element) -> anyhow::Result<Value>,
    ) {
        let mut obstacle = String::new();
        let acted = self.until(SOON, async || {
            let found = self.driver.run(FIND, &[json!(kind), json!(words)]).await;
            // Between two pages there is none to look into.
            let element = found.ok().and_then(|found| Element::of(&found))?;
            match act(element).await {
                Ok(_) => Some(Ok(())),
                Err(error) if error.downcast_ref().is_some_and(may_pass) => {
                    obstacle = format!(": {error}");
                    None
                }
                Err(error) => Some(Err(error)),
            }
        });
        match acted.await {
            Some(Ok(())) => {}
            Some(Err(error)) => panic!("{kind} `{words}`: {error:#}"),
            None => panic!("no {kind} `{words}` to be used{obstacle}, on {}", self.sight().await),
        }
    }

    /// What `look` finds as soon as it finds something; none at the deadline. A page does not tell when it changes.
    pub(super) async fn until<T>(
        &self,
        deadline: Duration,
        mut look: impl AsyncFnMut() -> Option<T>,
    ) -> Option<T> {
        let found = tokio::time::timeout(deadline, async {
            let mut ticks = tokio::time::interval(Duration::from_millis(20));
            loop {
                ticks.tick().await;
                if let Some(found) = look().await {
                    return found;
                }
            }
        });
        found.await.ok()
    }
}

/// Whether it may be done a moment later: the page was on its way, or something on it.
fn may_pass(refused: &Refused) -> bool {
    let passing = [
        "element click intercepted",
        "element not interactable",
        "invalid element state",
        "no such element",
        "stale element reference",
    ];
    passing.contains(&refused.error.as_str())
}
