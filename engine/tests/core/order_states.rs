//! The table of legal moves, drawn.
use onetape_engine::order::OrderState;

/// Rows become columns.
const TABLE: &str = "\
                 decided sent acked partially_filled filled cancelled rejected expired unknown
decided             .     x     x          x            x        x        x        x       x
sent                .     .     x          x            x        x        x        x       x
acked               .     .     .          x            x        x        .        x       x
partially_filled    .     .     .          x            x        x        .        x       x
filled              .     .     .          .            .        .        .        .       .
cancelled           .     .     .          .            .        .        .        .       .
rejected            .     .     .          .            .        .        .        .       .
expired             .     .     .          .            .        .        .        .       .
unknown             .     .     x          x            x        x        x        x       .
";

#[test]
fn the_table_in_the_code_is_the_table_here() {
    let mut lines = TABLE.lines();
    let columns: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(columns, OrderState::ALL.map(OrderState::name));
    for (from, line) in OrderState::ALL.into_iter().zip(lines) {
        let mut cells = line.split_whitespace();
        assert_eq!(cells.next(), Some(from.name()));
        for to in OrderState::ALL {
            let legal = cells.next() == Some("x");
            assert_eq!(
                from.can_become(to),
                legal,
                "{} -> {}",
                from.name(),
                to.name()
            );
        }
    }
}

#[test]
fn a_final_state_is_one_that_nothing_follows() {
    for state in OrderState::ALL {
        let ends = !OrderState::ALL
            .into_iter()
            .any(|next| state.can_become(next));
        assert_eq!(state.is_final(), ends, "{}", state.name());
    }
}
