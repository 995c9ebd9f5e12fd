//! serde's messages in words that a person who looks at the data understands.

/// `invalid type: floating point `12.5`, expected u64` becomes `expected a whole number, found
/// floating point 12.5`; messages of another make stay as they are.
pub(super) fn reword(message: &str) -> String {
    let found = ["invalid type: ", "invalid value: ", "invalid length "]
        .iter()
        .find_map(|head| message.strip_prefix(head));
    let Some((found, expected)) = found.and_then(|rest| rest.split_once(", expected ")) else {
        return message.replace('`', "");
    };
    let (expected, found) = (expected_words(expected), found.replace('`', ""));
    format!("expected {expected}, found {found}")
}

/// What serde expects, in words.
pub(super) fn expected_words(expected: &str) -> String {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => whole(expected, "0 or more"),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => whole(expected, "with or without sign"),
        "f32" | "f64" => "a number".into(),
        "a string" => "text".into(),
        "a boolean" => "true or false".into(),
        _ => expected.replace('`', ""),
    }
}

fn whole(name: &str, range: &str) -> String {
    let (sign, bits) = name.split_at(1);
    match (sign, bits) {
        ("u", "8") => "a whole number from 0 to 255".into(),
        ("u", "16") => "a whole number from 0 to 65535".into(),
        ("i", "8") => "a whole number from -128 to 127".into(),
        ("i", "16") => "a whole number from -32768 to 32767".into(),
        _ => format!("a whole number, {range}"),
    }
}

/// A piece of data for a message: quoted, and cut when it is long.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 64;
    let cut = text.floor_char_boundary(SHOWN);
    if cut < text.len() { format!("{:?}…", &text[..cut]) } else { format!("{text:?}") }
}
