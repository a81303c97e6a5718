//! Sale conditions: which prints of the consolidated tape may move a stock's last price, its high and low, or its volume.
//!
//! Source: EODHD, websockets real-time, table of trade conditions. In regular hours a print of a listed code moves none of
//! last, high and low; in extended hours two codes, which mark just that, are no reason any more.

/// Which hours a print belongs to, as the venue says (`ms`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// "open".
    Regular,
    /// "extended hours".
    Extended,
    /// "closed", and whatever else: judged as strictly as regular hours.
    Other,
}

const NOT_LAST_IN_REGULAR_HOURS: [u16; 16] =
    [2, 5, 7, 10, 12, 13, 15, 16, 20, 21, 22, 29, 33, 37, 52, 53];
const NOT_LAST_IN_EXTENDED_HOURS: [u16; 14] = [2, 5, 7, 10, 15, 16, 20, 21, 22, 29, 33, 37, 52, 53];
const NEVER_VOLUME: [u16; 3] = [15, 16, 38];

/// Whether a print of this condition may move last, high and low.
pub fn updates_last(condition: u16, session: Session) -> bool {
    match session {
        Session::Extended => !NOT_LAST_IN_EXTENDED_HOURS.contains(&condition),
        Session::Regular | Session::Other => !NOT_LAST_IN_REGULAR_HOURS.contains(&condition),
    }
}

/// Whether a print of this condition counts as traded volume.
pub fn updates_volume(condition: u16) -> bool {
    !NEVER_VOLUME.contains(&condition)
}
