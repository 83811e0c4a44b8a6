//! Ejection, and what makes no sense beside it.

use super::super::Refusal;
use super::super::flags::EjectionArgs;
use super::Origin;
use crate::config::{Ejection, Outliers, Policy, Span, Target};

/// What else has to do with it.
pub(super) struct Beside<'a> {
    pub(super) outliers: Option<&'a Outliers>,
    pub(super) is_checked: bool,
    pub(super) targets: &'a [Target],
}

pub(super) fn resolve(
    args: &EjectionArgs,
    beside: &Beside<'_>,
    origin: &Origin<'_>,
) -> Result<Ejection, Refusal> {
    let ejection = Ejection {
        consecutive: Some(args.eject_consecutive).filter(|limit| *limit > 0),
        first: args.eject_time.0,
        longest: args.eject_longest.0,
        most: args.eject_most,
    };
    check_times(&ejection, beside.outliers, origin)?;
    if ejection.consecutive.is_none() && beside.outliers.is_none() {
        check_idle(beside, origin)?;
    }
    Ok(ejection)
}

fn check_times(
    ejection: &Ejection,
    outliers: Option<&Outliers>,
    origin: &Origin<'_>,
) -> Result<(), Refusal> {
    let (first, by) = match outliers {
        // Left at its default, it has always cut what pods that stand out get at first.
        Some(outliers)
            if origin.is_given("eject_longest") && outliers.interval > ejection.first =>
        {
            (outliers.interval, "eject_interval")
        }
        _ => (ejection.first, "eject_time"),
    };
    if first <= ejection.longest {
        return Ok(());
    }
    let (by, most) = (origin.flag(by), origin.flag("eject_longest"));
    let (first, longest) = (Span(first), Span(ejection.longest));
    Err(Refusal::usage(format_args!(
        "pods are left out for {by} {first} at first, and for {most} {longest} at most: raise {most}, or lower {by}"
    )))
}

/// Flags that nothing comes of where nobody is ejected.
fn check_idle(beside: &Beside<'_>, origin: &Origin<'_>) -> Result<(), Refusal> {
    let off = origin.flag("eject_consecutive");
    let mend =
        "--eject-success-rate STDEVS, --eject-failure-percentage PERCENT or --eject-latency FACTOR";
    if let Some(idle) = origin.first_given(&["eject_time", "eject_longest", "eject_most"]) {
        return Err(Refusal::usage(format_args!(
            "{idle} says how pods are ejected, and with {off} 0 none is: give another number, add {mend}, or leave {idle} out"
        )));
    }
    if !beside.is_checked && origin.is_given("panic_threshold") {
        return Err(Refusal::usage(format_args!(
            "{} is about pods that are left out, and with {off} 0 none is: give another number, add {mend} or \
             --health-check http:/PATH, or leave it out",
            origin.flag("panic_threshold")
        )));
    }
    let by_failures = |target: &Target| matches!(target.policy, Policy::PeakEwma { .. });
    let is_counted = beside.targets.iter().any(by_failures);
    match origin.first_given(&["failure_statuses", "failure_grpc"]) {
        Some(idle) if !is_counted => Err(Refusal::usage(format_args!(
            "{idle} says what counts as a failure, and with {off} 0 nothing asks: give another number, or add {mend}"
        ))),
        _ => Ok(()),
    }
}
