//! Where the servers' programs are.

use std::fs;
use std::path::PathBuf;

/// Where a program is that servers and their tools consist of: in the directories where Debian keeps the originals of
/// RabbitMQ and PostgreSQL, else on the `PATH`.
///
/// What Debian has on the `PATH` instead are scripts of its own that change the user, or look for the system's server.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let originals = [Some("/usr/lib/rabbitmq/bin".into()), newest_postgres()];
    let directories = originals.into_iter().flatten().chain(std::env::split_paths(&path));
    directories.map(|directory| directory.join(name)).find(|file| file.is_file())
}

/// There may be more than one version.
fn newest_postgres() -> Option<PathBuf> {
    let entries = fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
    let versions = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    versions.max().map(|version| format!("/usr/lib/postgresql/{version}/bin").into())
}
