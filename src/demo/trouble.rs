//! What can be wrong with pods, and how the demo shows it. Pure.

use std::time::Duration;

use super::findings::Measure;
use super::load::Traffic;
use super::pod::Manner;
use super::settings::{self, Setting};
use crate::cli::flags::Scene;

/// How long a pod takes for an answer while nothing is wrong with it.
pub const WORK: Duration = Duration::from_millis(20);

/// Times as long that a slow one takes, and a cold one.
const SLOWNESS: u32 = 10;
const COLDNESS: u32 = 20;

/// Pods that join cold, and for how long they are.
const JOINING: usize = 2;
const COLD: Duration = Duration::from_millis(1_500);

/// How long a pod stands still, and then none does.
pub const PAUSE: Duration = Duration::from_millis(500);
pub const BETWEEN_PAUSES: Duration = Duration::from_millis(300);

/// Of pods that have too much to do: what each works on at a time, and how many times too much it is.
const AT_A_TIME: usize = 2;
pub const TIMES_TOO_MUCH: u32 = 3;

/// How long a client waits for an answer: so long that it counts against a pod that hangs; and less where all wait, as
/// each that does is a connection.
const PATIENCE: Duration = Duration::from_millis(1_200);
const PATIENCE_IN_OVERLOAD: Duration = Duration::from_secs(1);

/// Requests a second that one client sends, so that there are clients left while some wait.
const EACH: u32 = 4;
const EACH_IN_OVERLOAD: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    Slow,
    Failing,
    Hanging,
    Cold,
    Pausing,
    Overload,
}

/// What happens once all has been well for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// One pod becomes so.
    Turns(Manner),
    /// So many more join, and are so.
    Join(usize, Manner),
    /// Each pod stands still in its turn.
    Pauses,
    /// It has been so from the beginning, and is seen in full now.
    GoesOn,
}

/// What a number of the command line may be in a scene, from the least to the most, and what it is if none is given.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<T> {
    pub least: T,
    pub usual: T,
    pub most: T,
}

impl Trouble {
    pub const ALL: [Self; 6] = [
        Self::Slow,
        Self::Failing,
        Self::Hanging,
        Self::Cold,
        Self::Pausing,
        Self::Overload,
    ];

    /// The one that a scene shows; a rollout has none.
    pub fn of(scene: Scene) -> Option<Self> {
        match scene {
            Scene::Rollout => None,
            Scene::Slow => Some(Self::Slow),
            Scene::Failing => Some(Self::Failing),
            Scene::Hanging => Some(Self::Hanging),
            Scene::Cold => Some(Self::Cold),
            Scene::Pausing => Some(Self::Pausing),
            Scene::Overload => Some(Self::Overload),
        }
    }

    pub fn settings(self) -> &'static [Setting] {
        match self {
            Self::Slow => settings::SLOW,
            Self::Failing => settings::FAILING,
            Self::Hanging => settings::HANGING,
            Self::Cold => settings::COLD,
            Self::Pausing => settings::PAUSING,
            Self::Overload => settings::OVERLOAD,
        }
    }

    pub fn event(self) -> Event {
        match self {
            Self::Slow => Event::Turns(Manner::Answers(WORK * SLOWNESS)),
            Self::Failing => Event::Turns(Manner::Fails),
            Self::Hanging => Event::Turns(Manner::Hangs),
            Self::Cold => Event::Join(JOINING, Manner::Answers(WORK * COLDNESS)),
            Self::Pausing => Event::Pauses,
            Self::Overload => Event::GoesOn,
        }
    }

    /// What so many pods make of so many requests a second while all is well with them.
    pub fn usual(self, pods: usize, rate: u32) -> Manner {
        match self {
            Self::Overload => {
                let places = u32::try_from(pods * AT_A_TIME).unwrap_or(u32::MAX);
                let work = Duration::from_secs(1) * TIMES_TOO_MUCH * places / rate.max(1);
                Manner::Works(AT_A_TIME, work)
            }
            _ => Manner::Answers(WORK),
        }
    }

    /// Requests a second that the pods can answer, where that is the matter.
    pub fn capacity(self, rate: u32) -> Option<u32> {
        (self == Self::Overload).then_some(rate / TIMES_TOO_MUCH)
    }

    pub fn traffic(self, rate: u32) -> Traffic {
        let (each, patience) = match self {
            Self::Overload => (EACH_IN_OVERLOAD, PATIENCE_IN_OVERLOAD),
            _ => (EACH, PATIENCE),
        };
        Traffic {
            rate,
            each,
            patience,
            // A POST that hangs may not be sent again, whatever the setting.
            post_every: 0,
        }
    }

    /// How long all is well, of the time that a setting lasts.
    pub fn calm(self, lasts: Duration) -> Duration {
        match self {
            Self::Slow | Self::Failing | Self::Hanging => lasts / 5,
            Self::Cold => lasts.saturating_sub(COLD),
            // Sidecars learn in it what is usual; queues grow.
            Self::Pausing | Self::Overload => lasts * 2 / 5,
        }
    }

    /// Pods: where requests are sent again, those of one pod must be within the retry budget, which is a fifth of all.
    /// In an overload a request must not take long beside what a client waits.
    pub fn pods(self) -> Bounds<usize> {
        let (least, usual, most) = match self {
            Self::Slow => (2, 10, 50),
            Self::Cold => (4, 10, 50),
            Self::Failing | Self::Hanging | Self::Pausing => (6, 10, 50),
            Self::Overload => (2, 3, 6),
        };
        Bounds { least, usual, most }
    }

    /// Requests a second: in an overload everybody waits who has asked, and each of them is a connection.
    pub fn rate(self) -> Bounds<u32> {
        let (least, usual, most) = match self {
            Self::Overload => (100, 200, 200),
            _ => (1, super::USUAL_RATE, 20_000),
        };
        Bounds { least, usual, most }
    }

    /// What the first column has.
    pub fn measure(self) -> Measure {
        match self {
            Self::Slow | Self::Failing | Self::Hanging => Measure::ItsShare,
            Self::Cold => Measure::NewPodsShare,
            Self::Pausing => Measure::SentTwice,
            Self::Overload => Measure::Goodput,
        }
    }

    /// What happens, and to whom, in two lines that go on where "for each setting" ends.
    pub fn told(self, pods: usize, rate: u32, pod: &str) -> [String; 2] {
        let millis = |time: Duration| time.as_millis();
        let line = match self {
            Self::Slow => format!(
                "takes {} ms for an answer, the others {} ms. From then on:",
                millis(WORK * SLOWNESS),
                millis(WORK)
            ),
            Self::Failing => "answers every request with 503, at once. From then on:".to_owned(),
            Self::Hanging => "takes every request and answers none. From then on:".to_owned(),
            Self::Cold => format!(
                "join, which take {} ms for an answer while they are cold, the others {} ms. In these {} s:",
                millis(WORK * COLDNESS),
                millis(WORK),
                COLD.as_secs_f64()
            ),
            Self::Pausing => format!(
                "in turn stands still for {} ms and then answers as ever, in {} ms. From then on:",
                millis(PAUSE),
                millis(WORK)
            ),
            Self::Overload => {
                let work = match self.usual(pods, rate) {
                    Manner::Works(_, work) => work,
                    _ => Duration::ZERO,
                };
                format!(
                    "each works on {AT_A_TIME} at a time, {} ms each, and clients wait for {} ms. After two fifths of it:",
                    millis(work),
                    millis(PATIENCE_IN_OVERLOAD)
                )
            }
        };
        let begins = match self {
            Self::Slow | Self::Failing | Self::Hanging => format!(". After a fifth of it {pod}"),
            Self::Cold => format!(". Towards its end {JOINING} more"),
            Self::Pausing => ". After two fifths of it each".to_owned(),
            Self::Overload => {
                format!(". That is {TIMES_TOO_MUCH} times what the pods can do:")
            }
        };
        [begins, line]
    }

    /// What is to be learned from it.
    pub fn lesson(self) -> &'static [&'static str] {
        match self {
            Self::Slow => &[
                "round-robin and random do not look at how long a pod takes. least-request sees its requests pile up, and",
                "peak-ewma remembers how long they took. Which to choose: docs/policies.md",
            ],
            Self::Failing => &[
                "An answer with an error is an answer: unasked, nothing is held against the pod, and least-request sends it",
                "more, since it is done soonest. Asking another pod: docs/retries.md; leaving it out: docs/health.md",
            ],
            Self::Hanging => &[
                "A pod that leaves five requests waiting for a second, or whose clients give up, while the others answer, is left",
                "out, and what waits there and may be repeated goes to another. With a time for each try that is done sooner,",
                "and a health check finds it without any request: docs/health.md",
            ],
            Self::Cold => &[
                "round-robin gives a new pod its whole share at once, --slow-start a tenth of it at first. least-request and",
                "peak-ewma hold back by themselves what is slow: docs/health.md",
            ],
            Self::Pausing => &[
                "Nobody can tell which pod pauses next. least-request sends less to one that does; --hedge asks a second pod once",
                "an answer takes longer than is usual, for a few requests more, and never more than a fifth: docs/retries.md",
            ],
            Self::Overload => &[
                "Without a limit the pods are busy with what nobody waits for any more. With one, what is too much is told so at",
                "once, and all else is answered in time; adaptive finds the limit by itself: docs/overload.md",
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_trouble_has_promises_and_a_lesson_of_lines_that_fit() {
        for trouble in Trouble::ALL {
            let promises = trouble.settings().iter().flat_map(|it| it.promises);
            assert!(promises.count() > 0, "{trouble:?}");
            assert!(trouble.lesson().iter().all(|line| line.len() <= 120));
            let told = trouble.told(10, 200, "cart-zdt9zf2z8-5xfgs");
            assert!(told.iter().all(|line| line.len() <= 120), "{told:?}");
        }
    }

    #[test]
    fn pods_in_an_overload_can_do_a_third_of_what_they_are_asked() {
        for (pods, rate) in [(2, 100), (3, 200), (6, 200)] {
            let Manner::Works(places, work) = Trouble::Overload.usual(pods, rate) else {
                panic!("pods without places");
            };
            let can_do = (pods * places) as f64 / work.as_secs_f64();
            assert!((can_do * 3.0 / f64::from(rate) - 1.0).abs() < 0.01);
            // In the queue of one more than they work on, and once more for the work.
            assert!(work * 2 + Duration::from_millis(100) < PATIENCE_IN_OVERLOAD * 85 / 100);
        }
    }

    #[test]
    fn pods_are_cold_for_all_of_the_time_that_is_looked_at_however_long_a_setting_is() {
        let settings = u32::try_from(settings::COLD.len()).unwrap();
        let shortest = super::super::SHORTEST_COMPARISON / settings;
        for lasts in [shortest, Duration::from_secs(20)] {
            assert_eq!(lasts - Trouble::Cold.calm(lasts), COLD);
        }
    }
}
