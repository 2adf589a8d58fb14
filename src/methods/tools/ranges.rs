//! Ranges of the options that most methods share. A method checks its own options itself.

use toml::Value;

/// Option names, a check of the range, and the range in words.
type Range = (&'static [&'static str], fn(f64) -> bool, &'static str);

const RANGES: [Range; 4] = [
    (
        &["lr", "lr_min", "alpha_lr", "decay", "alpha_decay"],
        |x| x >= 0.0 && x.is_finite(),
        "a number of at least 0",
    ),
    // `inf` means no bound.
    (&["clip", "alpha_clip"], |x| x > 0.0, "a number above 0"),
    (
        &["momentum", "label_smoothing", "dropout", "drop_connect"],
        |x| (0.0..1.0).contains(&x),
        "a number from 0 to below 1",
    ),
    (&["warmup"], |x| (0.0..=1.0).contains(&x), "a number from 0 to 1"),
];

/// The range in words if the option's value is outside its range or not finite; None if it is fine.
pub(crate) fn expected(key: &str, value: &Value) -> Option<&'static str> {
    match value {
        Value::Array(values) => values.iter().find_map(|value| expected(key, value)),
        Value::Float(number) => {
            let range = RANGES.iter().find(|(names, ..)| names.contains(&key));
            let (fits, words) = match range {
                Some((_, fits, words)) => (fits(*number), *words),
                None => (number.is_finite(), "a finite number"),
            };
            (!fits).then_some(words)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_finite_and_in_the_range_of_their_name() {
        for (key, number) in [
            ("lr", -1.0),
            ("alpha_lr", f64::NAN),
            ("clip", 0.0),
            ("momentum", 5.0),
            ("momentum", 1.0),
            ("warmup", 1.5),
            ("decay", f64::INFINITY),
            ("beta_init", f64::NAN),
        ] {
            assert!(expected(key, &Value::Float(number)).is_some(), "{key} = {number}");
        }
        for (key, number) in [
            ("lr", 0.0),
            ("clip", f64::INFINITY),
            ("momentum", 0.0),
            ("beta_init", -3.0),
            ("warmup", 1.0),
        ] {
            assert_eq!(expected(key, &Value::Float(number)), None, "{key} = {number}");
        }
        let list = Value::Array(vec![Value::Float(0.5), Value::Float(f64::NAN)]);
        assert_eq!(expected("skip_dropout", &list), Some("a finite number"));
    }
}
