//! A facts file as rows of JSON with the place of every value.
use super::super::columns;
use super::super::error::{ImportError, Reject};
use super::calendar;
use jiff::civil::Date;
use onetape_engine::event::Kind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A facts file's text.
pub(super) struct Document<'a> {
    name: &'a str,
    text: &'a str,
}

/// One table of a facts file.
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) at_ns: Option<u64>,
    pub(super) line: u64,
    pub(super) fields: Map<String, Value>,
    file: String,
    written: Written,
}

/// Lines of a table's fields and their values as they are written, by path.
type Written = BTreeMap<String, (u64, String)>;

impl Row {
    pub(super) fn is_definition(&self) -> bool {
        self.kind == Kind::InstrumentDefined
    }

    /// An error in one of its fields: with the value as it is written, or with `value` where it is not.
    pub(super) fn fault(&self, field: &str, value: &str, why: &str) -> ImportError {
        let inner = format!(".{field}");
        let within = || {
            let mut fields = self.written.iter();
            let found = fields.find(|(path, _)| path.ends_with(&inner));
            found.map(|(_, written)| written)
        };
        let written = self.written.get(field).or_else(within);
        let (line, value) = match written {
            Some((line, written)) => (*line, written.as_str()),
            None => (self.line, value),
        };
        ImportError::Fact(Reject {
            file: self.file.clone(),
            line,
            field: format!("{}.{field}", self.kind.name()),
            value: value.chars().take(60).collect(),
            why: why.to_owned(),
        })
    }

    /// Reads the fields as an event; a field that the event does not have is an error.
    pub(super) fn read<T: DeserializeOwned + Serialize>(
        &self,
        fields: Map<String, Value>,
    ) -> Result<T, ImportError> {
        let given = Value::Object(fields);
        let event: T = serde_path_to_error::deserialize(&given).map_err(|e| {
            let path = e.path().to_string();
            let field = if path == "." { String::new() } else { path };
            let why = e.inner().to_string();
            // "missing field `x`" is about the table as a whole.
            match why
                .strip_prefix("missing field `")
                .and_then(|rest| rest.split('`').next())
            {
                Some(missing) if field.is_empty() => {
                    self.fault(missing, "", "the field is missing")
                }
                _ => self.fault(&field, "", &why),
            }
        })?;
        let taken = serde_json::to_value(&event).unwrap_or(Value::Null);
        match unknown_field(&given, &taken, "") {
            None => Ok(event),
            Some((path, known)) => {
                let name = path.rsplit('.').next().unwrap_or(&path);
                let likely = known
                    .iter()
                    .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
                    .max_by(|a, b| a.0.total_cmp(&b.0))
                    .filter(|(likeness, _)| *likeness > 0.7);
                let why = match likely {
                    Some((_, likely)) => format!("unknown field; did you mean '{likely}'?"),
                    None => format!("unknown field; known are {}", known.join(", ")),
                };
                Err(self.fault(&path, "", &why))
            }
        }
    }
}

/// The first field that was given and not taken, with those that were.
fn unknown_field(given: &Value, taken: &Value, path: &str) -> Option<(String, Vec<String>)> {
    match (given, taken) {
        (Value::Object(given), Value::Object(taken)) => given.iter().find_map(|(name, value)| {
            let here = super::join(path, name);
            match taken.get(name) {
                Some(inner) => unknown_field(value, inner, &here),
                // An empty value may be left out on the tape.
                None if value.is_null() || value == "" => None,
                None => Some((here, taken.keys().cloned().collect())),
            }
        }),
        (Value::Array(given), Value::Array(taken)) => {
            given
                .iter()
                .zip(taken)
                .enumerate()
                .find_map(|(place, (given, taken))| {
                    unknown_field(given, taken, &format!("{path}[{place}]"))
                })
        }
        _ => None,
    }
}

impl<'a> Document<'a> {
    pub(super) const fn new(name: &'a str, text: &'a str) -> Self {
        Self { name, text }
    }

    fn line_at(&self, offset: usize) -> u64 {
        let before = self.text.get(..offset).unwrap_or(self.text);
        before.matches('\n').count() as u64 + 1
    }

    fn fault(&self, span: &Range<usize>, field: &str, value: &str, why: &str) -> ImportError {
        ImportError::Fact(Reject {
            file: self.name.to_owned(),
            line: self.line_at(span.start),
            field: field.to_owned(),
            value: value.chars().take(60).collect(),
            why: why.to_owned(),
        })
    }

    /// Every table as a row, in the order of the file.
    pub(super) fn rows(&self, kinds: &[Kind]) -> Result<Vec<Row>, ImportError> {
        let document = DeTable::parse(self.text).map_err(|e| {
            let span = e.span().unwrap_or(0..0);
            let found = self.text.get(span.clone()).unwrap_or_default();
            self.fault(&span, "toml", found, e.message())
        })?;
        let mut rows = Vec::new();
        for (key, value) in document.into_inner() {
            let (span, name) = (key.span(), key.into_inner());
            if name == "calendar" {
                for day in calendar::days(self, value)? {
                    rows.push(day);
                }
                continue;
            }
            let kind = Kind::from_name(&name).filter(|kind| kinds.contains(kind));
            let Some(kind) = kind else {
                let known: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
                let why = format!("expected one of calendar, {}", known.join(", "));
                return Err(self.fault(&span, "table", &name, &why));
            };
            let DeValue::Array(tables) = value.into_inner() else {
                let why = "a fact is written as [[kind]]";
                return Err(self.fault(&span, "table", &name, why));
            };
            for table in tables {
                rows.push(self.row(kind, table)?);
            }
        }
        rows.sort_by_key(|row| row.line);
        Ok(rows)
    }

    fn row(&self, kind: Kind, table: Spanned<DeValue<'_>>) -> Result<Row, ImportError> {
        let span = table.span();
        let DeValue::Table(table) = table.into_inner() else {
            return Err(self.fault(&span, kind.name(), "", "a fact is a table"));
        };
        let mut row = Row {
            kind,
            at_ns: None,
            line: self.line_at(span.start),
            fields: Map::new(),
            file: self.name.to_owned(),
            written: Written::new(),
        };
        for (key, value) in table {
            let (span, name) = (key.span(), key.into_inner().into_owned());
            let value = self.value(value, &span, &name, &mut row.written)?;
            if name == "at" {
                row.at_ns = value.as_u64();
                if row.at_ns.is_none() {
                    let why = "expected a time like 2026-01-05T14:30:00Z";
                    return Err(self.fault(&span, "at", &value.to_string(), why));
                }
            } else {
                row.fields.insert(name, value);
            }
        }
        Ok(row)
    }

    /// A value as JSON: times as UTC ns, dates as days since 1970, other numbers by their text.
    fn value(
        &self,
        value: Spanned<DeValue<'_>>,
        span: &Range<usize>,
        path: &str,
        written: &mut Written,
    ) -> Result<Value, ImportError> {
        let text = self.text.get(value.span()).unwrap_or_default();
        let text = text.trim_matches(['"', '\'']).to_owned();
        written.insert(path.to_owned(), (self.line_at(span.start), text));
        Ok(match value.into_inner() {
            DeValue::String(text) => Value::String(text.into_owned()),
            DeValue::Boolean(flag) => Value::Bool(flag),
            DeValue::Float(float) => Value::String(float.as_str().to_owned()),
            DeValue::Integer(integer) => {
                let text = integer.to_string();
                match text.parse::<i64>() {
                    Ok(number) => number.into(),
                    Err(_) => {
                        return Err(self.fault(span, path, &text, "too large for its integer"));
                    }
                }
            }
            DeValue::Datetime(at) => {
                let text = at.to_string();
                if at.time.is_none() {
                    let date: Result<Date, _> = text.parse();
                    let date = date.map_err(|e| self.fault(span, path, &text, &e.to_string()))?;
                    calendar::day_number(date).into()
                } else {
                    if at.offset.is_none() {
                        let why = "expected a time with its zone, like 2026-01-05T14:30:00Z";
                        return Err(self.fault(span, path, &text, why));
                    }
                    columns::timestamp("time", &text)
                        .map_err(|fault| self.fault(span, path, &text, &fault.why))?
                        .into()
                }
            }
            DeValue::Array(items) => {
                let mut values = Vec::new();
                for (place, item) in items.into_iter().enumerate() {
                    let here = item.span();
                    let path = format!("{path}[{place}]");
                    values.push(self.value(item, &here, &path, written)?);
                }
                Value::Array(values)
            }
            DeValue::Table(table) => {
                let mut fields = Map::new();
                for (key, value) in table {
                    let (here, name) = (key.span(), key.into_inner().into_owned());
                    let path = super::join(path, &name);
                    let value = self.value(value, &here, &path, written)?;
                    fields.insert(name, value);
                }
                Value::Object(fields)
            }
        })
    }

    /// A row that stands for a part of the file.
    pub(super) fn derived_row(
        &self,
        kind: Kind,
        span: &Range<usize>,
        fields: Map<String, Value>,
    ) -> Row {
        Row {
            kind,
            at_ns: None,
            line: self.line_at(span.start),
            fields,
            file: self.name.to_owned(),
            written: Written::new(),
        }
    }

    pub(super) fn reject(
        &self,
        span: &Range<usize>,
        field: &str,
        value: &str,
        why: &str,
    ) -> ImportError {
        self.fault(span, field, value, why)
    }
}
