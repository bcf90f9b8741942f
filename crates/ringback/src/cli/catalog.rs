//! `ringback catalog`: the types of events and their variables.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use ringback_core::EventName;
use serde_json::Value;

use super::Session;
use super::answer::{Answer, items, shown, text};
use super::client::{All, Query};
use super::failure::Failure;
use super::output::{Column, Field, Fit, Form, Tint, remark};

/// Manages the catalog.
#[derive(Args, Debug)]
pub(crate) struct Catalog {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the types of events, by their names
    List,
    /// Show a type and its variables
    Show {
        /// The type's name
        name: EventName,
    },
    /// Add a type, or replace it
    Put {
        /// A file with the type as JSON; - reads it from stdin
        file: PathBuf,
    },
    /// Remove a type; one that replaces a built-in type makes way for it again
    Delete {
        /// The type's name
        name: EventName,
    },
    /// Put a whole catalog in the place of the one that is there: all of it, or nothing
    Import {
        /// A file as `export` prints it; - reads it from stdin
        file: PathBuf,
    },
    /// Print the whole catalog as JSON
    Export,
}

const COLUMNS: [Column; 4] = [
    Column { title: "NAME", fit: Fit::Whole },
    Column { title: "ORIGIN", fit: Fit::Whole },
    Column { title: "VARIABLES", fit: Fit::Optional(1) },
    Column { title: "DESCRIPTION", fit: Fit::Optional(0) },
];

const VARIABLE_COLUMNS: [Column; 4] = [
    Column { title: "VARIABLE", fit: Fit::Whole },
    Column { title: "TYPE", fit: Fit::Whole },
    Column { title: "REQUIRED", fit: Fit::Whole },
    Column { title: "DESCRIPTION", fit: Fit::Wraps },
];

pub(super) async fn run(catalog: Catalog, session: &Session) -> anyhow::Result<()> {
    match catalog.action {
        Action::List => {
            let list = session.client.list(&["event-types"], &Query::new(), All).await?;
            session.out.list(&list, &COLUMNS, row, "No types.")
        }
        Action::Show { name } => show(&name, session).await,
        Action::Put { file } => put(&file, session).await,
        Action::Delete { name } => {
            session.client.delete(&["event-types", name.as_str()]).await?;
            remark(format_args!("Removed type {name}."));
            Ok(())
        }
        Action::Import { file } => import(&file, session).await,
        Action::Export => {
            let answer = session.client.get(&["catalog"]).await?;
            match session.out.form {
                Form::Json => session.out.json(&answer),
                // A file that people read and change.
                Form::People => session.out.line(format_args!("{:#}", answer.value)),
            }
        }
    }
}

fn row(kind: &Answer) -> Vec<Field> {
    vec![
        Field::new(kind.shown("/name")),
        origin(&kind.value),
        Field::new(items(&kind.value, "/variables").len().to_string()),
        Field::new(kind.shown("/description")),
    ]
}

fn origin(kind: &Value) -> Field {
    match text(kind, "/origin") {
        Some("built_in") => Field::tinted("built in", Tint::Faint),
        Some("replaces_built_in") => Field::new("replaces built-in"),
        Some(other) => Field::new(other),
        None => Field::new("-"),
    }
}

async fn show(name: &EventName, session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get(&["event-types", name.as_str()]).await?;
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    session.out.facts(&[
        ("Type", Field::tinted(answer.shown("/name"), Tint::Strong)),
        ("Origin", origin(&answer.value)),
        ("Description", Field::new(answer.shown("/description"))),
    ])?;
    let variables = items(&answer.value, "/variables");
    if variables.is_empty() {
        remark(format_args!("It has no variables that are known."));
        return Ok(());
    }
    session.out.table(&VARIABLE_COLUMNS, variables.iter().map(variable_row).collect())
}

fn variable_row(variable: &Value) -> Vec<Field> {
    let required = variable.pointer("/required") == Some(&Value::Bool(true));
    vec![
        Field::new(shown(variable, "/name")),
        Field::new(kind_of(variable)),
        Field::new(if required { "yes" } else { "no" }),
        Field::new(shown(variable, "/description")),
    ]
}

fn kind_of(variable: &Value) -> String {
    let kind = shown(variable, "/type");
    match variable.pointer("/max_length") {
        Some(limit @ Value::Number(_)) => format!("{kind} of {limit}"),
        _ => kind,
    }
}

async fn put(file: &Path, session: &Session) -> anyhow::Result<()> {
    let kind = read(file)?;
    let name: EventName = match kind.text("/name").map(str::parse) {
        Some(Ok(name)) => name,
        Some(Err(error)) => return Err(Failure::usage(format!("/name: {error}"))),
        None => return Err(Failure::usage("/name: the type's name is needed")),
    };
    let answer = session.client.put(&["event-types", name.as_str()], &kind.json).await?;
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    remark(format_args!("Type {name} counts from now on."));
    Ok(())
}

async fn import(file: &Path, session: &Session) -> anyhow::Result<()> {
    let answer = session.client.put(&["catalog"], &read(file)?.json).await?;
    if session.out.form == Form::Json {
        return session.out.json(&answer);
    }
    let len = |pointer: &str| items(&answer.value, pointer).len();
    remark(format_args!("{} types added or changed, {} removed.", len("/put"), len("/removed")));
    Ok(())
}

/// Reads JSON and keeps it to the letter.
fn read(file: &Path) -> anyhow::Result<Answer> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("stdin can't be read")?;
    } else {
        text = std::fs::read_to_string(file).map_err(|error| {
            Failure::usage(format!("{} can't be read: {error}", file.display()))
        })?;
    }
    Answer::parse(&text)
        .map_err(|error| Failure::usage(format!("{} is not JSON: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn type_of_a_variable_is_told_with_its_limit() {
        assert_eq!(kind_of(&json!({"type": "string", "max_length": 255})), "string of 255");
        assert_eq!(kind_of(&json!({"type": "integer", "max_length": null})), "integer");
    }
}
