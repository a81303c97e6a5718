//! Commissions (faqs/commission_faq.md): standard, special and tax, each for maker or taker plus for buyer or seller.
use super::answer::read;
use super::pairs::decimal;
use crate::gateway::WireError;
use onetape_engine::event::Liquidity;
use onetape_engine::order::Side;
use rust_decimal::Decimal;
use serde::Deserialize;
use std::borrow::Cow;

/// Rates of one kind; what a trade pays is maker or taker plus buyer or seller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// For liquidity provided.
    pub maker: Decimal,
    /// For liquidity taken.
    pub taker: Decimal,
    /// For buying.
    pub buyer: Decimal,
    /// For selling.
    pub seller: Decimal,
}

impl Rates {
    /// The rate of a trade.
    pub fn of(&self, side: Side, liquidity: Liquidity) -> Decimal {
        let role = match liquidity {
            Liquidity::Maker => self.maker,
            Liquidity::Taker => self.taker,
        };
        let direction = match side {
            Side::Buy => self.buyer,
            Side::Sell => self.seller,
        };
        role + direction
    }
}

/// GET /api/v3/account/commission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Commission {
    /// By the account's tier; the only kind that a discount applies to.
    pub standard: Rates,
    /// On special trades.
    pub special: Rates,
    /// Taxes.
    pub tax: Rates,
    /// What the standard commission is multiplied by when it is paid in the discount asset; 1 where that is off.
    pub discount: Decimal,
}

impl Commission {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`WireError`] for another shape or a rate that is no number.
    pub fn read(body: &[u8]) -> Result<Self, WireError> {
        let answer: Answer<'_> = read("commission", body)?;
        let discount = match answer.discount {
            Some(of) if of.enabled_for_account && of.enabled_for_symbol => {
                decimal("commission", "discount", &of.discount)?
            }
            _ => Decimal::ONE,
        };
        Ok(Self {
            standard: answer.standard_commission.rates()?,
            special: answer
                .special_commission
                .map_or(Ok(Rates::default()), |r| r.rates())?,
            tax: answer
                .tax_commission
                .map_or(Ok(Rates::default()), |r| r.rates())?,
            discount,
        })
    }

    /// What a trade pays of its notional when nothing is paid in the discount asset.
    pub fn rate(&self, side: Side, liquidity: Liquidity) -> Decimal {
        [self.standard, self.special, self.tax]
            .iter()
            .map(|rates| rates.of(side, liquidity))
            .sum()
    }

    /// What it pays when the commission comes from the discount asset.
    pub fn discounted_rate(&self, side: Side, liquidity: Liquidity) -> Decimal {
        let standard = self.standard.of(side, liquidity);
        self.rate(side, liquidity) - standard + standard * self.discount
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(borrow)]
    standard_commission: RateTexts<'a>,
    #[serde(borrow)]
    special_commission: Option<RateTexts<'a>>,
    #[serde(borrow)]
    tax_commission: Option<RateTexts<'a>>,
    #[serde(borrow)]
    discount: Option<Discount<'a>>,
}

#[derive(Deserialize)]
struct RateTexts<'a> {
    #[serde(borrow)]
    maker: Cow<'a, str>,
    #[serde(borrow)]
    taker: Cow<'a, str>,
    #[serde(borrow)]
    buyer: Cow<'a, str>,
    #[serde(borrow)]
    seller: Cow<'a, str>,
}

impl RateTexts<'_> {
    fn rates(&self) -> Result<Rates, WireError> {
        let rate = |field, text| decimal("commission", field, text);
        Ok(Rates {
            maker: rate("maker", &self.maker)?,
            taker: rate("taker", &self.taker)?,
            buyer: rate("buyer", &self.buyer)?,
            seller: rate("seller", &self.seller)?,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Discount<'a> {
    enabled_for_account: bool,
    enabled_for_symbol: bool,
    #[serde(borrow)]
    discount: Cow<'a, str>,
}
