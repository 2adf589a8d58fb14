//! The table that `lat train` prints.

use lat_predictor::{Metrics, Report};

use crate::cli::op_table::Judged;
use crate::cli::output::{figure, table};

pub(super) fn report_table(report: &Report, operations: Option<&Judged>, unit: &str) -> String {
    let of_operations = operations.into_iter().flat_map(|judged| {
        let row = |name: String, metrics: &Metrics| {
            let mut row = vec![name];
            row.extend(metric_cells(metrics));
            row.push("-".to_owned());
            row
        };
        let Judged { sum, scaled, factor, constant_ms } = judged;
        [
            row("operations, added up".to_owned(), sum),
            row(format!("operations * {factor:.3} + {constant_ms:.3} ms"), scaled),
        ]
    });
    let rows = report.fitted.iter().enumerate().map(|(i, fitted)| {
        let mark = if i == report.chosen { "*" } else { "" };
        let mut row = vec![format!("{}{mark}", fitted.entry.name)];
        match &fitted.test {
            Some(m) => row.extend(metric_cells(m)),
            None => row.extend(std::iter::repeat_n("-".to_owned(), 6)),
        }
        row.push(format!("{:.1}", fitted.seconds));
        row
    });
    let mae = format!("MAE {unit}");
    table(
        &["regressor", &mae, "MAPE %", "within 5 %", "within 10 %", "Kendall", "Spearman", "s"],
        rows.chain(of_operations),
    )
}

pub(in crate::cli) fn metric_cells(m: &Metrics) -> Vec<String> {
    vec![
        figure(m.mae),
        format!("{:.2}", m.mape),
        format!("{:.1}", m.within_5),
        format!("{:.1}", m.within_10),
        format!("{:.3}", m.kendall),
        format!("{:.3}", m.spearman),
    ]
}
