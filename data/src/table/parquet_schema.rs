//! Parquet files as pandas, Spark and DuckDB write them, described so that they can be read: whole numbers of 8 and 16 bits as 32,
//! categories as texts, decimals as numbers with a factor.

use std::collections::HashMap;

use polars::prelude::{Column, DataFrame, DataType, PolarsResult};
use polars_parquet::parquet::metadata::SchemaDescriptor;
use polars_parquet::parquet::schema::types::{
    IntegerType, ParquetType, PhysicalType, PrimitiveConvertedType, PrimitiveLogicalType,
    PrimitiveType,
};
use polars_parquet::read::FileMetadata;

/// A file's description without what only features read that nothing else here needs, and per column of decimals its number of decimals.
///
/// The description that pandas adds (`ARROW:schema`) says again what the file's own says, and besides which texts were categories.
pub(crate) fn readable(metadata: &FileMetadata) -> (FileMetadata, HashMap<String, usize>) {
    let mut decimals = HashMap::new();
    let widen = |field: &ParquetType| match field {
        ParquetType::PrimitiveType(column) => {
            let (column, n_decimals) = widened(column);
            if let Some(n) = n_decimals {
                decimals.insert(column.field_info.name.to_string(), n);
            }
            ParquetType::PrimitiveType(column)
        }
        group @ ParquetType::GroupType { .. } => group.clone(),
    };
    let fields = metadata.schema().fields().iter().map(widen).collect();
    let schema_descr = SchemaDescriptor::new(metadata.schema().name().into(), fields);
    (FileMetadata { schema_descr, key_value_metadata: None, ..metadata.clone() }, decimals)
}

/// A column that can be read, and its number of decimals if it holds whole numbers for numbers with so many.
fn widened(column: &PrimitiveType) -> (PrimitiveType, Option<usize>) {
    use PrimitiveLogicalType as L;
    let plain = || PrimitiveType { logical_type: None, converted_type: None, ..column.clone() };
    let is_whole = matches!(column.physical_type, PhysicalType::Int32 | PhysicalType::Int64);
    match (column.logical_type, column.converted_type) {
        (Some(L::Decimal(_, n)), _) | (None, Some(PrimitiveConvertedType::Decimal(_, n)))
            if is_whole =>
        {
            (plain(), Some(n))
        }
        (Some(L::Integer(width)), _) if is_narrow(width) => (plain(), None),
        (
            None,
            Some(
                PrimitiveConvertedType::Int8
                | PrimitiveConvertedType::Int16
                | PrimitiveConvertedType::Uint8
                | PrimitiveConvertedType::Uint16,
            ),
        ) => (plain(), None),
        // Old writers do not say that bytes are a text.
        (None, None) if column.physical_type == PhysicalType::ByteArray => {
            (PrimitiveType { logical_type: Some(L::String), ..column.clone() }, None)
        }
        _ => (column.clone(), None),
    }
}

fn is_narrow(width: IntegerType) -> bool {
    use IntegerType as I;
    matches!(width, I::Int8 | I::Int16 | I::UInt8 | I::UInt16)
}

/// The table with its columns of decimals as the numbers that they stand for.
pub(crate) fn with_decimals(
    mut frame: DataFrame,
    decimals: &HashMap<String, usize>,
) -> PolarsResult<DataFrame> {
    for (name, &n) in decimals {
        let Ok(column) = frame.column(name) else { continue };
        let factor = 10f64.powi(n as i32);
        let numbers = column.cast(&DataType::Float64)?;
        let numbers: Vec<Option<f64>> =
            numbers.f64()?.iter().map(|number| number.map(|number| number / factor)).collect();
        frame.with_column(Column::new(name.as_str().into(), numbers))?;
    }
    Ok(frame)
}
