//! Which inputs hold a watermark back: those that are neither silent nor ended.

use crate::time::{Timestamp, Watermark};

/// The watermark of several inputs, each with its own and whether it is idle: the least of those
/// that are not; the greatest when all that have not ended are, so that an idle input neither holds
/// the others back nor is overtaken for no one's sake.
pub fn least(inputs: impl Iterator<Item = (Watermark, bool)>) -> Watermark {
    let (mut active, mut idle) = (Timestamp::MAX, None);
    for (at, is_idle) in inputs {
        if is_idle && at < Timestamp::MAX {
            idle = idle.max(Some(at));
        } else {
            active = active.min(at);
        }
    }
    match idle {
        Some(last) if active == Timestamp::MAX => last,
        _ => active,
    }
}

/// Whether inputs with these watermarks are idle together: at least one is, and the others have
/// ended.
pub fn all_idle(inputs: impl Iterator<Item = (Watermark, bool)>) -> bool {
    let mut inputs = inputs.filter(|(at, _)| *at < Timestamp::MAX).peekable();
    inputs.peek().is_some() && inputs.all(|(_, is_idle)| is_idle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_inputs_hold_nothing_back_unless_they_are_all() {
        let at = Timestamp::from_millis;
        let end = Timestamp::MAX;
        let of = |inputs: &[(Watermark, bool)]| {
            (least(inputs.iter().copied()), all_idle(inputs.iter().copied()))
        };
        assert_eq!(of(&[(at(3), false), (at(5), false)]), (at(3), false));
        assert_eq!(of(&[(at(3), true), (at(5), false)]), (at(5), false));
        assert_eq!(of(&[(at(3), true), (at(5), true)]), (at(5), true));
        assert_eq!(of(&[(at(3), true), (end, false)]), (at(3), true));
        assert_eq!(of(&[(at(3), true), (end, true)]), (at(3), true));
        assert_eq!(of(&[(end, false), (end, false)]), (end, false));
        assert_eq!(of(&[(end, true), (end, false)]), (end, false));
    }
}
