//! Lists the columns of a table: their values, and how many rows have each.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use super::columns::Columns;
use super::file;
use crate::{DataError, RowFilter};

/// The most different values of a column that are listed. If there are more, they are measurements or names of single rows, not
/// settings.
const MOST: usize = 1000;

/// A column and its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ColumnValues {
    /// Its name.
    pub name: String,
    /// Number of different values.
    pub n_values: usize,
    /// The values in the order of their first rows. Empty if there are more than a thousand, or if their type is not read.
    pub values: Vec<ValueCount>,
}

/// A value, and the number of rows that have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ValueCount {
    /// The value as text; empty if rows have none.
    pub value: String,
    /// Number of rows with it.
    pub rows: usize,
}

/// The columns of a run folder, a `.parquet` or a `.csv` file, in the file's order. Only rows that match all filters count.
///
/// # Errors
/// [`DataError::Missing`] and [`DataError::Content`] if there is no such table, [`DataError::NoColumn`] and [`DataError::NoRow`]
/// if nothing matches a filter.
pub fn list_columns(path: &Path, filters: &[RowFilter]) -> Result<Vec<ColumnValues>, DataError> {
    let mut columns = file::open(path, None)?;
    for filter in filters {
        filter.apply(&mut columns)?;
    }
    Ok(columns.each_name().map(|name| values(&columns, name)).collect())
}

fn values(columns: &Columns, name: &str) -> ColumnValues {
    let (mut values, mut places) = (Vec::<ValueCount>::new(), HashMap::<String, usize>::new());
    // A column that cannot be read has no values; the other columns are still listed.
    for cell in columns.texts(name).unwrap_or_default() {
        let value = cell.unwrap_or_default();
        if let Some(&place) = places.get(&value) {
            values[place].rows += 1;
        } else {
            places.insert(value.clone(), values.len());
            values.push(ValueCount { value, rows: 1 });
        }
    }
    let n_values = values.len();
    if n_values > MOST {
        values.clear();
    }
    ColumnValues { name: name.to_owned(), n_values, values }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn values_come_in_the_order_of_their_first_rows_with_their_counts() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.csv");
        let many: String = (0..1500).map(|i| format!("z,1,{i}\n")).collect();
        fs::write(&path, format!("device,batch,id\nb,8,x\na,1,y\nb,,w\n{many}")).unwrap();
        let text = |filters: &[&str]| -> Vec<String> {
            let filters: Vec<RowFilter> = filters.iter().map(|f| f.parse().unwrap()).collect();
            let line = |c: ColumnValues| {
                let values = c.values.iter().map(|v| format!(" {}:{}", v.value, v.rows));
                format!("{} {}{}", c.name, c.n_values, values.collect::<String>())
            };
            list_columns(&path, &filters).unwrap().into_iter().map(line).collect()
        };
        assert_eq!(text(&[]), ["device 3 b:2 a:1 z:1500", "batch 3 8:1 1:1501 :1", "id 1503"]);
        assert_eq!(text(&["device=b"]), ["device 1 b:2", "batch 2 8:1 :1", "id 2 x:1 w:1"]);
        let none = list_columns(&path, &["device=q".parse().unwrap()]).unwrap_err().to_string();
        assert!(none.contains("'q'"), "{none}");
    }
}
