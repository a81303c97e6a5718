//! What an order to buy holds back: its notional and the fee on it ("locked" in order answers).
use rust_decimal::Decimal;

/// Amounts in the quote currency, exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BidLock {
    /// Price times volume.
    pub notional: Decimal,
    /// The fee on it: `reserved_fee`.
    pub fee: Decimal,
    /// Both: `locked`.
    pub locked: Decimal,
}

/// What a limit order to buy holds back; `None` where the numbers are too large.
pub fn bid_lock(price: Decimal, volume: Decimal, fee_rate: Decimal) -> Option<BidLock> {
    let notional = price.checked_mul(volume)?;
    let fee = notional.checked_mul(fee_rate)?;
    Some(BidLock {
        notional: notional.normalize(),
        fee: fee.normalize(),
        locked: notional.checked_add(fee)?.normalize(),
    })
}
