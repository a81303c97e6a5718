//! Rows of one table, column by column, until there are enough of them for a row group.
use crate::schema::{Column, ColumnType, DECIMAL_PRECISION, DECIMAL_SCALE, Table};
use onetape_engine::id::Sequence;
use polars::error::PolarsResult;
use polars::prelude::{
    BooleanChunkedBuilder, ChunkedBuilder, DataFrame, Int64Type, Int128Type, IntoColumn,
    PlSmallStr, PrimitiveChunkedBuilder, StringChunkedBuilder, TimeUnit, TimeZone, UInt32Type,
    UInt64Type,
};

/// A batch is written when its text has grown to this, however few its rows are.
const TEXT_BYTES_MAX: usize = 16 << 20;

enum Values {
    Bool(BooleanChunkedBuilder),
    U32(PrimitiveChunkedBuilder<UInt32Type>),
    U64(PrimitiveChunkedBuilder<UInt64Type>),
    Decimal(PrimitiveChunkedBuilder<Int128Type>),
    Time(PrimitiveChunkedBuilder<Int64Type>),
    Text(StringChunkedBuilder),
}

impl Values {
    fn new(column: &Column, capacity: usize) -> Self {
        let name = PlSmallStr::from_static(column.name);
        match column.column_type {
            ColumnType::Bool => Values::Bool(BooleanChunkedBuilder::new(name, capacity)),
            ColumnType::U32 => Values::U32(PrimitiveChunkedBuilder::new(name, capacity)),
            ColumnType::U64 => Values::U64(PrimitiveChunkedBuilder::new(name, capacity)),
            ColumnType::Decimal => Values::Decimal(PrimitiveChunkedBuilder::new(name, capacity)),
            ColumnType::Time => Values::Time(PrimitiveChunkedBuilder::new(name, capacity)),
            ColumnType::Text => Values::Text(StringChunkedBuilder::new(name, capacity)),
        }
    }

    fn into_column(self) -> PolarsResult<polars::prelude::Column> {
        Ok(match self {
            Values::Bool(values) => values.finish().into_column(),
            Values::U32(values) => values.finish().into_column(),
            Values::U64(values) => values.finish().into_column(),
            Values::Decimal(values) => values
                .finish()
                .into_decimal(DECIMAL_PRECISION, DECIMAL_SCALE)?
                .into_column(),
            Values::Time(values) => values
                .finish()
                .into_datetime(TimeUnit::Nanoseconds, Some(TimeZone::UTC))
                .into_column(),
            Values::Text(values) => values.finish().into_column(),
        })
    }
}

/// What every row of a frame begins with.
#[derive(Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) sequence: u64,
    pub(crate) at: i64,
    pub(crate) derived: bool,
    pub(crate) ends_step: bool,
    pub(crate) cause: Option<Sequence>,
}

/// The rows.
pub(crate) struct Batch {
    table: Table,
    values: Vec<Values>,
    rows: usize,
    text_bytes: usize,
}

impl Batch {
    pub(crate) fn new(table: Table, capacity: usize) -> Self {
        let values = table
            .all_columns()
            .map(|column| Values::new(column, capacity))
            .collect();
        Self {
            table,
            values,
            rows: 0,
            text_bytes: 0,
        }
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) const fn is_full(&self, rows: usize) -> bool {
        self.rows >= rows || self.text_bytes >= TEXT_BYTES_MAX
    }

    /// Begins a row; its values follow in the order of the table's columns.
    pub(crate) fn row(&mut self, stamp: &Stamp) -> Row<'_> {
        self.rows += 1;
        let mut row = Row {
            values: self.values.iter_mut(),
            text_bytes: &mut self.text_bytes,
        };
        row.u64(stamp.sequence);
        row.time(stamp.at);
        row.bool(stamp.derived);
        row.bool(stamp.ends_step);
        row.u64(stamp.cause.map(|cause| cause.0).filter(|cause| *cause != 0));
        row
    }

    /// The rows as a data frame; the batch is empty afterwards.
    pub(crate) fn take(&mut self) -> PolarsResult<DataFrame> {
        // A table that filled a batch will fill the next one, too.
        let filled = std::mem::replace(self, Batch::new(self.table, self.rows));
        let columns = filled
            .values
            .into_iter()
            .map(Values::into_column)
            .collect::<PolarsResult<Vec<_>>>()?;
        DataFrame::new(filled.rows, columns)
    }
}

/// One row that is being filled. `tables.rs` calls these in the order in which it lists the columns, by macro, so a value
/// can't meet a column of another type.
pub(crate) struct Row<'a> {
    values: std::slice::IterMut<'a, Values>,
    text_bytes: &'a mut usize,
}

macro_rules! setters {
    ($($name:ident, $variant:ident, $type:ty;)*) => {$(
        pub(crate) fn $name(&mut self, value: impl Into<Option<$type>>) {
            match self.values.next() {
                Some(Values::$variant(values)) => values.append_option(value.into()),
                _ => debug_assert!(false, "invariant: rows are filled in the order of their columns"),
            }
        }
    )*};
}

impl Row<'_> {
    setters! {
        bool, Bool, bool;
        u32, U32, u32;
        u64, U64, u64;
        decimal, Decimal, i128;
        time, Time, i64;
    }

    pub(crate) fn text<'t>(&mut self, value: impl Into<Option<&'t str>>) {
        let value = value.into();
        *self.text_bytes += value.map_or(0, str::len);
        match self.values.next() {
            Some(Values::Text(values)) => values.append_option(value),
            _ => debug_assert!(
                false,
                "invariant: rows are filled in the order of their columns"
            ),
        }
    }

    /// Ends the row.
    pub(crate) fn end(mut self) {
        debug_assert!(
            self.values.next().is_none(),
            "invariant: a row has a value for each column"
        );
    }
}
