//! What the tables are: names, types and meanings, for code that reads them and for docs/export-schema.md.
use crate::tables;
use onetape_engine::event::Kind;
use onetape_engine::number::MONEY_DECIMALS;
use polars::datatypes::{DataType, Field, PlSmallStr, TimeUnit, TimeZone};
use polars::prelude::Schema;
use serde::Serialize;

/// Digits that an exact column holds, before and after the point together.
pub(crate) const DECIMAL_PRECISION: usize = 38;
/// Digits after the point.
pub(crate) const DECIMAL_SCALE: usize = MONEY_DECIMALS as usize;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    /// True or false.
    Bool,
    /// Unsigned, 32 bits.
    U32,
    /// Unsigned, 64 bits.
    U64,
    /// Exact: 38 digits, 18 of them after the point.
    Decimal,
    /// A point in time, UTC, to the nanosecond.
    Time,
    /// UTF-8 text.
    Text,
}

impl ColumnType {
    /// The name in docs and in polars' own printing.
    pub const fn name(self) -> &'static str {
        match self {
            ColumnType::Bool => "Boolean",
            ColumnType::U32 => "UInt32",
            ColumnType::U64 => "UInt64",
            ColumnType::Decimal => "Decimal(38, 18)",
            ColumnType::Time => "Datetime(ns, UTC)",
            ColumnType::Text => "String",
        }
    }

    /// The polars type.
    pub fn data_type(self) -> DataType {
        match self {
            ColumnType::Bool => DataType::Boolean,
            ColumnType::U32 => DataType::UInt32,
            ColumnType::U64 => DataType::UInt64,
            ColumnType::Decimal => DataType::Decimal(DECIMAL_PRECISION, DECIMAL_SCALE),
            ColumnType::Time => DataType::Datetime(TimeUnit::Nanoseconds, Some(TimeZone::UTC)),
            ColumnType::Text => DataType::String,
        }
    }
}

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub column_type: ColumnType,
    /// Whether a row may have no value here.
    pub nullable: bool,
    /// What it means.
    pub about: &'static str,
}

/// One table.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Table {
    /// The kind's name: the file is `<name>.parquet`.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// The columns that this kind has beside the common ones, in order.
    pub columns: &'static [Column],
}

impl Table {
    /// The table of a kind.
    pub const fn of(kind: Kind) -> Self {
        let (about, columns) = tables::columns(kind);
        Self {
            name: kind.name(),
            about,
            columns,
        }
    }

    /// The columns that every table begins with.
    pub const fn common() -> &'static [Column] {
        tables::COMMON
    }

    /// Every column in order: the common ones, then the kind's own.
    pub fn all_columns(&self) -> impl Iterator<Item = &'static Column> + use<> {
        tables::COMMON.iter().chain(self.columns)
    }

    /// The file's name in OUT.
    pub fn file_name(&self) -> String {
        format!("{}.parquet", self.name)
    }

    /// The table's polars schema.
    pub fn polars_schema(&self) -> Schema {
        self.all_columns()
            .map(|column| {
                Field::new(
                    PlSmallStr::from_static(column.name),
                    column.column_type.data_type(),
                )
            })
            .collect()
    }
}

/// Every table, in the order of the kinds' numbers.
pub fn schema() -> impl Iterator<Item = Table> {
    Kind::ALL.iter().copied().map(Table::of)
}
