//! Conditions under which a declared decision exists.

use super::choice_list::ChoiceList;
use super::declaration::wrong;
use super::slot::Slot;
use crate::{Presence, SpaceError};

const EXPECTED: &str =
    "a decision, one of = != < <= > >=, and a choice, as in 'd0 > 2' or 'kind = conv3, conv5'";
/// The longer ones first, so that `>=` is not read as `>`.
const OPERATORS: [&str; 7] = [">=", "<=", "!=", "==", "=", ">", "<"];

/// When the slot exists; None if it always does.
///
/// # Errors
/// [`SpaceError::Declaration`] for unknown decisions and choices, and for conditions that never hold.
pub(super) fn presence(slot: &Slot, slots: &[Slot]) -> Result<Option<Presence>, SpaceError> {
    let Some(text) = slot.filled("present", slot.entry.present.as_ref())? else { return Ok(None) };
    let refuse = |expected: &str, found: String| Err(wrong(slot.key("present"), expected, found));
    let Some((name, operator, values)) = parts(&text) else {
        return refuse(EXPECTED, format!("'{text}'"));
    };
    let Some(decision) = slots.iter().position(|other| other.name == name) else {
        return refuse("the name of a decision", format!("'{name}' in '{text}'"));
    };
    let other = &slots[decision];
    if other.entry.present.is_some() {
        let expected = "a decision that always exists (one without `present`)";
        return refuse(expected, format!("'{name}' in '{text}'"));
    }
    if other.list.number.is_some() {
        let expected = "a decision with a list of choices, no plain number";
        return refuse(expected, format!("'{name}' in '{text}'"));
    }
    let choices = match allowed(&other.list, operator, values) {
        Ok(choices) => choices,
        Err((expected, found)) => return refuse(&expected, format!("{found} in '{text}'")),
    };
    if choices.is_empty() {
        let choices = other.list.names.join(", ");
        let found = format!("'{text}', which none of {choices} does");
        return refuse("a condition that some choice fulfils", found);
    }
    let holds_always = choices.len() == other.list.names.len();
    Ok((!holds_always).then_some(Presence { decision, choices }))
}

fn parts(text: &str) -> Option<(&str, &'static str, &str)> {
    let at = text.find(['<', '>', '=', '!'])?;
    let (name, rest) = text.split_at(at);
    let operator = OPERATORS.into_iter().find(|o| rest.starts_with(o))?;
    let values = rest[operator.len()..].trim();
    (!name.trim().is_empty() && !values.is_empty()).then_some((name.trim(), operator, values))
}

/// The choices that fulfil a comparison. The error is a pair: what was expected, what was found.
fn allowed(
    list: &ChoiceList,
    operator: &str,
    values: &str,
) -> Result<Vec<usize>, (String, String)> {
    let all = 0..list.names.len();
    if matches!(operator, "=" | "==" | "!=") {
        let find = |value: &str| {
            let expected = || format!("one of its choices {}", list.names.join(", "));
            list.find(value).ok_or_else(|| (expected(), format!("'{}'", value.trim())))
        };
        let named: Vec<usize> = values.split(',').map(find).collect::<Result<_, _>>()?;
        return Ok(all.filter(|c| named.contains(c) == (operator != "!=")).collect());
    }
    let Some(numbers) = &list.values else {
        let expected = "a decision whose choices are numbers (`values`), or = and !=";
        return Err((expected.to_owned(), format!("'{operator}'")));
    };
    let limit: f64 = values
        .parse()
        .map_err(|_| ("a number to compare with".to_owned(), format!("'{values}'")))?;
    let holds = |&choice: &usize| match operator {
        ">=" => numbers[choice] >= limit,
        "<=" => numbers[choice] <= limit,
        ">" => numbers[choice] > limit,
        _ => numbers[choice] < limit,
    };
    Ok(all.filter(holds).collect())
}
