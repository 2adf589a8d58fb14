//! Rewrites the schema of Parquet files from pandas, Spark and `DuckDB` so that polars can read them: whole numbers of 8 and 16
//! bits as 32 bits, categories as texts, decimals as whole numbers with a factor.

use std::collections::HashMap;

use polars::prelude::{Column, DataFrame, DataType, PolarsResult};
use polars_parquet::parquet::metadata::SchemaDescriptor;
use polars_parquet::parquet::schema::types::{
    IntegerType, ParquetType, PhysicalType, PrimitiveConvertedType, PrimitiveLogicalType,
    PrimitiveType,
};
use polars_parquet::read::FileMetadata;

/// A file's metadata without types whose reading would need features of polars that nothing else here needs; and for each column
/// of decimals its number of decimals.
///
/// The metadata that pandas adds (`ARROW:schema`) repeats the file's own schema, and also says which texts were categories.
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

/// A column type that can be read. If it stores decimals as whole numbers, also their number of decimals.
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
        // Old writers do not mark bytes as text.
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

/// The table with its columns of decimals converted to the numbers that they stand for.
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
