//! A journal as tables: every frame kind is a Parquet file that polars, DuckDB and pandas read, exact to the last digit.
//!
//! - [`export`] reads a journal once, from its first frame to its last, and writes all tables side by side (`export.rs`).
//! - [`schema`] says what the tables and their columns are; `tables.rs` has one line for each column, which is its name,
//!   its type, where its value comes from and what it means, so that none of the four can drift from the others.
//! - `batch.rs` collects rows, `parquet.rs` writes them, `staging.rs` keeps what is not complete out of sight.
//!
//! Memory is bounded by the size of a batch: a table holds one batch of rows, and the journal's reader lets go of the pages
//! behind it. What grows with the journal is Parquet's footer alone, see [`ExportOptions::BATCH_ROWS`].
#![forbid(unsafe_code)]

mod batch;
mod error;
mod export;
mod names;
mod parquet;
mod schema;
mod staging;
mod tables;
mod words;

pub use error::Error;
pub use export::{ExportOptions, ExportReport, TableReport, export};
pub use schema::{Column, ColumnType, Table, schema};
