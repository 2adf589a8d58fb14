//! Plots with two linear axes, as SVG.

use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::html::escape;

/// Width and height of a plot; the page scales it.
const SIZE: (u32, u32) = (640, 320);
/// Largest number of points drawn for one series. More would make a picture of megabytes in which nobody could tell them apart.
pub(super) const MOST_POINTS: usize = 2000;
/// Number of colours in the page's style. Series with higher numbers repeat the colours with another mark.
pub(super) const N_COLOURS: usize = 8;
/// Numbers of two more colours, for lines behind or in front of all series: the text's colour and a softer one.
pub(super) const STRONG: usize = usize::MAX;
pub(super) const SOFT: usize = usize::MAX - 1;
/// Placeholder colours that [`themed`] replaces: plotters writes fixed colours, but the page's colours follow light and dark mode.
const INK: RGBColor = RGBColor(1, 2, 3);
const LINE: RGBColor = RGBColor(1, 2, 4);
const FIRST_COLOUR: u8 = 16;

/// CSS name of a colour of the page.
pub(super) fn colour(number: usize) -> String {
    match number {
        STRONG => "var(--ink)".to_owned(),
        SOFT => "var(--soft)".to_owned(),
        number => format!("var(--s{})", number % N_COLOURS),
    }
}

/// Placeholder of a colour.
fn stand_in(number: usize) -> RGBColor {
    let place = match number {
        STRONG => N_COLOURS,
        SOFT => N_COLOURS + 1,
        number => number % N_COLOURS,
    };
    RGBColor(1, 2, FIRST_COLOUR + place as u8)
}

/// How the points of a series are drawn.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Mark {
    /// A dot for each point.
    Dots,
    /// A dot for each point, with a short text beside it.
    Labels(Vec<String>),
    /// A line through the points in their order.
    Line,
    /// A line through the points in their order, with dots; for few points.
    DottedLine,
    /// Bars from zero, with this width in units of x; each point is the left end of its bar's top.
    Bars(f64),
}

/// The mark of labelled points and of their legend; it depends on the number of the colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Dot,
    Triangle,
    Cross,
}

/// Dots for the first colours, triangles for the next ones, crosses for the rest.
pub(super) fn shape(number: usize) -> Shape {
    match number / N_COLOURS {
        1 => Shape::Triangle,
        2.. if number < SOFT => Shape::Cross,
        _ => Shape::Dot,
    }
}

/// Points of one colour with a name.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// Its name in the legend.
    pub(super) name: String,
    /// Number of its colour.
    pub(super) colour: usize,
    /// How it is drawn.
    pub(super) mark: Mark,
    /// Pairs (x, y). Those that are not finite are left out, which must not happen to labelled ones.
    pub(super) points: Vec<(f64, f64)>,
}

/// A plot with its axes and series.
#[derive(Debug, Clone, Default)]
pub(super) struct Plot {
    /// Label of the x axis, with its unit.
    pub(super) x_label: String,
    /// Label of the y axis, with its unit.
    pub(super) y_label: String,
    /// The series, each with its own colour.
    pub(super) series: Vec<Series>,
    /// Horizontal lines at these y, in the colour of the axes.
    pub(super) levels: Vec<f64>,
    /// Whether the y axis starts at zero.
    pub(super) from_zero: bool,
    /// Whether x is only a position, so that its axis has no numbers.
    pub(super) without_x: bool,
    /// Whether both axes have the same range and the line y = x is drawn.
    pub(super) diagonal: bool,
}

impl Plot {
    /// A plot without series.
    pub(super) fn new(x_label: &str, y_label: &str) -> Self {
        Self { x_label: x_label.to_owned(), y_label: y_label.to_owned(), ..Self::default() }
    }

    /// Adds a series in the next colour, if it has a finite point.
    #[must_use]
    pub(super) fn with(self, name: &str, mark: Mark, points: Vec<(f64, f64)>) -> Self {
        let next = self.series.len();
        self.coloured((name, next), mark, points)
    }

    /// Adds a series with this name and colour, if it has a finite point.
    #[must_use]
    pub(super) fn coloured(
        mut self,
        (name, colour): (&str, usize),
        mark: Mark,
        points: Vec<(f64, f64)>,
    ) -> Self {
        if points.iter().any(|(x, y)| x.is_finite() && y.is_finite()) {
            self.series.push(Series { name: name.to_owned(), colour, mark, points });
        }
        self
    }

    /// Adds a horizontal line, if y is a finite number.
    #[must_use]
    pub(super) fn level(mut self, y: Option<f64>) -> Self {
        self.levels.extend(y.filter(|y| y.is_finite()));
        self
    }

    /// Names and colours of the series, if there is more than one, or if the x axis does not name them.
    pub(super) fn legend(&self) -> Vec<(String, usize)> {
        if self.series.len() < 2 && !self.without_x {
            return Vec::new();
        }
        self.series.iter().map(|s| (s.name.clone(), s.colour % N_COLOURS)).collect()
    }

    /// The picture; None if there are no points. `title` is for readers who cannot see it.
    pub(super) fn svg(&self, title: &str) -> Option<String> {
        let (x, y) = self.ranges()?;
        let mut svg = String::new();
        self.draw(&mut svg, x, y).expect("drawing into a text cannot fail");
        Some(themed(&svg, title))
    }

    /// Whether some points of a series are not drawn.
    pub(super) fn is_thinned(&self) -> bool {
        self.series.iter().any(|s| s.points.len() > MOST_POINTS)
    }

    fn points(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let all = self.series.iter().flat_map(|s| {
            let width = if let Mark::Bars(width) = s.mark { width } else { 0.0 };
            s.points.iter().flat_map(move |&(x, y)| [(x, y), (x + width, y)])
        });
        all.filter(|(x, y)| x.is_finite() && y.is_finite())
    }

    /// Ranges of the axes, slightly wider than the drawn points.
    fn ranges(&self) -> Option<((f64, f64), (f64, f64))> {
        let x = range(self.points().map(|(x, _)| x))?;
        let ys = self.points().map(|(_, y)| y).chain(self.levels.iter().copied());
        let y = range(ys.chain(self.from_zero.then_some(0.0)))?;
        if self.diagonal {
            let both = widened((x.0.min(y.0), x.1.max(y.1)), 0.04);
            return Some((both, both));
        }
        let has_bars = self.series.iter().any(|s| matches!(s.mark, Mark::Bars(_)));
        let y_wide = widened(y, 0.06);
        let y_wide = if self.from_zero { (y.0, y_wide.1) } else { y_wide };
        Some((if has_bars { x } else { widened(x, 0.03) }, y_wide))
    }

    fn draw(&self, svg: &mut String, x: (f64, f64), y: (f64, f64)) -> Result<(), String> {
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        let mut chart = ChartBuilder::on(&root)
            .margin(8)
            .margin_right(16)
            .x_label_area_size(42)
            .y_label_area_size(72)
            .build_cartesian_2d(x.0..x.1, y.0..y.1)
            .map_err(|e| e.to_string())?;
        let text = text_style();
        chart
            .configure_mesh()
            .x_desc(&self.x_label)
            .y_desc(&self.y_label)
            .x_labels(if self.without_x { 0 } else { 8 })
            .y_labels(6)
            .x_label_formatter(&|x| tick(*x))
            .y_label_formatter(&|y| tick(*y))
            .label_style(text.clone())
            .axis_desc_style(text.clone())
            .axis_style(INK)
            .bold_line_style(LINE)
            .light_line_style(TRANSPARENT)
            .draw()
            .map_err(|e| e.to_string())?;
        let mut paths: Vec<Vec<(f64, f64)>> =
            self.levels.iter().map(|&level| vec![(x.0, level), (x.1, level)]).collect();
        paths.extend(self.diagonal.then(|| vec![(x.0, x.0), (x.1, x.1)]));
        let lines = paths.into_iter().map(|path| PathElement::new(path, INK.stroke_width(1)));
        chart.draw_series(lines).map_err(|e| e.to_string())?;
        for series in &self.series {
            draw_series(&mut chart, series, stand_in(series.colour))?;
        }
        root.present().map_err(|e| e.to_string())
    }
}

/// A tick's number without trailing zeros.
fn tick(value: f64) -> String {
    let text = format!("{value:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn text_style() -> TextStyle<'static> {
    ("sans-serif", 17).into_font().color(&INK)
}

type Chart<'a, DB> = ChartContext<'a, DB, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

fn draw_series<DB: DrawingBackend>(
    chart: &mut Chart<'_, DB>,
    series: &Series,
    colour: RGBColor,
) -> Result<(), String> {
    let finite = |p: &&(f64, f64)| p.0.is_finite() && p.1.is_finite();
    let points: Vec<(f64, f64)> = series.points.iter().filter(finite).copied().collect();
    // Each label belongs to one point, so labelled points are never thinned out.
    let is_labelled = matches!(series.mark, Mark::Labels(_));
    let points = if is_labelled { points } else { thinned(points) };
    if matches!(series.mark, Mark::Line | Mark::DottedLine) {
        let line = PathElement::new(points.clone(), colour.stroke_width(2));
        chart.draw_series([line]).map_err(|e| e.to_string())?;
    }
    if let Mark::Bars(width) = series.mark {
        let bar =
            |&(x, y): &(f64, f64)| Rectangle::new([(x, 0.0), (x + width, y)], colour.filled());
        chart.draw_series(points.iter().map(bar)).map_err(|e| e.to_string())?;
    }
    if let Mark::Labels(labels) = &series.mark {
        let label = |(&p, label): (&(f64, f64), &String)| {
            EmptyElement::at(p) + Text::new(label.clone(), (8, -9), text_style())
        };
        chart.draw_series(points.iter().zip(labels).map(label)).map_err(|e| e.to_string())?;
    }
    let radius = match series.mark {
        Mark::Line | Mark::Bars(_) => return Ok(()),
        Mark::DottedLine => 3,
        Mark::Dots if points.len() > 100 => 2,
        Mark::Dots => 4,
        Mark::Labels(_) => 5,
    };
    if matches!(series.mark, Mark::Labels(_)) && shape(series.colour) == Shape::Triangle {
        let marks = points.iter().map(|&p| TriangleMarker::new(p, radius + 2, colour.filled()));
        return chart.draw_series(marks).map(|_| ()).map_err(|e| e.to_string());
    }
    if matches!(series.mark, Mark::Labels(_)) && shape(series.colour) == Shape::Cross {
        let marks = points.iter().map(|&p| Cross::new(p, radius, colour.stroke_width(3)));
        return chart.draw_series(marks).map(|_| ()).map_err(|e| e.to_string());
    }
    let dots = points.iter().map(|&p| Circle::new(p, radius, colour.filled()));
    chart.draw_series(dots).map(|_| ()).map_err(|e| e.to_string())
}

/// If there are too many points, every n-th of them, always including the last.
fn thinned(points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    let n = points.len();
    if n <= MOST_POINTS {
        return points;
    }
    let last = n - 1;
    (0..MOST_POINTS).map(|i| points[i * last / (MOST_POINTS - 1)]).collect()
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |range, v| match range {
        None => Some((v, v)),
        Some((low, high)) => Some((low.min(v), high.max(v))),
    })
}

/// Widens a range by this share on both sides. A range of a single number gets a width.
fn widened((low, high): (f64, f64), share: f64) -> (f64, f64) {
    let width = high - low;
    let edge = if width > 0.0 { share * width } else { (0.05 * low.abs()).max(0.5) };
    (low - edge, high + edge)
}

/// Replaces the placeholders by the page's colours, removes the fixed size, and adds a title.
fn themed(svg: &str, title: &str) -> String {
    let hex = |c: RGBColor| format!("\"#{:02X}{:02X}{:02X}\"", c.0, c.1, c.2);
    let mut svg = svg.replace(&hex(INK), "\"var(--ink)\"").replace(&hex(LINE), "\"var(--line)\"");
    for number in (0..N_COLOURS).chain([STRONG, SOFT]) {
        svg = svg.replace(&hex(stand_in(number)), &format!("\"{}\"", colour(number)));
    }
    let size = format!("width=\"{}\" height=\"{}\" ", SIZE.0, SIZE.1);
    let svg = svg.replacen(&size, "role=\"img\" ", 1);
    let open = svg.find('>').map_or(0, |place| place + 1);
    format!("{}<title>{}</title>{}", &svg[..open], escape(title), &svg[open..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finite_point_is_drawn_in_the_pages_colours() {
        let points = vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)];
        let plot = Plot::new("x <ms>", "y").with("a", Mark::Dots, points.clone());
        let plot = plot.with("b", Mark::Line, points).level(Some(2.0)).level(None);
        let svg = plot.svg("a & b").unwrap();
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("var(--s0)") && svg.contains("var(--s1)") && svg.contains("--ink"));
        assert!(!svg.contains("#0102"), "a stand-in is left");
        assert!(svg.contains("<title>a &amp; b</title>") && svg.contains("x &lt;ms&gt;"));
        assert_eq!(plot.legend(), [("a".to_owned(), 0), ("b".to_owned(), 1)]);
    }

    #[test]
    fn nothing_finite_is_no_picture_and_one_point_is_one() {
        let none = Plot::new("x", "y").with("a", Mark::Dots, vec![(f64::NAN, 1.0)]);
        assert!(none.series.is_empty() && none.svg("t").is_none());
        let one = Plot::new("x", "y").with("a", Mark::Bars(0.0), vec![(5.0, 0.0)]);
        assert!(Plot { from_zero: true, ..one }.svg("t").is_some());
    }

    #[test]
    fn bars_begin_at_zero_and_their_right_sides_are_inside() {
        let mut plot = Plot::new("x", "n").with("a", Mark::Bars(1.0), vec![(0.0, 3.0), (1.0, 5.0)]);
        plot.from_zero = true;
        let (x, y) = plot.ranges().unwrap();
        assert_eq!((x, y.0), ((0.0, 2.0), 0.0));
        assert!(y.1 > 5.0);
    }

    #[test]
    fn ticks_have_no_idle_zeros() {
        let texts = [0.0, -1e-9, 15.0, 0.1 + 0.2, -2.5, 2450.0].map(tick);
        assert_eq!(texts, ["0", "0", "15", "0.3", "-2.5", "2450"]);
    }

    #[test]
    fn too_many_points_are_thinned_from_end_to_end() {
        let points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i), 0.0)).collect();
        let thin = thinned(points);
        assert_eq!((thin.len(), thin[0].0, thin[MOST_POINTS - 1].0), (MOST_POINTS, 0.0, 99_999.0));
    }
}
