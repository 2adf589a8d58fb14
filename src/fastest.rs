//! The cheapest architecture of a space: the lower bound of every target.

use lat_predictor::CostModel;
use lat_space::{Architecture, SearchSpace, architecture_at, neighbours};

use crate::error::SearchError;
use crate::methods::learns;
use crate::prices::prices;

/// Spaces up to this size are priced completely.
const ENUMERABLE: u128 = 200_000;
/// Number of architectures in memory at once.
const BLOCK: u128 = 4096;
/// Number of descents by single changes in larger spaces.
const DESCENTS: u64 = 8;

/// The cheapest architecture that reads its input and has an operation with weights, and its cost in the model's unit. Exact if the
/// space can be enumerated, else the best of several descents by single changes.
///
/// # Errors
/// [`SearchError`] if the cost model cannot compute a cost, or if the space has no such architecture.
pub fn fastest(
    space: &dyn SearchSpace,
    cost: &dyn CostModel,
) -> Result<(Architecture, f64), SearchError> {
    let found =
        if space.size() <= ENUMERABLE { enumerated(space, cost)? } else { descended(space, cost)? };
    found.ok_or_else(|| {
        SearchError::Settings(format!("space {} has no architecture that learns", space.id()))
    })
}

fn will_do(space: &dyn SearchSpace, architecture: &Architecture) -> bool {
    space.reads_input(architecture) && learns(space, architecture)
}

fn enumerated(
    space: &dyn SearchSpace,
    cost: &dyn CostModel,
) -> Result<Option<(Architecture, f64)>, SearchError> {
    let mut priced: Vec<(u128, f64)> = Vec::new();
    let mut first = 0;
    while first < space.size() {
        let numbers = first..space.size().min(first + BLOCK);
        let block: Vec<Architecture> = numbers.clone().map(|i| space.at(i)).collect();
        priced.extend(numbers.zip(prices(space.decisions(), cost, &block)?));
        first += BLOCK;
    }
    priced.sort_by(|a, b| a.1.total_cmp(&b.1));
    let architectures = priced.into_iter().map(|(i, cost)| (space.at(i), cost));
    Ok(architectures.into_iter().find(|(architecture, _)| will_do(space, architecture)))
}

fn descended(
    space: &dyn SearchSpace,
    cost: &dyn CostModel,
) -> Result<Option<(Architecture, f64)>, SearchError> {
    let mut best: Option<(Architecture, f64)> = None;
    for number in 0..DESCENTS {
        let start = architecture_at(space, 0, number)?;
        let mut now = (start.clone(), cost.cost(&start)?);
        loop {
            let mut next = now.clone();
            for neighbour in neighbours(space, &now.0) {
                let found = cost.cost(&neighbour)?;
                if found < next.1 && learns(space, &neighbour) {
                    next = (neighbour, found);
                }
            }
            if next.1 >= now.1 {
                break;
            }
            now = next;
        }
        if will_do(space, &now.0) && best.as_ref().is_none_or(|(_, least)| now.1 < *least) {
            best = Some(now);
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use lat_predictor::{CountCost, TableCost};
    use lat_space::{Darts, NasBench201, Space};

    use super::*;

    #[test]
    fn the_cheapest_cell_of_a_table_is_found_and_learns() {
        let space = NasBench201::new();
        // Costs per edge: none 0, skip 1, conv 1x1 3, conv 3x3 5, pool 2; a cell itself costs 1.
        let costs = [0.0, 1.0, 3.0, 5.0, 2.0].repeat(6);
        let cost = TableCost::new(&space, "latency_ms", 1.0, costs).unwrap();
        let (found, least) = fastest(&space, &cost).unwrap();
        assert_eq!(space.format(&found), "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|");
        assert!((least - 4.0).abs() < 1e-5, "{least}");
    }

    #[test]
    fn large_spaces_are_descended() {
        let space = Darts::new();
        let skeleton = space.skeletons()[0].skeleton;
        let cost = CountCost::new(&space, &skeleton, "params").unwrap();
        let (found, least) = fastest(&space, &cost).unwrap();
        space.check(&found).unwrap();
        assert!((cost.cost(&found).unwrap() - least).abs() < 1e-6 * least);
        let any = cost.cost(&architecture_at(&space, 3, 5).unwrap()).unwrap();
        assert!(least < any && learns(&space, &found));
    }
}
