//! A picture of points or lines, as SVG.

use std::fmt::Write;

/// Colours that people who see few of them can tell apart (Okabe and Ito), on white.
const COLOURS: [&str; 8] = [
    "#0072B2", "#999999", "#E69F00", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#000000",
];

/// From a value to where it stands, in pixels.
#[derive(Clone, Copy)]
pub struct Axis {
    pub from: f64,
    pub to: f64,
    pub logarithmic: bool,
    /// In pixels.
    pub start: f64,
    pub end: f64,
}

pub struct Plot {
    body: String,
    width: f64,
    height: f64,
}

impl Axis {
    pub fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| match self.logarithmic {
            true => value.max(f64::MIN_POSITIVE).ln(),
            false => value,
        };
        let value = value.clamp(self.from.min(self.to), self.to.max(self.from));
        let part = (scale(value) - scale(self.from)) / (scale(self.to) - scale(self.from));
        self.start + part * (self.end - self.start)
    }
}

pub fn colour(number: usize) -> &'static str {
    COLOURS[number % COLOURS.len()]
}

/// How a point is drawn.
#[derive(Clone, Copy, Debug)]
pub enum Mark {
    Dot,
    Ring,
    Cross,
}

impl Plot {
    pub fn new(width: f64, height: f64, title: &str) -> Self {
        let mut plot = Self {
            body: String::new(),
            width,
            height,
        };
        plot.text(10.0, 20.0, "start", "#222", title);
        plot
    }

    /// A text that starts, ends or has its middle there.
    pub fn text(&mut self, x: f64, y: f64, anchor: &str, colour: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.push(&format!(
            r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" fill="{colour}">{text}</text>"#
        ));
    }

    /// Lines across, one for each of these values, with their names.
    pub fn grid(&mut self, x: Axis, y: Axis, across: &[f64], along: &[f64]) {
        for value in along {
            let at = x.place(*value);
            self.line((at, y.start), (at, y.end), "#ddd");
            self.text(
                at,
                y.start.max(y.end) + 14.0,
                "middle",
                "#555",
                &value.to_string(),
            );
        }
        for value in across {
            let at = y.place(*value);
            self.line((x.start, at), (x.end, at), "#ddd");
            self.text(x.start - 5.0, at + 4.0, "end", "#555", &value.to_string());
        }
    }

    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), colour: &str) {
        let ((x1, y1), (x2, y2)) = (from, to);
        self.push(&format!(
            r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" stroke="{colour}"/>"#
        ));
    }

    pub fn curve(&mut self, points: impl Iterator<Item = (f64, f64)>, colour: &str) {
        let points: Vec<String> = points.map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        self.push(&format!(
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            points.join(" ")
        ));
    }

    pub fn mark(&mut self, x: f64, y: f64, colour: &str, mark: Mark) {
        let fill = match mark {
            Mark::Dot => colour,
            Mark::Ring => "white",
            Mark::Cross => {
                let [left, right, top, bottom] = [x - 3.5, x + 3.5, y - 3.5, y + 3.5];
                self.push(&format!(
                    r#"<path d="M{left:.1} {top:.1}L{right:.1} {bottom:.1}M{left:.1} {bottom:.1}L{right:.1} {top:.1}" stroke="{colour}" stroke-width="1.5"/>"#
                ));
                return;
            }
        };
        self.push(&format!(
            r#"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>"#
        ));
    }

    /// The names of what is drawn, in a row from there on, in the colours of their numbers.
    pub fn legend<'a>(&mut self, x: f64, y: f64, names: impl Iterator<Item = &'a str>) {
        let mut x = x;
        for (number, name) in names.enumerate() {
            self.mark(x, y - 4.0, colour(number), Mark::Dot);
            self.text(x + 8.0, y, "start", "#222", name);
            x += 30.0 + 6.6 * name.chars().count() as f64;
        }
    }

    pub fn finish(self) -> String {
        let Self {
            body,
            width,
            height,
        } = self;
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
{body}</svg>
"#
        )
    }

    fn push(&mut self, element: &str) {
        // Writing to a text cannot fail.
        let _ = writeln!(self.body, "{element}");
    }
}
