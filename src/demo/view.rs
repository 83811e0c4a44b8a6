//! What the demo shows: lines as things happen and, on a terminal, a table below them that is drawn again and again.
//! Text is made from a [`Model`] alone; [`Screen`] puts it out.

use std::io::{self, Write};
use std::time::Duration;

use super::load::Tally;
use super::shares::Shares;
use super::state::PodState;

/// Columns of the widest line: fits any terminal, so no line wraps and the table can be drawn over.
const WIDTH: usize = 79;

/// Columns of a full bar, which stands for all requests.
const BAR: usize = 20;

/// Rows of pods that are shown; the rest is summed up in a line.
const ROWS: usize = 15;

/// A moment of the run.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub elapsed: Duration,
    pub total: Duration,
    pub scene: &'static str,
    pub tally: Tally,
    /// As the sidecar gives them.
    pub pods: Vec<PodState>,
    /// The same when the scene began.
    pub before: Vec<PodState>,
}

/// The table of a moment, each line ended.
pub fn table(model: &Model) -> String {
    let mut text = format!(
        "  {:<16} {:>5.1} s of {:.0} s   answered {}   waiting {}   failed {}\n",
        model.scene,
        model.elapsed.as_secs_f64(),
        model.total.as_secs_f64(),
        model.tally.answered,
        model.tally.waiting,
        model.tally.failed
    );
    text += "  POD                     STATE        REQUESTS  SHARE IN THIS SCENE\n";
    let shares = Shares::between(&model.before, &model.pods);
    let total = shares.total();
    for (pod, requests) in model.pods.iter().zip(shares.counts()).take(ROWS) {
        text += &clip(&row(pod, requests, total));
        text.push('\n');
    }
    if model.pods.len() > ROWS {
        text += &format!("  and {} more\n", model.pods.len() - ROWS);
    }
    if model.pods.is_empty() {
        text += "  no pod: requests are held until there is one\n";
    }
    text
}

fn row(pod: &PodState, requests: u64, total: u64) -> String {
    let thousandths = (requests * 1000).checked_div(total).unwrap_or(0);
    let cells = usize::try_from(thousandths).map_or(BAR, |share| (share * BAR).div_ceil(1000));
    // A pod without requests mostly has a reason for it, which takes the place of its bar.
    let bar = "#".repeat(cells);
    let gap = if bar.is_empty() { "" } else { " " };
    let note = pod.reason.as_deref().unwrap_or_default();
    format!(
        "  {:<23} {:<12} {:>8}  {:>3}.{} % {bar}{gap}{note}",
        pod.name(),
        pod.state,
        pod.requests,
        thousandths / 10,
        thousandths % 10,
    )
}

fn clip(line: &str) -> String {
    line.chars()
        .take(WIDTH)
        .collect::<String>()
        .trim_end()
        .to_owned()
}

/// A line of the story: when, which scene, what.
pub fn line(elapsed: Duration, scene: &str, what: &str) -> String {
    format!("{:>5.1} s  {scene:<16}  {what}", elapsed.as_secs_f64())
}

/// Where the text goes.
#[derive(Debug)]
pub struct Screen<W> {
    out: W,
    /// Whether a table may be drawn over.
    live: bool,
    /// Lines of the table that stand at the end of the output.
    drawn: usize,
}

impl<W: Write> Screen<W> {
    pub fn new(out: W, live: bool) -> Self {
        Self {
            out,
            live,
            drawn: 0,
        }
    }

    /// Adds a line that stays, above the table.
    ///
    /// # Errors
    /// Where the output is closed.
    pub fn say(&mut self, line: &str) -> io::Result<()> {
        self.erase()?;
        writeln!(self.out, "{line}")?;
        self.out.flush()
    }

    /// Draws the table of this moment over the last one; nothing where the output is not a terminal.
    ///
    /// # Errors
    /// Where the output is closed.
    pub fn show(&mut self, model: &Model) -> io::Result<()> {
        if !self.live {
            return Ok(());
        }
        let table = table(model);
        self.erase()?;
        self.out.write_all(table.as_bytes())?;
        self.drawn = table.lines().count();
        self.out.flush()
    }

    /// Up to the table's first line, and clear from there to the end (ECMA-48: CPL, ED).
    fn erase(&mut self) -> io::Result<()> {
        if self.drawn > 0 {
            write!(self.out, "\x1b[{}F\x1b[J", self.drawn)?;
            self.drawn = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, state: &str, requests: u64) -> PodState {
        PodState {
            pod: Some(name.to_owned()),
            address: "127.0.1.1:80".to_owned(),
            state: state.to_owned(),
            reason: (state != "ready").then(|| "its list says so, at some length".to_owned()),
            requests,
        }
    }

    fn model() -> Model {
        Model {
            elapsed: Duration::from_millis(2_340),
            total: Duration::from_secs(10),
            scene: "one pod unready",
            tally: Tally {
                answered: 700,
                failed: 0,
                waiting: 2,
            },
            pods: vec![
                pod("cart-5f7c9b6d4-x2k8p", "ready", 250),
                pod("cart-5f7c9b6d4-zq4tm", "not_ready", 200),
                pod("cart-5f7c9b6d4-lw9vh", "ready", 250),
            ],
            before: vec![
                pod("cart-5f7c9b6d4-x2k8p", "ready", 200),
                pod("cart-5f7c9b6d4-zq4tm", "ready", 200),
                pod("cart-5f7c9b6d4-lw9vh", "ready", 200),
            ],
        }
    }

    #[test]
    fn the_table_shows_each_pod_with_its_share_of_the_scene() {
        let expected = "  one pod unready    2.3 s of 10 s   answered 700   waiting 2   failed 0
  POD                     STATE        REQUESTS  SHARE IN THIS SCENE
  cart-5f7c9b6d4-x2k8p    ready             250   50.0 % ##########
  cart-5f7c9b6d4-zq4tm    not_ready         200    0.0 % its list says so, at s
  cart-5f7c9b6d4-lw9vh    ready             250   50.0 % ##########
";
        assert_eq!(table(&model()), expected);
    }

    #[test]
    fn no_line_is_wider_than_a_terminal_and_many_pods_are_summed_up() {
        let mut model = model();
        model.pods = (0..40)
            .map(|n| pod(&format!("cart-{n}"), "terminating", u64::MAX / 2000))
            .collect();
        model.before.clear();
        let table = table(&model);
        assert!(table.lines().all(|line| line.chars().count() <= WIDTH));
        assert!(table.ends_with("  and 25 more\n"), "{table}");
    }

    #[test]
    fn a_line_stays_above_the_table_which_is_drawn_over() {
        let mut screen = Screen::new(Vec::new(), true);
        screen.show(&model()).unwrap();
        screen.say("hello").unwrap();
        screen.show(&model()).unwrap();
        let text = String::from_utf8(screen.out).unwrap();
        let table = table(&model());
        assert_eq!(text, format!("{table}\x1b[5F\x1b[Jhello\n{table}"));
    }

    #[test]
    fn without_a_terminal_there_are_only_lines() {
        let mut screen = Screen::new(Vec::new(), false);
        screen.show(&model()).unwrap();
        screen
            .say(&line(Duration::from_millis(1_250), "steady", "3 pods"))
            .unwrap();
        let text = String::from_utf8(screen.out).unwrap();
        assert_eq!(text, "  1.2 s  steady            3 pods\n");
    }
}
