//! The page around the pictures: text, tables, figures, style.

use super::entry::{Entry, Link};
use super::plot::{self, MOST_POINTS, Plot, Shape, shape};

/// Numbers of characters at which a table cell changes its style: below SHORT it stays on one line, from LONG and from LONGEST on
/// its lines get longer.
const SHORT: usize = 20;
const LONG: usize = 40;
const LONGEST: usize = 160;

const STYLE: &str = include_str!("style.css");

/// A page that is built from top to bottom.
#[derive(Debug)]
pub(super) struct Page {
    title: String,
    body: String,
}

/// Escapes characters that have a meaning in HTML.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // Control characters are not allowed in HTML, not even escaped.
            c if c.is_control() && c != '\n' && c != '\t' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

impl Page {
    /// A page with its title as the main heading.
    pub(super) fn new(title: &str) -> Self {
        Self { title: title.to_owned(), body: format!("<h1>{}</h1>\n", escape(title)) }
    }

    fn add(&mut self, html: &str) {
        self.body.push_str(html);
    }

    /// Adds a heading.
    pub(super) fn section(&mut self, heading: &str) {
        self.add(&format!("<h2>{}</h2>\n", escape(heading)));
    }

    /// Adds a paragraph.
    pub(super) fn text(&mut self, text: &str) {
        self.add(&format!("<p>{}</p>\n", escape(text)));
    }

    /// Adds a highlighted verdict.
    pub(super) fn verdict(&mut self, good: bool, text: &str) {
        let class = if good { "good" } else { "bad" };
        self.add(&format!("<p class=\"verdict {class}\">{}</p>\n", escape(text)));
    }

    /// Adds an architecture or the like in a monospaced font.
    pub(super) fn code(&mut self, text: &str) {
        self.add(&format!("<pre>{}</pre>\n", escape(text)));
    }

    /// Adds a list of names and values; entries without a value are left out.
    pub(super) fn facts(&mut self, facts: &[(&str, String)]) {
        self.add("<dl>\n");
        for (name, value) in facts.iter().filter(|(_, value)| !value.is_empty()) {
            self.add(&format!("<dt>{}</dt><dd>{}</dd>\n", escape(name), escape(value)));
        }
        self.add("</dl>\n");
    }

    /// Adds a line of links to other pages.
    pub(super) fn links(&mut self, links: &[Link]) {
        if !links.is_empty() {
            let links: Vec<String> = links.iter().map(Link::html).collect();
            self.add(&format!("<nav>{}</nav>\n", links.join(" ")));
        }
    }

    /// Adds a legend for the colours of the figures below.
    pub(super) fn legend(&mut self, names: &[(String, usize)]) {
        self.add(&format!("<ul class=\"legend\">{}</ul>\n", swatches(names)));
    }

    /// Adds a table of texts; see [`Page::linked_table`].
    pub(super) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        let entries = |row: &Vec<String>| row.iter().cloned().map(Entry::from).collect();
        self.linked_table(header, &rows.iter().map(entries).collect::<Vec<_>>());
    }

    /// Adds a table. A column is right-aligned if any of its cells begins with a number.
    pub(super) fn linked_table(&mut self, header: &[&str], rows: &[Vec<Entry>]) {
        let is_number: Vec<bool> = (0..header.len())
            .map(|c| rows.iter().any(|r| begins_with_number(r[c].text())))
            .collect();
        let class = |c: usize| if is_number[c] { " class=\"number\"" } else { "" };
        self.add("<div class=\"wide\"><table>\n<thead><tr>");
        for (c, name) in header.iter().enumerate() {
            self.add(&format!("<th{}>{}</th>", class(c), escape(name)));
        }
        self.add("</tr></thead>\n<tbody>\n");
        for row in rows {
            self.add("<tr>");
            for (c, cell) in row.iter().enumerate() {
                let class = match cell.text().chars().count() {
                    _ if is_number[c] => class(c),
                    n if n < SHORT => " class=\"short\"",
                    n if n < LONG => " class=\"middle\"",
                    n if n < LONGEST => " class=\"long\"",
                    _ => " class=\"long longest\"",
                };
                self.add(&format!("<td{class}>{}</td>", cell.html()));
            }
            self.add("</tr>\n");
        }
        self.add("</tbody></table></div>\n");
    }

    /// Adds figures side by side, as far as there is room.
    pub(super) fn figures(&mut self, figures: &[Figure]) {
        self.figures_in("figures", figures);
    }

    /// Adds wide figures, one below the other.
    pub(super) fn wide_figures(&mut self, figures: &[Figure]) {
        self.figures_in("figures single", figures);
    }

    fn figures_in(&mut self, class: &str, figures: &[Figure]) {
        self.add(&format!("<div class=\"{class}\">\n"));
        for figure in figures {
            self.add(&figure.html());
        }
        self.add("</div>\n");
    }

    /// The complete file.
    pub(super) fn finish(self) -> String {
        let (title, body) = (escape(&self.title), self.body);
        format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <style>\n{STYLE}</style>\n</head>\n<body>\n{body}\
             <footer>Made by lat {}.</footer>\n</body>\n</html>\n",
            env!("CARGO_PKG_VERSION")
        )
    }
}

/// A picture with its title, its legend, and a note on how to read it.
#[derive(Debug)]
pub(super) struct Figure {
    title: String,
    svg: String,
    /// Names and colour numbers of the series.
    legend: Vec<(String, usize)>,
    reading: String,
}

impl Figure {
    /// A figure of a plot; `reading` says what it shows and what is good.
    pub(super) fn new(title: &str, plot: &Plot, reading: &str) -> Self {
        let svg = plot.svg(title).unwrap_or_else(|| "<p>Nothing to draw.</p>\n".to_owned());
        let thinned = format!(" Of many points {MOST_POINTS}, evenly taken, are drawn.");
        let reading = format!("{reading}{}", if plot.is_thinned() { &thinned } else { "" });
        Self::drawn(title, svg, plot.legend(), &reading)
    }

    /// Removes the figure's legend, for figures that share one.
    pub(super) fn without_legend(self) -> Self {
        Self { legend: Vec::new(), ..self }
    }

    /// A figure of a picture that is already drawn.
    pub(super) fn drawn(
        title: &str,
        svg: String,
        legend: Vec<(String, usize)>,
        reading: &str,
    ) -> Self {
        Self { title: title.to_owned(), svg, legend, reading: reading.to_owned() }
    }

    fn html(&self) -> String {
        let legend = swatches(&self.legend);
        let legend = if legend.is_empty() { legend } else { format!("<ul>{legend}</ul>\n") };
        format!(
            "<figure>\n<h3>{}</h3>\n{}{legend}<figcaption>{}</figcaption>\n</figure>\n",
            escape(&self.title),
            self.svg,
            escape(&self.reading)
        )
    }
}

/// Names with marks in their colours, as list items.
fn swatches(names: &[(String, usize)]) -> String {
    let swatch = |(name, colour): &(String, usize)| {
        let mark = match shape(*colour) {
            Shape::Dot => "M0 0H10V10H0Z",
            Shape::Triangle => "M5 0L10 10H0Z",
            Shape::Cross => "M2 0L5 3L8 0L10 2L7 5L10 8L8 10L5 7L2 10L0 8L3 5L0 2Z",
        };
        format!(
            "<li><svg viewBox=\"0 0 10 10\" aria-hidden=\"true\"><path d=\"{mark}\" fill=\"{}\"/></svg>{}</li>",
            plot::colour(*colour),
            escape(name)
        )
    };
    names.iter().map(swatch).collect()
}

fn begins_with_number(cell: &str) -> bool {
    cell.split_whitespace().next().is_some_and(|word| word.parse::<f64>().is_ok())
}

/// A share in percent.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A number with its unit, or a dash if there is none.
pub(super) fn number(value: Option<f64>, unit: &str) -> String {
    match value.filter(|v| v.is_finite()) {
        Some(value) => format!("{value:.4} {unit}").trim_end().to_owned(),
        None => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_files_cannot_become_marks() {
        let evil = "<script>alert('1')</script> & \"x\" \u{0}";
        let mut page = Page::new(evil);
        page.section(evil);
        page.text(evil);
        page.verdict(false, evil);
        page.code(evil);
        page.facts(&[("name", evil.to_owned())]);
        page.table(&["a"], &[vec![evil.to_owned()]]);
        let link = Link { text: evil.to_owned(), href: evil.to_owned() };
        page.links(std::slice::from_ref(&link));
        page.linked_table(&["a"], &[vec![Entry::Link(link)]]);
        page.legend(&[(evil.to_owned(), 0)]);
        page.figures(&[Figure::drawn(evil, String::new(), vec![(evil.to_owned(), 0)], evil)]);
        let html = page.finish();
        assert!(!html.contains("<script") && !html.contains('\u{0}'));
        assert_eq!(html.matches("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;").count(), 16);
    }

    #[test]
    fn a_page_needs_nothing_from_elsewhere() {
        let html = Page::new("x").finish();
        assert!(!html.contains("<script") && !html.contains("@import") && !html.contains("url("));
        assert!(html.contains("prefers-color-scheme: dark") && html.contains("@media print"));
    }

    #[test]
    fn numbers_stand_to_the_right_and_missing_ones_are_dashes() {
        let mut page = Page::new("x");
        page.table(&["name", "ms"], &[vec!["a".into(), "1.5 ms".into()]]);
        assert!(page.body.contains("<th>name</th><th class=\"number\">ms</th>"));
        assert_eq!(number(Some(1.23456), "ms"), "1.2346 ms");
        assert_eq!((number(None, "ms").as_str(), number(Some(f64::NAN), "").as_str()), ("-", "-"));
    }
}
