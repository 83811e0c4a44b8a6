mod promises;

use std::collections::BTreeSet;

use super::*;

pub(super) fn candidate(member: usize, trial: bool) -> Candidate {
    let port = u16::try_from(member).unwrap();
    Candidate {
        member,
        identity: Identity {
            address: ([10, 0, 0, 1], port).into(),
            uid: None,
        },
        trial,
        weight: 1,
        ramp: None,
        stats: Arc::new(EndpointStats::new(1, Instant::now())),
    }
}

/// Every policy, with the counts of its target.
pub(super) const POLICIES: [&str; 8] = [
    "round-robin",
    "random",
    "least-request",
    "least-request:choices=5",
    "peak-ewma",
    "weighted",
    "weighted:orca",
    "hash:path",
];

pub(super) fn balancer(policy: &str) -> Balancer {
    Balancer::new(&policy.parse().unwrap(), &Arc::new(TargetStats::new(1)))
}

fn each_policy() -> [Balancer; 8] {
    POLICIES.map(balancer)
}

/// The member picked, and the pass if there is one.
fn pick(picker: &Picker, tried: &[usize]) -> (usize, Option<TrialPass>) {
    let ask = Ask::now(Some(7));
    let pick = picker.pick(&ask, |member| tried.contains(&member)).unwrap();
    (pick.member, pick.trial)
}

#[test]
fn without_candidates_there_is_no_pick() {
    for mut balancer in each_policy() {
        let picker = balancer.picker(&[]);
        assert!(picker.is_empty());
        assert!(picker.pick(&Ask::now(None), |_| false).is_none());
    }
}

#[test]
fn what_is_counted_of_a_pod_begins_at_the_moment_that_is_handed_in() {
    let seconds = std::time::Duration::from_secs;
    let long_ago = Instant::now() - seconds(5);
    let totals = TargetStats::new(1);
    for balancer in each_policy() {
        let stats = balancer.stats(1, long_ago);
        stats.wait(0, long_ago + seconds(1), 0);
        let silence = stats.silence(&totals, long_ago + seconds(3)).unwrap();
        assert_eq!(silence.lasted, seconds(2));
    }
}

#[test]
fn balancers_start_at_different_places() {
    let candidates: Vec<Candidate> = (0..1000).map(|member| candidate(member, false)).collect();
    let first: BTreeSet<usize> = (0..20)
        .map(|_| {
            let picker = balancer("round-robin").picker(&candidates);
            pick(&picker, &[]).0
        })
        .collect();
    // All the same, of a thousand places, would be chance once in 10^57.
    assert!(first.len() > 1);
}

#[test]
fn a_pod_on_trial_gets_one_request_ahead_of_its_turn() {
    for mut balancer in each_policy() {
        let picker = balancer.picker(&[candidate(0, false), candidate(1, true)]);
        let (member, pass) = pick(&picker, &[]);
        assert_eq!(member, 1);
        assert!(pass.is_some());
        for _ in 0..10 {
            let (member, none) = pick(&picker, &[]);
            assert_eq!(member, 0);
            assert!(none.is_none());
        }
    }
}

#[test]
fn a_pass_that_is_dropped_goes_to_the_next_request() {
    for mut balancer in each_policy() {
        let picker = balancer.picker(&[candidate(0, false), candidate(1, true)]);
        drop(pick(&picker, &[]));
        let (member, pass) = pick(&picker, &[]);
        assert_eq!(member, 1);
        pass.unwrap().decided();
        assert_eq!(pick(&picker, &[]).0, 0);
    }
}

#[test]
fn a_pass_that_is_held_over_an_update_stays_the_only_one() {
    let both = [candidate(0, false), candidate(1, true)];
    for mut balancer in each_policy() {
        let picker = balancer.picker(&both);
        let (_, pass) = pick(&picker, &[]);
        let picker = balancer.picker(&both);
        assert_eq!(pick(&picker, &[]).0, 0);
        drop(pass);
        assert_eq!(pick(&picker, &[]).0, 1);
    }
}

#[test]
fn a_new_trial_has_a_new_pass() {
    let both = [candidate(0, false), candidate(1, true)];
    for mut balancer in each_policy() {
        let picker = balancer.picker(&both);
        let (_, pass) = pick(&picker, &[]);
        pass.unwrap().decided();
        // Whatever was decided, membership wants another try.
        let picker = balancer.picker(&both);
        assert_eq!(pick(&picker, &[]).0, 1);

        let (_, held) = pick(&balancer.picker(&both), &[]);
        balancer.picker(&[candidate(0, false)]);
        let picker = balancer.picker(&both);
        assert_eq!(pick(&picker, &[]).0, 1);
        drop(held);
    }
}

#[test]
fn a_retry_is_no_trial_of_a_pod_it_has_tried() {
    for mut balancer in each_policy() {
        let picker = balancer.picker(&[candidate(0, false), candidate(1, true)]);
        let (member, pass) = pick(&picker, &[1]);
        assert_eq!(member, 0);
        assert!(pass.is_none());
    }
}

#[test]
fn of_several_on_trial_each_gets_one_request() {
    for mut balancer in each_policy() {
        let picker =
            balancer.picker(&[candidate(0, true), candidate(1, false), candidate(2, true)]);
        let passes = [pick(&picker, &[]), pick(&picker, &[])];
        assert_eq!(passes.each_ref().map(|(member, _)| *member), [0, 2]);
        assert_eq!(pick(&picker, &[]).0, 1);
    }
}

#[test]
fn where_all_are_on_trial_requests_do_not_wait_for_a_pass() {
    for mut balancer in each_policy() {
        let picker = balancer.picker(&[candidate(0, true), candidate(1, true)]);
        assert!(!picker.is_empty());
        let _passes = [pick(&picker, &[]), pick(&picker, &[])];
        for (tried, expected) in [(&[][..], 0), (&[0], 1), (&[0, 1], 0)] {
            let (member, pass) = pick(&picker, tried);
            assert_eq!(member, expected);
            assert!(pass.is_none());
        }
    }
}

#[test]
fn trials_take_no_turns_from_the_others() {
    let mut balancer = balancer("round-robin");
    let candidates: Vec<Candidate> = (0..4)
        .map(|member| candidate(member, member == 2))
        .collect();
    let picker = balancer.picker(&candidates);
    let mut counts = [0; 4];
    for _ in 0..40 {
        let (member, pass) = pick(&picker, &[]);
        counts[member] += 1;
        // The first one alone is on trial.
        if let Some(pass) = pass {
            pass.decided();
        }
    }
    assert_eq!(counts, [13, 13, 1, 13]);
}

#[test]
fn only_one_of_many_threads_gets_the_pass() {
    let mut balancer = balancer("round-robin");
    for _ in 0..200 {
        let picker = balancer.picker(&[candidate(0, false), candidate(1, true)]);
        let passes = std::thread::scope(|scope| {
            let workers = [0; 3].map(|_| scope.spawn(|| pick(&picker, &[]).1));
            workers.map(|worker| worker.join().unwrap())
        });
        assert_eq!(passes.iter().flatten().count(), 1);
        for pass in passes.into_iter().flatten() {
            pass.decided();
        }
    }
}
