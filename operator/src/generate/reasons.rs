//! The list of reasons in `docs/operations.md`: one table for each place where reasons are told, between two comments.

use anyhow::Context;
use muster_api::reasons::{Place, Reason};

const BEGIN: &str = "<!-- reasons:begin -->";
const END: &str = "<!-- reasons:end -->";

/// Each place, with the words that introduce its table.
const PLACES: &[(Place, &str)] = &[
    (
        Place::Condition,
        "Reasons of the EtcdCluster's conditions (`status.conditions[].reason`):",
    ),
    (Place::OperatorEvent, "Reasons of the operator's Events:"),
    (Place::AgentEvent, "Reasons of the agents' Events:"),
    (
        Place::Seat,
        "Reasons of seats (`status.seats[].reason`, and `/status` of an agent):",
    ),
];

/// The page with the list as it is to be.
///
/// # Errors
/// The page lacks one of the two comments, or has them in the wrong order.
pub(super) fn page(page: &str) -> anyhow::Result<String> {
    let (before, rest) = page.split_once(BEGIN).context("there is no comment `reasons:begin`")?;
    let (_, after) = rest
        .split_once(END)
        .context("there is no comment `reasons:end` after `reasons:begin`")?;
    let tables: Vec<String> = PLACES.iter().map(|(place, title)| table(*place, title)).collect();
    Ok(format!("{before}{BEGIN}\n{}{END}{after}", tables.concat()))
}

fn table(place: Place, title: &str) -> String {
    let told = Reason::ALL.iter().filter(|reason| reason.places().contains(&place));
    let rows: Vec<String> = told
        .map(|reason| format!("| `{reason}` | {} |\n", reason.meaning()))
        .collect();
    format!("\n{title}\n\n| Reason | Meaning |\n|---|---|\n{}\n", rows.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_outside_of_the_comments_stays() {
        let text = page(&format!("before\n{BEGIN}\nan old list\n{END}\nafter\n")).unwrap();
        assert!(text.starts_with(&format!("before\n{BEGIN}\n")) && text.ends_with(&format!("\n{END}\nafter\n")));
        assert!(text.contains("| `QuorumLost` |") && !text.contains("an old list"));
        assert_eq!(page(&text).unwrap(), text);
    }

    #[test]
    fn every_place_has_its_table() {
        for reason in Reason::ALL {
            for place in reason.places() {
                assert!(
                    PLACES.iter().any(|(listed, _)| listed == place),
                    "{reason} in {place:?}"
                );
            }
        }
    }

    #[test]
    fn a_page_without_the_comments_is_refused() {
        assert!(page("text").is_err());
        assert!(page(&format!("{END} {BEGIN}")).is_err());
    }
}
