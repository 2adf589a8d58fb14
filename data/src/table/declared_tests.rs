//! Tables of declared spaces: columns of decisions, joins, filters, duplicates.

use std::fs;
use std::path::{Path, PathBuf};

use lat_space::{DeclaredSpace, Space};
use polars::prelude::{Column, DataFrame};
use tempfile::TempDir;

use crate::run::frame;
use crate::{DataError, LatencyTable, RowFilter, TableRequest, read_architectures};

/// A stage of two or three blocks; the third exists only if the depth says so.
const SPACE: &str = r#"
id = "stage"
[[decision]]
name = "depth"
values = [2, 3]
[[decision]]
name = "k{0..2}"
values = [3, 5]
present = "depth > {i}"
[[decision]]
name = "op"
choices = ["conv", "pool"]
codes = [0, 1]
"#;

struct Files {
    dir: TempDir,
    data: PathBuf,
    architectures: Option<PathBuf>,
    space: DeclaredSpace,
}

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let (data, other) = (dir.path().join("t.csv"), dir.path().join("a.csv"));
        let architectures = other.exists().then_some(other);
        Self { dir, data, architectures, space: DeclaredSpace::read(SPACE).unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Reads the table `t.csv`, with `a.csv` as its architectures if that file exists.
    fn read<'a>(
        &'a self,
        change: impl Fn(&mut TableRequest<'a>),
    ) -> Result<LatencyTable, DataError> {
        let mut request = TableRequest {
            declared: Some(&self.space),
            architectures: self.architectures.as_deref(),
            ..TableRequest::new(&self.data, "latency_ms")
        };
        change(&mut request);
        LatencyTable::read(&request)
    }

    /// The error message without the folder's path.
    fn refused<'a>(&'a self, change: impl Fn(&mut TableRequest<'a>)) -> String {
        let text = self.read(change).unwrap_err().to_string();
        text.replace(&format!("{}/", self.dir.path().display()), "")
    }
}

fn as_is(_: &mut TableRequest) {}

fn rows(table: &LatencyTable) -> Vec<(&str, f64)> {
    table.rows.iter().map(|row| (row.architecture.as_str(), row.value)).collect()
}

const HEAD: &str = "depth,k0,k1,k2,op,latency_ms\n";

fn table(rows: &str) -> Files {
    Files::new(&[("t.csv", &format!("{HEAD}{rows}"))])
}

#[test]
fn a_column_per_decision_makes_an_architecture() {
    let files = table("3,5,3,3,pool,1.5\n2.0,3,3,,0,2\n");
    let table = files.read(as_is).unwrap();
    let expected = [("depth=3,k0=5,k1=3,k2=3,op=pool", 1.5), ("depth=2,k0=3,k1=3,op=conv", 2.0)];
    assert_eq!(rows(&table), expected);
    assert_eq!((table.space.as_str(), table.skipped, &table.duplicates), ("stage", 0, &None));
}

#[test]
fn parquet_columns_of_any_number_type_and_text_columns_say_the_same() {
    let files = Files::new(&[(
        "t.csv",
        "arch_str,latency_ms\n\"depth=3,k0=5,k1=3,k2=3,op=pool\",1.5\n\"op=0, depth=2,k0=3,k1=3\",2\n",
    )]);
    let from_text = files.read(as_is).unwrap();
    let path = files.path("t.parquet");
    let mut frame = DataFrame::new_infer_height(vec![
        Column::new("depth".into(), [3_i64, 2]),
        Column::new("k0".into(), [5.0_f64, 3.0]),
        Column::new("k1".into(), [3_i32, 3]),
        Column::new("k2".into(), [Some(3_i32), None]),
        Column::new("op".into(), [1_i64, 0]),
        Column::new("latency_ms".into(), [1.5, 2.0]),
    ])
    .unwrap();
    frame::write_parquet(&mut fs::File::create(&path).unwrap(), &mut frame).unwrap();
    let request =
        TableRequest { declared: Some(&files.space), ..TableRequest::new(&path, "latency_ms") };
    let from_columns = LatencyTable::read(&request).unwrap();
    assert_eq!(from_columns.rows, from_text.rows);
    let texts = read_architectures(&path, &files.space).unwrap();
    let texts: Vec<String> = texts.collect::<Result<_, _>>().unwrap();
    assert_eq!(texts[1], "depth=2,k0=3,k1=3,op=conv");
    let space: &dyn Space = &files.space;
    assert!(texts.iter().all(|text| space.parse(text).is_ok()));
}

#[test]
fn unknown_choices_and_missing_columns_are_named() {
    let expected = "t.csv: expected in column 'k1' one of 3, 5; found '7' in row 2";
    assert_eq!(table("2,3,3,3,pool,1\n2,3,7,3,pool,1\n").refused(as_is), expected);
    let expected = "t.csv: expected in column 'k2' one of 3, 5; found nothing in row 1";
    assert_eq!(table("3,3,3,,pool,1\n").refused(as_is), expected);
    let expected = "t.csv: expected in column 'op' one of conv, pool; found 'Pool' in row 1";
    assert_eq!(table("2,3,3,3,Pool,1\n").refused(as_is), expected);
    let files = Files::new(&[("t.csv", "depth,k0,op,latency_ms\n2,3,0,1\n")]);
    let expected = "t.csv: expected a column per decision of space 'stage', or a text column \
                    architecture or arch_str or cellstr or arch (--text-column names another); found no column 'k1', 'k2' \
                    among depth, k0, op, latency_ms";
    assert_eq!(files.refused(as_is), expected);
    let files =
        Files::new(&[("t.csv", "arch,latency_ms\n\"depth=2,k0=3,k1=3,op=1\",1\ndepth=4,1\n")]);
    let message = files.refused(as_is);
    assert!(message.starts_with("t.csv, row 2: not an architecture of stage"), "{message}");
    let message = table("2,3,3,3,0,1\n").refused(|request| request.column = "depth");
    assert!(message.contains("'depth', which is a decision"), "{message}");
    let message = table("2,3,3,3,0,1\n").refused(|request| request.column = "energy_mj");
    assert!(message.ends_with("found columns of numbers latency_ms"), "{message}");
}

#[test]
fn values_that_no_measurement_has_are_refused_and_missing_ones_left_out_when_told() {
    let files = table("2,3,3,3,0,1\n2,3,3,3,1,NaN\n2,3,5,3,1,\n2,5,5,3,1,2\n");
    let message = files.refused(as_is);
    assert!(message.contains("2 of 4 values") && message.contains("first in row 2 (NaN)"));
    assert!(message.ends_with("by --drop-missing"), "{message}");
    let table_ = files.read(|request| request.drop_missing = true).unwrap();
    assert_eq!((table_.rows.len(), table_.skipped), (2, 2));
    let message = table("2,3,3,3,0,0\n").refused(|request| request.drop_missing = true);
    assert!(message.contains("1 of 1 values") && message.ends_with("repair these rows"));
}

#[test]
fn duplicates_are_reported_and_averaged_only_when_told() {
    // Rows 1, 2 and 4 differ only in a slot that is not built.
    let files = table("2,3,3,3,0,1\n2,3,3,5,0,1.25\n3,3,3,5,0,9\n2,3,3,,conv,1.5\n3,3,3,5,0,9\n");
    let first = files.read(as_is).unwrap();
    assert_eq!(first.rows.iter().map(|row| row.value).collect::<Vec<_>>(), [1.0, 9.0]);
    assert_eq!(first.repeats, [(1.0, 1.25), (1.0, 1.5), (9.0, 9.0)]);
    let several = first.duplicates.unwrap();
    assert_eq!((several.architectures, several.values, several.rows), (1, (1.0, 1.5), (1, 4)));
    assert!((several.largest - 0.5).abs() < 1e-12);
    assert_eq!(several.example, "depth=2,k0=3,k1=3,op=conv");
    let mean = files.read(|request| request.average_duplicates = true).unwrap();
    assert_eq!(mean.rows.iter().map(|row| row.value).collect::<Vec<_>>(), [1.25, 9.0]);
    assert_eq!(mean.repeats, first.repeats);
}

const ARCHITECTURES: &str = "id,depth,k0,k1,k2,op\n7,2,3,3,3,0\n8,3,5,3,3,1\n9,3,5,5,7,1\n";
const MEASURED: &str = "id,device,batch,latency_ms\n8.0,x,1,2\n7,y,1,3\n7,x,32,9\n7,x,1,1\n";

fn filters(texts: &[&str]) -> Vec<RowFilter> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

#[test]
fn architectures_of_another_file_are_joined_and_rows_chosen() {
    let chosen = filters(&["device=x", "batch = 1.0"]);
    let deep = filters(&["depth=2", "device=x", "batch=1"]);
    let files = Files::new(&[("a.csv", ARCHITECTURES), ("t.csv", MEASURED)]);
    let table = files.read(|request| request.filters = &chosen).unwrap();
    let expected = [("depth=3,k0=5,k1=3,k2=3,op=pool", 2.0), ("depth=2,k0=3,k1=3,op=conv", 1.0)];
    assert_eq!(rows(&table), expected);
    let table = files.read(|request| request.filters = &deep).unwrap();
    assert_eq!(rows(&table), [("depth=2,k0=3,k1=3,op=conv", 1.0)]);
    // The choice in row 3 of a.csv does not exist, but that row was not measured.
    let more = MEASURED.to_owned() + "9,x,1,4\n";
    fs::write(files.path("t.csv"), more).unwrap();
    let expected = "a.csv: expected in column 'k2' one of 3, 5; found '7' in row 3";
    assert_eq!(files.refused(|request| request.filters = &chosen), expected);
}

#[test]
fn filters_that_nothing_fits_are_refused_with_what_there_is() {
    let refused = |texts: &[&str]| {
        let filters = filters(texts);
        let files = Files::new(&[("a.csv", ARCHITECTURES), ("t.csv", MEASURED)]);
        files.refused(|request| request.filters = &filters)
    };
    let expected = "t.csv: no row has device = 'z'; expected one of the values that column 'device' has in the rows left: 'x', 'y'";
    assert_eq!(refused(&["device=z"]), expected);
    assert!(refused(&["device=y", "batch=32"]).ends_with("in the rows left: '1'"));
    let expected = "t.csv: expected a column 'gpu'; found columns id, device, batch, latency_ms, depth, k0, k1, k2, op";
    assert_eq!(refused(&["gpu=x"]), expected);
    let expected = "t.csv: refuse mixed values of column 'device': 'x', 'y'; expected one value: filter the table first";
    assert!(refused(&[]).starts_with(expected), "{}", refused(&[]));
    assert!("device".parse::<RowFilter>().unwrap_err().contains("COLUMN=VALUE"));
    assert!("=x".parse::<RowFilter>().is_err());
}

#[test]
fn files_that_cannot_be_joined_are_refused() {
    let refused = |architectures: &str, measured: &str| {
        Files::new(&[("a.csv", architectures), ("t.csv", measured)]).refused(as_is)
    };
    let both = "cannot join t.csv and a.csv: expected ";
    let message = refused(ARCHITECTURES, "number,latency_ms\n7,1\n");
    assert!(message.starts_with(&format!("{both}one column that both have")), "{message}");
    let message = refused("id,n,depth,k0,k1,k2,op\n7,1,2,3,3,3,0\n", "id,n,latency_ms\n7,1,1\n");
    assert!(message.ends_with("(rename the others); found 'id', 'n'"), "{message}");
    let message =
        refused("id,depth,k0,k1,k2,op\n7,2,3,3,3,0\n7,2,3,3,3,1\n", "id,latency_ms\n7,1\n");
    assert!(message.ends_with("each 'id' once in the latter; found '7' in rows 1 and 2"));
    let message = refused(ARCHITECTURES, "id,latency_ms\n7,1\n10,2\n11,2\n");
    assert!(message.ends_with("found 2 of 3 that it lacks, the first '10' in row 2 of the former"));
    let message = refused(ARCHITECTURES, "id,op,latency_ms\n7,0,1\n");
    assert!(message.ends_with("found column 'op' in both"), "{message}");
}

#[test]
fn a_decision_may_be_called_like_a_note_on_the_measurement() {
    let space = DeclaredSpace::read(
        "id = \"s\"\n[[decision]]\nname = \"batch\"\nvalues = [1, 2]\n[[decision]]\nname = \"mode\"\nchoices = [\"a\", \"b\"]",
    );
    let space = space.unwrap();
    let files = Files::new(&[("t.csv", "batch,mode,latency_ms\n1,a,1\n2,b,2\n")]);
    let path: &Path = &files.path("t.csv");
    let request = TableRequest { declared: Some(&space), ..TableRequest::new(path, "latency_ms") };
    assert_eq!(LatencyTable::read(&request).unwrap().rows.len(), 2);
}
