//! Pictures of derived cells: nodes in a row, with an arc for each edge and its operation.
//!
//! A decision's edge is in its name, `normal/0-2`; the nodes that make up the cell's output are read from the graph.

use std::collections::{BTreeMap, BTreeSet};

use lat_space::{Architecture, Graph, SearchSpace, Skeleton, Step};

use super::html::{Figure, Page, escape};
use super::plot::N_COLOURS;
use super::shown::fault;

/// Distance of neighbouring nodes, and the height that an arc gains for each node that it passes.
const STEP: f64 = 132.0;
const RISE: f64 = 46.0;
const RADIUS: f64 = 15.0;
/// Smallest share of its own width at which a picture is shown.
const READABLE: f64 = 0.75;

/// One edge with the operation chosen for it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Edge {
    from: usize,
    to: usize,
    operation: String,
    /// Index of the operation among the choices, which determines its colour.
    colour: usize,
}

/// The cell of one cell type.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    /// The cell type: `normal`.
    name: String,
    edges: Vec<Edge>,
    n_nodes: usize,
    /// Nodes at the end of a decision's edge, whatever was chosen there; the other nodes are the cell's inputs.
    ends: BTreeSet<usize>,
    /// Nodes that are concatenated into the cell's output; empty if the last node is the output.
    output: Vec<usize>,
}

/// The derived cells, and as (name, choice) the decisions that are not edges.
#[derive(Debug, Default)]
struct Derived {
    /// One cell for each cell type with edges.
    cells: Vec<Cell>,
    /// The other decisions.
    others: Vec<(String, String)>,
}

/// The cells of an architecture.
fn derived(space: &dyn SearchSpace, skeleton: &Skeleton, architecture: &Architecture) -> Derived {
    let graph = space.graph(skeleton);
    let mut derived = Derived::default();
    for (decision, set) in space.decisions().iter().zip(&architecture.choices) {
        let chosen: Vec<usize> = set.iter().filter(|&c| Some(c) != decision.none()).collect();
        let names: Vec<String> = chosen.iter().map(|&c| decision.text(c)).collect();
        let operation = names.join(" + ");
        let Some((from, to)) = decision.edge else {
            derived.others.push((decision.name.clone(), operation));
            continue;
        };
        let cell = derived.cell(decision.cell_type());
        cell.n_nodes = cell.n_nodes.max(to + 1);
        cell.ends.insert(to);
        if let Some(&colour) = chosen.first() {
            cell.edges.push(Edge { from, to, operation, colour });
        }
    }
    for cell in &mut derived.cells {
        cell.output = output(space, &graph, &cell.name);
    }
    derived
}

/// Adds an architecture's cells and other choices to a page, with a remark if no path leads from its input to its output.
pub(super) fn add(
    page: &mut Page,
    space: &dyn SearchSpace,
    skeleton: &Skeleton,
    architecture: &Architecture,
) {
    match fault(space, architecture) {
        Some(remark) if !space.reads_input(architecture) => page.verdict(
            false,
            &format!("There is {remark}: the network answers the same to every image."),
        ),
        Some(remark) => page.verdict(
            false,
            &format!("There is {remark}: only the layers around the cells can learn."),
        ),
        None => {}
    }
    let derived = derived(space, skeleton, architecture);
    let cells: Vec<_> = derived.cells.iter().map(Cell::figure).collect();
    if !cells.is_empty() {
        page.wide_figures(&cells);
        page.text("Circles are values, numbered as in the text; an arc is an operation from one to the next, and where arcs meet they are added. Lines to \"out\" are joined to the cell's output; where there is none, the last circle is the output. Edges without an arc were left out; nothing leads into grey circles.");
    }
    if !derived.others.is_empty() {
        let rows: Vec<_> = derived.others.into_iter().map(|(d, c)| vec![d, c]).collect();
        page.table(&["decision", "choice"], &rows);
    }
}

impl Derived {
    fn cell(&mut self, name: &str) -> &mut Cell {
        let known = self.cells.iter().position(|cell| cell.name == name);
        let place = known.unwrap_or_else(|| {
            let name = name.to_owned();
            self.cells.push(Cell {
                name,
                edges: Vec::new(),
                n_nodes: 0,
                ends: BTreeSet::new(),
                output: Vec::new(),
            });
            self.cells.len() - 1
        });
        &mut self.cells[place]
    }
}

/// The nodes whose values are concatenated, in the first cell of the type.
fn output(space: &dyn SearchSpace, graph: &Graph, name: &str) -> Vec<usize> {
    let decisions = space.decisions();
    let mut first = None;
    // For each value computed by an edge's site, the node that the edge ends in.
    let mut ends: BTreeMap<usize, usize> = BTreeMap::new();
    for (value, cell, site) in graph.sites() {
        let is_own = |d: &&lat_space::Decision| d.cell_type() == name;
        let own = site.decisions().into_iter().map(|d| &decisions[d]);
        let Some((_, to)) = own.filter(is_own).find_map(|d| d.edge) else { continue };
        if *first.get_or_insert(cell) == cell {
            ends.insert(value, to);
        }
    }
    // A node's value is the sum of its edges' values.
    let mut nodes: BTreeMap<usize, usize> = BTreeMap::new();
    for (value, node) in graph.nodes.iter().enumerate() {
        if let Step::Sum(from) = &node.step
            && let Some(&to) = from.iter().find_map(|v| ends.get(v))
        {
            nodes.insert(value, to);
        }
    }
    let joined = graph.nodes.iter().find_map(|node| match &node.step {
        Step::Concat(from) => from.iter().map(|v| nodes.get(v).copied()).collect(),
        _ => None,
    });
    joined.map(|nodes: BTreeSet<usize>| nodes.into_iter().collect()).unwrap_or_default()
}

impl Cell {
    /// Whether no path leads from an input of the cell to its output.
    fn is_cut(&self) -> bool {
        // Edges lead from lower nodes to higher ones.
        let mut reached: Vec<bool> = (0..self.n_nodes).map(|n| !self.ends.contains(&n)).collect();
        for to in 0..self.n_nodes {
            reached[to] |= self.edges.iter().any(|edge| edge.to == to && reached[edge.from]);
        }
        let last = self.n_nodes.saturating_sub(1);
        let output = if self.output.is_empty() { &[last][..] } else { &self.output };
        !output.iter().any(|&node| reached[node])
    }

    /// The picture with its title, legend and, if the cell is cut, a remark.
    fn figure(&self) -> Figure {
        let mark = if self.is_cut() { ": no path from input to output" } else { "" };
        let title = format!("Cell type {}{mark}", self.name);
        Figure::drawn(&title, self.svg(), self.legend(), "")
    }

    /// Names of the operations with their colours, in the order of the choices.
    fn legend(&self) -> Vec<(String, usize)> {
        let all: BTreeSet<(usize, &str)> =
            self.edges.iter().map(|e| (e.colour, e.operation.as_str())).collect();
        all.into_iter().map(|(c, name)| (name.to_owned(), c % N_COLOURS)).collect()
    }

    /// The picture. A cell without a path from input to output gets a frame.
    fn svg(&self) -> String {
        let n_places = self.n_nodes + usize::from(!self.output.is_empty());
        let width = STEP * n_places as f64;
        let longest = self.edges.iter().map(|e| e.to - e.from).max().unwrap_or(1);
        let row_y = 30.0 + RISE * longest as f64;
        let below = if self.output.is_empty() { 34.0 } else { 78.0 };
        let x = |node: usize| STEP * (node as f64 + 0.5);
        let head = format!(
            "<svg class=\"{}\" style=\"min-width:{:.0}px;max-width:{width:.0}px\" role=\"img\" viewBox=\"0 0 {width:.0} {:.0}\" xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\" font-size=\"14\"><title>{}</title>",
            if self.is_cut() { "cell cut" } else { "cell" },
            // At this width the names of operations can still be read; on a narrow page the figure can be scrolled.
            READABLE * width,
            row_y + below,
            escape(&format!("{}: {}", self.name, self.text()))
        );
        let arcs = self.edges.iter().map(|e| arc(x(e.from), x(e.to), row_y, e));
        // Names are drawn on top of all arcs.
        let names = self.edges.iter().map(|e| name(f64::midpoint(x(e.from), x(e.to)), row_y, e));
        let joins = self.output.iter().map(|&node| join(x(node), x(self.n_nodes), row_y));
        let nodes = (0..n_places).map(|place| self.node(place, x(place), row_y));
        let parts = std::iter::once(head).chain(arcs).chain(names).chain(joins).chain(nodes);
        parts.chain(["</svg>\n".to_owned()]).collect()
    }

    /// The edges in words, for readers who cannot see the picture.
    fn text(&self) -> String {
        let edge = |e: &Edge| format!("{} to {} {}", e.from, e.to, e.operation);
        self.edges.iter().map(edge).collect::<Vec<_>>().join("; ")
    }

    fn node(&self, place: usize, x: f64, y: f64) -> String {
        let is_end = self.edges.iter().any(|e| e.to == place);
        let label = match place {
            _ if place == self.n_nodes => "out".to_owned(),
            _ => place.to_string(),
        };
        // Nodes that no edge reaches in this cell are its inputs, or cut off by `none`.
        let line = if is_end || place == self.n_nodes { "var(--ink)" } else { "var(--soft)" };
        format!(
            "<circle cx=\"{x:.0}\" cy=\"{y:.0}\" r=\"{RADIUS}\" fill=\"var(--paper)\" stroke=\"{line}\" stroke-width=\"2\"/><text x=\"{x:.0}\" y=\"{:.0}\" text-anchor=\"middle\" fill=\"var(--ink)\">{label}</text>",
            y + 5.0
        )
    }
}

/// A line from a node to the cell's output.
fn join(from: f64, to: f64, y: f64) -> String {
    format!(
        "<path d=\"M{from:.0} {:.0} Q{:.0} {:.0} {:.0} {:.0}\" fill=\"none\" stroke=\"var(--line)\" stroke-width=\"2\"/>",
        y + RADIUS,
        f64::midpoint(from, to),
        y + 84.0,
        to - 8.0,
        y + RADIUS
    )
}

/// The height of an arc's highest point.
fn top(y: f64, edge: &Edge) -> f64 {
    y - 8.0 - RISE * (edge.to - edge.from) as f64
}

/// The operation's name on its arc.
fn name(middle: f64, y: f64, edge: &Edge) -> String {
    format!(
        "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"var(--s{})\" stroke=\"var(--paper)\" stroke-width=\"4\" paint-order=\"stroke\">{}</text>",
        top(y, edge) - 5.0,
        edge.colour % N_COLOURS,
        escape(&edge.operation)
    )
}

/// An arc with an arrowhead.
fn arc(from: f64, to: f64, y: f64, edge: &Edge) -> String {
    let colour = format!("var(--s{})", edge.colour % N_COLOURS);
    let (start, end, foot) = (from + 5.0, to - 5.0, y - RADIUS);
    // The curve's highest point is at three quarters of the height of its control points.
    let control = foot - (foot - top(y, edge)) / 0.75;
    let lean = 0.12 * (end - start);
    format!(
        "<path d=\"M{start:.1} {foot:.1} C{:.1} {control:.1} {:.1} {control:.1} {end:.1} {foot:.1}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/><path d=\"M{:.1} {:.1} L{end:.1} {foot:.1} L{:.1} {:.1} Z\" fill=\"{colour}\"/>",
        start + lean,
        end - lean,
        end - 6.5,
        foot - 9.0,
        end + 3.0,
        foot - 11.0
    )
}

#[cfg(test)]
mod tests {
    use lat_space::{SPACES, architecture_at, find_skeleton, find_space};

    use super::*;

    fn cells(space: &str, text: &str) -> Derived {
        let space = find_space(space).unwrap();
        let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
        derived(space.as_ref(), &skeleton, &space.parse(text).unwrap())
    }

    #[test]
    fn edges_are_those_of_the_text_and_none_is_not_drawn() {
        let text =
            "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|skip_connect~2|";
        let derived = cells("nasbench201", text);
        let [cell] = &derived.cells[..] else { panic!("one cell type: {derived:?}") };
        assert_eq!(
            cell.text(),
            "0 to 1 nor_conv_3x3; 1 to 2 skip_connect; 0 to 3 avg_pool_3x3; 2 to 3 skip_connect"
        );
        assert_eq!((cell.n_nodes, &cell.output[..]), (4, &[][..]), "the last node is the output");
        assert_eq!(cell.svg().matches("<circle").count(), 4);
        assert!(derived.others.is_empty());
    }

    #[test]
    fn concatenated_nodes_lead_to_the_output() {
        let space = find_space("darts").unwrap();
        let derived = cells("darts", &space.format(&space.at(12345)));
        let names: Vec<&str> = derived.cells.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["normal", "reduce"]);
        for cell in &derived.cells {
            assert_eq!(
                (cell.edges.len(), cell.n_nodes, &cell.output[..]),
                (8, 6, &[2, 3, 4, 5][..])
            );
            assert_eq!(cell.svg().matches("<circle").count(), 7);
        }
    }

    #[test]
    fn a_cell_is_cut_where_its_network_does_not_read_the_image() {
        let (mut n_cut, mut n_whole) = (0, 0);
        for build in SPACES {
            let space = build();
            let skeleton = space.skeletons()[0].skeleton;
            for number in 0..space.size().min(200) as u64 {
                let architecture = architecture_at(space.as_ref(), 5, number).unwrap();
                let cells = derived(space.as_ref(), &skeleton, &architecture).cells;
                if cells.is_empty() {
                    break;
                }
                let is_cut = cells.iter().any(Cell::is_cut);
                assert_eq!(is_cut, !space.reads_input(&architecture), "{architecture:?}");
                if is_cut { n_cut += 1 } else { n_whole += 1 }
            }
        }
        assert!(n_cut > 3 && n_whole > 300, "{n_cut} cut, {n_whole} whole");
    }

    #[test]
    fn a_cut_cell_is_marked() {
        // Node 1 has no input either, but leads to the output.
        let cut = "|none~0|+|none~0|nor_conv_3x3~1|+|none~0|skip_connect~1|none~2|";
        let cell = cells("nasbench201", cut).cells.remove(0);
        assert!(cell.is_cut() && cell.svg().contains("class=\"cell cut\""));
        assert!(format!("{:?}", cell.figure()).contains("no path from input to output"));
        let whole = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|";
        let cell = cells("nasbench201", whole).cells.remove(0);
        assert!(!cell.is_cut() && !cell.svg().contains("cut"));
    }

    #[test]
    fn every_space_can_be_shown() {
        for build in SPACES {
            let space = build();
            let skeleton = find_skeleton(space.as_ref(), "quick").unwrap();
            let shown = derived(space.as_ref(), &skeleton, &space.at(0));
            assert!(!shown.cells.is_empty() || !shown.others.is_empty(), "{}", space.id());
        }
    }
}
