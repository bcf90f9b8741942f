//! Every column in each round, so that what disturbs the machine for a while disturbs all of them.

use anyhow::Result;

use super::Options;
use super::column::Column;

/// Runs every column that is wanted in each round, and gives what came of it, by column.
pub(super) async fn each_round<R>(
    options: &Options,
    fan_out: usize,
    run: impl AsyncFn(Column) -> Result<R>,
) -> Result<Vec<(Column, Vec<R>)>> {
    let mut runs: Vec<(Column, Vec<R>)> =
        options.columns(fan_out).map(|column| (column, Vec::new())).collect();
    for _ in 0..options.rounds {
        for (column, runs) in &mut runs {
            runs.push(run(*column).await?);
        }
    }
    Ok(runs)
}

/// A figure of each round of a column.
pub(super) fn of<R>(
    runs: &[(Column, Vec<R>)],
    column: Column,
    figure: impl Fn(&R) -> f64,
) -> Vec<f64> {
    let of_column = runs.iter().filter(|(of, _)| *of == column);
    of_column.flat_map(|(_, runs)| runs.iter().map(&figure)).collect()
}
