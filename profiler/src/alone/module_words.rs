//! Turns libtorch's messages about a module that it cannot load or run into one sentence with advice.

/// Makes one sentence of libtorch's many lines. `takes` lists the arguments of the module's `forward`; it is empty if they are
/// not known.
pub(super) fn sentence(message: &str, takes: &str) -> String {
    if let Some(operator) = name_after(message, "Unknown builtin op: ") {
        return needs("operator", &operator);
    }
    if let Some(class) = name_after(message, "Unknown type name '") {
        return needs("class", &class);
    }
    if message.contains("required keyword attribute 'value' is undefined") {
        return "the module was saved after torch.jit.optimize_for_inference, which makes modules that nobody can load; save it before"
            .into();
    }
    let reason = reason(message);
    match advice(message, takes) {
        Some(advice) => format!("{reason}; {advice}"),
        None => reason,
    }
}

fn needs(what: &str, name: &str) -> String {
    format!(
        "the module needs the {what} {name}, which this program does not have: libtorch comes without it; export the model without it, or \
         time it in Python"
    )
}

/// The name that follows some words in the message.
fn name_after(message: &str, words: &str) -> Option<String> {
    let rest = &message[message.find(words)? + words.len()..];
    let end = rest.find(|c: char| c.is_whitespace() || c == '\'').unwrap_or(rest.len());
    Some(rest[..end].trim_end_matches('.').to_owned())
}

/// The line that says what went wrong. The interpreter's messages begin with a trace of the program.
fn reason(message: &str) -> String {
    let mut lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("libtorch does not say why");
    let found = lines.find(|line| line.contains("Error: ")).unwrap_or(first);
    found.trim_end_matches(['.', ';']).to_owned()
}

fn advice(message: &str, takes: &str) -> Option<String> {
    let any = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if any(&[
        "missing value for argument",
        "Expected at most",
        "Cast error",
        "Expected a value of type",
    ]) {
        return Some(format!(
            "its forward takes ({takes}): give one --input for each, numbers as int=5, float=0.5 or bool=true, lists of tensors as [3x8x8,3x8x8]"
        ));
    }
    if any(&["scalar types: Long, Int", "tensors used as indices", "expected scalar type Long"]) {
        return Some("say that the input holds whole numbers and how many there are, as --input '1x5:i64<100'".into());
    }
    if any(&["index out of range", "out of bounds"]) {
        return Some(
            "values of this input lie below a bound: say which, as --input '1x5:i64<100'".into(),
        );
    }
    any(&["on the same device", "different device", "at least two devices"])
        .then(|| "tracing wrote a device into the program: trace the model on the device on which it is timed".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let op = "\nUnknown builtin op: torchvision::nms.\nCould not find any similar ops to torchvision::nms.";
        assert!(sentence(op, "").contains("the operator torchvision::nms, which"));
        let class = "\nUnknown type name '__torch__.torch.classes.my.Stack':\n  File x";
        assert!(sentence(class, "").contains("the class __torch__.torch.classes.my.Stack, which"));
    }

    #[test]
    fn advice_follows_the_reason() {
        let trace = "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript\n  x\nRuntimeError: \
                     Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got Float.";
        let found = sentence(trace, "");
        assert!(
            found.starts_with("RuntimeError: Expected tensor") && found.contains("i64<100"),
            "{found}"
        );
        let missing = "forward() is missing value for argument 'n'. Declaration: forward(..)";
        let found = sentence(missing, "x: Tensor, n: int");
        assert!(found.contains("takes (x: Tensor, n: int)") && found.contains("int=5"), "{found}");
        assert_eq!(sentence("\n\n", ""), "libtorch does not say why");
        assert_eq!(sentence("\nno room.\n", ""), "no room");
    }
}
