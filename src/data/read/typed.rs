//! Columns out of Arrow's arrays, which Parquet is read into as well: numbers as they are, not by way of text.

use std::sync::OnceLock;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DecimalType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayAccessor, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};

use super::columns::{Meaning, cells_of};
use super::raw::{Cells, Text};
use crate::data::cell::{EXACT, Numeric, parse_number};
use crate::data::table::MISSING;

/// Whether something can be learned from a column of this type; lists, structs, bytes and spans of time are
/// [`Cells::Foreign`].
pub(super) fn is_readable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => {
            matches!(**values, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
        }
        other => {
            other.is_numeric()
                || matches!(
                    other,
                    DataType::Null
                        | DataType::Boolean
                        | DataType::Utf8
                        | DataType::LargeUtf8
                        | DataType::Utf8View
                        | DataType::Date32
                        | DataType::Date64
                        | DataType::Timestamp(..)
                )
        }
    }
}

/// What kind of cells a type makes, for comparing the columns of two files.
pub(super) fn kind_of(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Date32 | DataType::Date64 | DataType::Timestamp(..) => "dates",
        DataType::Boolean => "booleans",
        DataType::Null => "nothing",
        other if other.is_numeric() => "numbers",
        other if is_readable(other) => "text",
        _ => "something else",
    }
}

/// The column that an array makes.
pub(super) fn cells_of_array(array: &dyn Array, meaning: &Meaning) -> Cells {
    let data_type = array.data_type();
    match data_type {
        DataType::Null => Cells::numbers(vec![f64::NAN; array.len()]),
        DataType::Boolean => {
            let array = array.as_boolean();
            let codes = array.iter().map(|cell| cell.map_or(MISSING, u32::from)).collect();
            Cells::Coded { codes, levels: vec!["false".into(), "true".into()] }
        }
        DataType::Int8 => plain::<Int8Type>(array, f64::from),
        DataType::Int16 => plain::<Int16Type>(array, f64::from),
        DataType::Int32 => plain::<Int32Type>(array, f64::from),
        DataType::Int64 => integers::<Int64Type>(array, |x| x as f64),
        DataType::UInt8 => plain::<UInt8Type>(array, f64::from),
        DataType::UInt16 => plain::<UInt16Type>(array, f64::from),
        DataType::UInt32 => plain::<UInt32Type>(array, f64::from),
        DataType::UInt64 => integers::<UInt64Type>(array, |x| x as f64),
        DataType::Float16 => plain::<Float16Type>(array, f64::from),
        DataType::Float32 => plain::<Float32Type>(array, f64::from),
        DataType::Float64 => plain::<Float64Type>(array, |x| x),
        DataType::Decimal32(_, scale) => decimals::<Decimal32Type>(array, *scale),
        DataType::Decimal64(_, scale) => decimals::<Decimal64Type>(array, *scale),
        DataType::Decimal128(_, scale) => decimals::<Decimal128Type>(array, *scale),
        DataType::Decimal256(_, scale) => decimals::<Decimal256Type>(array, *scale),
        DataType::Date32 => days::<Date32Type>(array, f64::from),
        DataType::Date64 => days::<Date64Type>(array, |x| x as f64 / 86_400e3),
        DataType::Timestamp(TimeUnit::Second, _) => {
            days::<TimestampSecondType>(array, |x| x as f64 / 86_400.0)
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            days::<TimestampMillisecondType>(array, |x| x as f64 / 86_400e3)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            days::<TimestampMicrosecondType>(array, |x| x as f64 / 86_400e6)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            days::<TimestampNanosecondType>(array, |x| x as f64 / 86_400e9)
        }
        DataType::Utf8 => texts(&array.as_string::<i32>(), meaning),
        DataType::LargeUtf8 => texts(&array.as_string::<i64>(), meaning),
        DataType::Utf8View => texts(&array.as_string_view(), meaning),
        DataType::Dictionary(..) if is_readable(data_type) => coded(array, meaning),
        other => Cells::Foreign { what: other.to_string() },
    }
}

/// Numbers that are 64-bit floats without loss; not a number is a missing one.
fn plain<T: ArrowPrimitiveType>(array: &dyn Array, number: impl Fn(T::Native) -> f64) -> Cells {
    Cells::numbers(values(array.as_primitive::<T>(), number))
}

fn values<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, number: impl Fn(T::Native) -> f64) -> Vec<f64> {
    if array.null_count() == 0 {
        return array.values().iter().map(|&x| number(x)).collect();
    }
    array.iter().map(|cell| cell.map_or(f64::NAN, &number)).collect()
}

/// Whole numbers; with their digits where a float does not hold them all.
fn integers<T: ArrowPrimitiveType>(array: &dyn Array, number: impl Fn(T::Native) -> f64) -> Cells
where
    T::Native: std::fmt::Display,
{
    let array = array.as_primitive::<T>();
    let values = values(array, number);
    if values.iter().all(|x| x.abs() <= EXACT || x.is_nan()) {
        return Cells::numbers(values);
    }
    let mut text = Text::default();
    array.iter().for_each(|cell| text.push(cell.map(|x| x.to_string()).as_deref()));
    Cells::Numbers { values, text: OnceLock::from(text) }
}

/// Decimal numbers, each rounded once to the nearest float.
fn decimals<T: DecimalType>(array: &dyn Array, scale: i8) -> Cells {
    let array = array.as_primitive::<T>();
    let precision = array.data_type().clone();
    let precision = match precision {
        DataType::Decimal32(p, _)
        | DataType::Decimal64(p, _)
        | DataType::Decimal128(p, _)
        | DataType::Decimal256(p, _) => p,
        _ => 0,
    };
    let number = |x| match parse_number(&T::format_decimal(x, precision, scale)) {
        Numeric::Finite(x) => x,
        Numeric::NotFinite | Numeric::Not => f64::INFINITY,
    };
    Cells::numbers(values(array, number))
}

/// Days since 1970-01-01; a moment of a time zone is stored in UTC and read so.
fn days<T: ArrowPrimitiveType>(array: &dyn Array, days: impl Fn(T::Native) -> f64) -> Cells {
    Cells::Days { values: values(array.as_primitive::<T>(), days), text: OnceLock::new() }
}

fn texts<'a, A: ArrayAccessor<Item = &'a str>>(array: &A, meaning: &Meaning) -> Cells {
    let cell = |row| if array.is_null(row) { None } else { meaning.value(array.value(row)) };
    cells_of(&(0..array.len()).map(cell).collect::<Vec<_>>(), false)
}

/// A dictionary of texts: its keys as they are, unless its values are not what the cells say.
fn coded(array: &dyn Array, meaning: &Meaning) -> Cells {
    let dictionary = array.as_any_dictionary();
    let values = dictionary.values();
    let text = |key: usize| -> Option<&str> {
        if values.is_null(key) {
            return None;
        }
        meaning.value(match values.data_type() {
            DataType::Utf8 => values.as_string::<i32>().value(key),
            DataType::LargeUtf8 => values.as_string::<i64>().value(key),
            _ => values.as_string_view().value(key),
        })
    };
    let keys = if values.is_empty() { Vec::new() } else { dictionary.normalized_keys() };
    let cell = |row: usize| if array.is_null(row) { None } else { keys.get(row).and_then(|&key| text(key)) };
    cells_of(&(0..array.len()).map(cell).collect::<Vec<_>>(), false)
}
