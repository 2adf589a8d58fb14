//! Reads the various spellings in which people keep cells of DARTS' space.
//!
//! - `Genotype(normal=[('op', 0), ..], normal_concat=range(2, 6), ..)` of DARTS; also with lists instead of tuples, one list per
//!   node, weights behind the pairs (`('op', 0, 0.13)`, old GDAS), as a dictionary or JSON, with text around it;
//! - `('op', node, predecessor)`, nodes from 2 to 5, as in `FairDARTS`;
//! - NAS-Bench-301's configurations: `{"NetworkSelectorDatasetInfo:darts:edge_normal_0": "op", .., "..inputs_node_normal_3":
//!   "0_1"}`;
//! - BANANAS' pairs of predecessor and operation number: `[[(0, 3), ..], [..]]`.

use super::super::{NODES, PRIMITIVES, Searched};
use super::{Wrong, expected, wrong};
use crate::literal::{Literal, shortened};

/// One kept operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Edge {
    /// The node that the edge leads to, from 0 to 3.
    pub(super) node: usize,
    /// Its index in [`PRIMITIVES`], never 0.
    pub(super) op: usize,
    /// The node that the edge comes from; 0 and 1 are the cell's inputs.
    pub(super) predecessor: usize,
}

type Cells = Result<Vec<Vec<Edge>>, Wrong>;

/// The kept operations of each searched cell.
pub(super) fn cells(searched: Searched, text: &str) -> Cells {
    let value = value_in(text).ok_or_else(|| wrong(expected(searched), &shortened(text.trim())))?;
    let value = value.map_err(|(expected, found)| Wrong { expected, found })?;
    if let Some(found) = nas_bench_301(searched, &value).or_else(|| bananas(searched, &value)) {
        return found;
    }
    genotype(searched, &value)
        .unwrap_or_else(|| Err(wrong(expected(searched), &shortened(text.trim()))))
}

/// The value in a text: a genotype anywhere in the text, else the first dictionary or list.
fn value_in(text: &str) -> Option<Result<Literal, (String, String)>> {
    let start = text.find("Genotype(").or_else(|| text.find(['{', '[']))?;
    Some(Literal::at_start(&text[start..]))
}

fn genotype(searched: Searched, value: &Literal) -> Option<Cells> {
    // If the fields have no names, they are in the order of the named tuple.
    let by_place = |name: &str| if name == "normal" { "0" } else { "2" };
    let field = |name: &str| value.find(name).or_else(|| value.find(by_place(name)));
    field("normal")?.members()?;
    let reduce = field("reduce").filter(|found| **found != Literal::Nothing);
    match (searched, reduce) {
        (Searched::Normal, Some(_)) => {
            let here = format!("no reduction cell, which is fixed here: {}", expected(searched));
            return Some(Err(wrong(&here, "reduce=[...]")));
        }
        (Searched::Both, None) => {
            let here = "a reduction cell; without one it is an architecture of darts-frc";
            return Some(Err(wrong(here, "reduce=None")));
        }
        _ => {}
    }
    let cell = |name: &&str| {
        check_concat(value, name)?;
        let list = field(name).expect("both were seen");
        let members = list
            .members()
            .ok_or_else(|| wrong("a list of pairs", &format!("{name} without one")))?;
        read_cell(members)
    };
    Some(searched.cell_types().iter().map(cell).collect())
}

/// Checks that all four nodes are concatenated; cells with other outputs belong to another space.
fn check_concat(value: &Literal, name: &str) -> Result<(), Wrong> {
    let concat = value.find(&format!("{name}_concat"));
    let Some(concat) = concat.filter(|found| **found != Literal::Nothing) else { return Ok(()) };
    let members = concat.members().unwrap_or_default();
    let nodes: Vec<usize> = members.iter().filter_map(Literal::index).collect();
    if nodes == [2, 3, 4, 5] {
        return Ok(());
    }
    let has = if nodes.iter().any(|&node| node > 5) {
        "has four nodes"
    } else {
        "concatenates all four nodes"
    };
    let nodes = nodes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let expected = format!("range(2, 6) or [2, 3, 4, 5], for a cell of this space {has}");
    Err(wrong(&expected, &format!("{name}_concat=[{nodes}]")))
}

/// A pair or triple as written, with its operation already read.
struct Entry {
    op: usize,
    numbers: [Option<usize>; 2],
}

fn read_cell(members: &[Literal]) -> Result<Vec<Edge>, Wrong> {
    let is_entry = |member: &Literal| {
        member.members().and_then(<[_]>::first).is_some_and(|first| first.text().is_some())
    };
    if !members.is_empty() && members.iter().all(is_entry) {
        let entries = members.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
        return if entries.iter().all(|entry| entry.numbers[1].is_some()) {
            with_nodes(&entries)
        } else {
            in_pairs(&entries)
        };
    }
    let lists: Vec<&[Literal]> = members.iter().filter_map(Literal::members).collect();
    if lists.len() != members.len() || lists.is_empty() {
        return Err(wrong("('operation', predecessor)", "something else in a cell's list"));
    }
    if lists.len() != NODES {
        return Err(wrong("4 lists, one per node", &format!("{} lists", lists.len())));
    }
    let mut edges = Vec::new();
    for (node, list) in lists.into_iter().enumerate() {
        for found in list {
            let Entry { op, numbers } = entry(found)?;
            edges.push((node, op, predecessor(numbers[0])?));
        }
    }
    Ok(kept(edges))
}

/// Reads `('op', n)`, with a weight or another number behind it.
fn entry(member: &Literal) -> Result<Entry, Wrong> {
    let Some([Literal::Text(op), numbers @ ..]) = member.members() else {
        return Err(wrong("('operation', predecessor)", "another form"));
    };
    let place = PRIMITIVES.iter().position(|p| *p == op.as_str());
    let known = || format!("an operation of: {}", PRIMITIVES[1..].join(", "));
    let op = place.ok_or_else(|| wrong(&known(), op))?;
    let number = |place: usize| numbers.get(place).and_then(Literal::index);
    Ok(Entry { op, numbers: [number(0), number(1)] })
}

/// Reads two pairs per node, the nodes in order.
fn in_pairs(entries: &[Entry]) -> Result<Vec<Edge>, Wrong> {
    if entries.len() != 2 * NODES {
        return Err(wrong("8 pairs, two per node", &format!("{} pairs", entries.len())));
    }
    let mut edges = Vec::new();
    for (node, pair) in entries.chunks(2).enumerate() {
        let [one, other] = [predecessor(pair[0].numbers[0])?, predecessor(pair[1].numbers[0])?];
        if one == other {
            let found = format!("predecessor {one} twice at node {node}");
            return Err(wrong("two distinct predecessors per node", &found));
        }
        edges.extend([(node, pair[0].op, one), (node, pair[1].op, other)]);
    }
    Ok(kept(edges))
}

/// Reads any number of edges that each name their node, numbered from 2 on.
fn with_nodes(entries: &[Entry]) -> Result<Vec<Edge>, Wrong> {
    let edge = |entry: &Entry| {
        let node =
            entry.numbers[0].and_then(|node| node.checked_sub(2)).filter(|&node| node < NODES);
        let found = || format!("{} in ('{}', ..)", text(entry.numbers[0]), PRIMITIVES[entry.op]);
        let node = node.ok_or_else(|| wrong("a node from 2 to 5", &found()))?;
        Ok((node, entry.op, predecessor(entry.numbers[1])?))
    };
    Ok(kept(entries.iter().map(edge).collect::<Result<_, Wrong>>()?))
}

/// The edges without those of `none`, which count as no edge.
fn kept(edges: Vec<(usize, usize, usize)>) -> Vec<Edge> {
    let edge = |(node, op, predecessor)| Edge { node, op, predecessor };
    edges.into_iter().map(edge).filter(|edge| edge.op > 0).collect()
}

fn predecessor(number: Option<usize>) -> Result<usize, Wrong> {
    number.ok_or_else(|| wrong("a predecessor's number", "none"))
}

fn text(number: Option<usize>) -> String {
    number.map_or_else(|| "no number".to_owned(), |number| number.to_string())
}

/// Reads NAS-Bench-301's configuration, if the value is one.
fn nas_bench_301(searched: Searched, value: &Literal) -> Option<Cells> {
    let Literal::Fields(fields) = value else { return None };
    let named = |name: &str| {
        let found = fields.iter().find(|(key, _)| key.rsplit(':').next() == Some(name));
        found.and_then(|(_, value)| value.text())
    };
    named("edge_normal_0")?;
    let cell = |cell: &&str| {
        let missing = |name: &str| wrong(&format!("an entry {name}"), "none");
        let mut edges = Vec::new();
        for node in 0..NODES {
            let inputs = format!("inputs_node_{cell}_{}", node + 2);
            // The first node always reads both inputs, so the configuration does not list them.
            let inputs =
                if node == 0 { "0_1" } else { named(&inputs).ok_or_else(|| missing(&inputs))? };
            for input in inputs.split('_') {
                let from: usize =
                    input.parse().map_err(|_| wrong("two predecessors, as in 0_1", inputs))?;
                // Edges are counted node by node; each node has one more than the node before.
                let place = format!("edge_{cell}_{}", node * (node + 3) / 2 + from);
                let op = named(&place).ok_or_else(|| missing(&place))?;
                let op = entry(&Literal::List(vec![Literal::Text(op.to_owned())]))?.op;
                edges.push((node, op, from));
            }
        }
        Ok(kept(edges))
    };
    only_both(searched).map(Err).or_else(|| Some(searched.cell_types().iter().map(cell).collect()))
}

/// Reads BANANAS' lists, if the value is two lists of eight pairs of numbers. Operations are numbered from the first that is not
/// `none`.
fn bananas(searched: Searched, value: &Literal) -> Option<Cells> {
    let pairs = |cell: &Literal| -> Option<Vec<[usize; 2]>> {
        let pair = |pair: &Literal| match pair.members()? {
            [from, op] => Some([from.index()?, op.index()?]),
            _ => None,
        };
        cell.members()?
            .iter()
            .map(pair)
            .collect::<Option<_>>()
            .filter(|p: &Vec<_>| p.len() == 2 * NODES)
    };
    let [normal, reduce] = value.members()? else { return None };
    let both = [pairs(normal)?, pairs(reduce)?];
    let cell = |pairs: Vec<[usize; 2]>| {
        let edge = |(i, [from, op]): (usize, [usize; 2])| {
            let known = op + 1 < PRIMITIVES.len();
            let edge = (i / 2, op + 1, from);
            known.then_some(edge).ok_or_else(|| wrong("an operation from 0 to 6", &op.to_string()))
        };
        Ok(kept(pairs.into_iter().enumerate().map(edge).collect::<Result<_, Wrong>>()?))
    };
    only_both(searched).map(Err).or_else(|| Some(both.into_iter().map(cell).collect()))
}

/// The fault of a text with two cells in a space that searches one; None if the space searches both.
fn only_both(searched: Searched) -> Option<Wrong> {
    let here = format!("no reduction cell, which is fixed here: {}", expected(searched));
    (searched == Searched::Normal).then(|| wrong(&here, "two cells"))
}

#[cfg(test)]
mod tests {
    use crate::{Darts, SearchSpace, Skeleton, Space, Stem, count, find_space};

    const V2: [&str; 2] = [
        "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)",
        "('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)",
    ];

    fn params(space: &dyn SearchSpace, text: &str, channels: u32, layers: u16) -> u64 {
        let skeleton = Skeleton { channels, layers, resolution: 8, classes: 10, stem: Stem::Cifar };
        let architecture = space.parse(text).unwrap_or_else(|error| panic!("{error}"));
        // The auxiliary head exists in evaluation only.
        count(&space.graph(&skeleton).derive(&architecture).pruned(false)).params
    }

    fn genotype(normal: &str, reduce: &str) -> String {
        format!(
            "Genotype(normal=[{normal}], normal_concat=range(2, 6), reduce=[{reduce}], reduce_concat=range(2, 6))"
        )
    }

    /// Writes the same cells in NAS-Bench-301's form.
    fn configuration() -> String {
        let named = |name: &str, value: &str| {
            format!("\"NetworkSelectorDatasetInfo:darts:{name}\": \"{value}\"")
        };
        let mut all = Vec::new();
        for (cell, ops, inputs) in [
            (
                "normal",
                [
                    (0, "sep_conv_3x3"),
                    (1, "sep_conv_3x3"),
                    (2, "sep_conv_3x3"),
                    (3, "sep_conv_3x3"),
                    (5, "skip_connect"),
                    (6, "sep_conv_3x3"),
                    (9, "skip_connect"),
                    (11, "dil_conv_3x3"),
                ],
                ["0_1", "0_1", "0_2"],
            ),
            (
                "reduce",
                [
                    (0, "max_pool_3x3"),
                    (1, "max_pool_3x3"),
                    (3, "max_pool_3x3"),
                    (4, "skip_connect"),
                    (5, "max_pool_3x3"),
                    (7, "skip_connect"),
                    (10, "max_pool_3x3"),
                    (11, "skip_connect"),
                ],
                ["1_2", "0_2", "1_2"],
            ),
        ] {
            all.extend(ops.map(|(edge, op)| named(&format!("edge_{cell}_{edge}"), op)));
            let nodes = inputs.iter().zip(3..);
            all.extend(
                nodes.map(|(inputs, node)| named(&format!("inputs_node_{cell}_{node}"), inputs)),
            );
        }
        format!("{{{}}}", all.join(", "))
    }

    #[test]
    fn one_cell_in_all_its_spellings_is_one() {
        let space = Darts::new();
        let [normal, reduce] = V2;
        let plain = genotype(normal, reduce);
        let expected = space.parse(&plain).unwrap();
        assert_eq!(params(&space, &plain, 4, 3), 2_858);
        let lists = |text: &str| text.replace('(', "[").replace(')', "]");
        let json = |text: &str| lists(text).replace('\'', "\"");
        for text in [
            plain.replace("range(2, 6)", "list(range(2, 6))"),
            plain.replace("range(2, 6)", "(2, 3, 4, 5)"),
            plain.replace("), (", "),\n        ("),
            plain.replace(", normal_concat=range(2, 6)", "").replace(", reduce_concat=range(2, 6)", ""),
            plain.replace("0)", "0, 0.13017432391643524)").replace("1)", "1, 0.5)").replace("2)", "2, 1e-3)"),
            format!("2020-01-01 12:00 epoch 3 {plain} and so on"),
            format!("DARTS_V2 = {plain}"),
            format!("Genotype([{normal}], range(2, 6), [{reduce}], range(2, 6))"),
            lists(&genotype(normal, reduce)).replace("Genotype[", "Genotype(").replace("range[2, 6]", "range(2, 6)").replace("6)]", "6))"),
            format!("{{\"spec\": {{\"normal\": [{}], \"normal_concat\": [2, 3, 4, 5], \"reduce\": [{}]}}}}", json(normal), json(reduce)),
            format!("{{'reduce': [{reduce}], 'normal': [{normal}], 'reduce_concat': range(2, 6)}}"),
            configuration(),
            "[[(0, 3), (1, 3), (0, 3), (1, 3), (1, 3), (0, 2), (0, 2), (2, 5)], [(0, 0), (1, 0), (2, 2), (1, 0), (0, 0), (2, 2), (2, 2), (1, 0)]]".to_owned(),
        ] {
            assert_eq!(space.parse(&text).as_ref(), Ok(&expected), "{text}");
        }
    }

    // Parameters at 36 channels and 20 cells, as other people's counters give them.
    #[test]
    fn published_genotypes_of_other_spellings_have_their_parameters() {
        let space = Darts::new();
        let gdas = "Genotype(normal=[('skip_connect', 0, 0.13017432391643524), ('skip_connect', 1, 0.12947972118854523), ('skip_connect', 0, 0.13062666356563568), ('sep_conv_5x5', 2, 0.12980839610099792), ('sep_conv_3x3', 3, 0.12923765182495117), ('skip_connect', 0, 0.12901571393013), ('sep_conv_5x5', 4, 0.12938997149467468), ('sep_conv_3x3', 3, 0.1289220005273819)], normal_concat=range(2, 6), reduce=[('sep_conv_5x5', 0, 0.12862831354141235), ('sep_conv_3x3', 1, 0.12783904373645782), ('sep_conv_5x5', 2, 0.12725995481014252), ('sep_conv_5x5', 1, 0.12705285847187042), ('dil_conv_5x5', 2, 0.12797553837299347), ('sep_conv_3x3', 1, 0.12737272679805756), ('sep_conv_5x5', 0, 0.12833961844444275), ('sep_conv_5x5', 1, 0.12758426368236542)], reduce_concat=range(2, 6))";
        let fair_darts_d = "Genotype(normal=[('sep_conv_3x3', 2, 0), ('sep_conv_5x5', 2, 1), ('dil_conv_3x3', 3, 1), ('max_pool_3x3', 3, 0), ('dil_conv_3x3', 4, 0), ('dil_conv_3x3', 4, 1), ('sep_conv_3x3', 5, 0), ('dil_conv_5x5', 5, 1)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 2, 0), ('sep_conv_5x5', 2, 1), ('avg_pool_3x3', 3, 0), ('dil_conv_5x5', 3, 2), ('dil_conv_3x3', 4, 3), ('avg_pool_3x3', 4, 0), ('avg_pool_3x3', 5, 0), ('skip_connect', 5, 3)], reduce_concat=range(2, 6))";
        for (text, expected) in [(gdas, 3_368_782), (fair_darts_d, 3_365_542)] {
            assert_eq!(params(&space, text, 36, 20), expected, "{text}");
        }
    }

    #[test]
    fn a_cell_searched_alone_has_no_reduction_cell() {
        let alone = find_space("darts-frc").unwrap();
        let [normal, reduce] = V2;
        let expected = alone.parse(&format!("Genotype(normal=[{normal}])")).unwrap();
        let published = format!(
            "Genotype(normal=[{normal}], normal_concat=range(2, 6), reduce=None, reduce_concat=range(2, 6))"
        );
        assert_eq!(alone.parse(&published), Ok(expected));
        let error = |space: &dyn Space, text: &str| space.parse(text).unwrap_err().to_string();
        assert!(error(alone.as_ref(), &genotype(normal, reduce)).contains("no reduction cell"));
        assert!(error(&Darts::new(), &published).contains("darts-frc"));
    }

    #[test]
    fn cells_of_other_shapes_are_refused_by_what_differs() {
        let [normal, reduce] = V2;
        let plain = genotype(normal, reduce);
        let error = |text: &str| Darts::new().parse(text).unwrap_err().to_string();
        for (text, reason) in [
            (
                plain.replace("normal_concat=range(2, 6)", "normal_concat=[2, 3, 4, 5, 6]"),
                "has four nodes",
            ),
            (
                plain.replace("normal_concat=range(2, 6)", "normal_concat=[3, 4, 5]"),
                "concatenates all four nodes, found normal_concat=[3, 4, 5]",
            ),
            (
                plain.replace(
                    "('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0)",
                    "('none', 0), ('none', 1), ('sep_conv_3x3', 0)",
                ),
                "node 0 of the normal cell has no input",
            ),
            (
                plain.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', 9, 0)"),
                "a predecessor of node 0 from 0 to 1",
            ),
            (
                plain.replace("('sep_conv_3x3', 0)", "('sep_conv_3x3', 'x')"),
                "a predecessor's number",
            ),
            (plain.replace("('sep_conv_3x3', 0)", "('conv_9x9', 0)"), "found conv_9x9"),
            (plain[..60].to_owned(), "found the end of the text"),
            ("[[(0, 9)]]".to_owned(), "Genotype("),
        ] {
            let found = error(&text);
            assert!(found.contains(reason), "{text}: {found}");
        }
    }
}
