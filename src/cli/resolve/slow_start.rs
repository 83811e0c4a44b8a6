//! Slow start: off, unless its time is given.

use super::super::Refusal;
use super::super::flags::SlowStartArgs;
use super::Origin;
use crate::config::SlowStart;

pub(super) fn resolve(
    args: &SlowStartArgs,
    origin: &Origin<'_>,
) -> Result<Option<SlowStart>, Refusal> {
    let Some(window) = args.slow_start else {
        return match origin.first_given(&["slow_start_floor", "slow_start_curve"]) {
            Some(flag) => Err(Refusal::usage(format_args!(
                "{flag} says how slow start goes, which is off: add --slow-start TIME"
            ))),
            None => Ok(None),
        };
    };
    Ok(Some(SlowStart {
        window: window.0,
        floor: args.slow_start_floor / 100.0,
        curve: args.slow_start_curve,
    }))
}
