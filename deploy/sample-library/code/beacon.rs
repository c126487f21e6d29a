//! The flashing character of Tarn Head: three white flashes every twenty seconds.

use std::time::Duration;

/// One step of a lighthouse character: the lamp is on or off for some time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    pub lit: bool,
    pub length: Duration,
}

const fn step(lit: bool, millis: u64) -> Step {
    Step { lit, length: Duration::from_millis(millis) }
}

/// Flash, short eclipse, flash, short eclipse, flash, long eclipse.
pub const TARN_HEAD: [Step; 6] = [
    step(true, 700),
    step(false, 2_300),
    step(true, 700),
    step(false, 2_300),
    step(true, 700),
    step(false, 13_300),
];

/// Is the lamp burning at this moment, counted from the beginning of a period?
pub fn is_lit(character: &[Step], since_start: Duration) -> bool {
    let period: Duration = character.iter().map(|step| step.length).sum();
    let mut left = since_start.as_millis() % period.as_millis();
    for step in character {
        if left < step.length.as_millis() {
            return step.lit;
        }
        left -= step.length.as_millis();
    }
    unreachable!("the steps add up to the period")
}

#[test]
fn a_period_lasts_twenty_seconds() {
    let period: Duration = TARN_HEAD.iter().map(|step| step.length).sum();
    assert_eq!(period, Duration::from_secs(20));
}
