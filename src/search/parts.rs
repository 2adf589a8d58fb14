//! The last step of a two-stage search: subnets of the trained supernet are judged, and the best within each budget is reported.

use lat_space::Architecture;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::Search;
use super::epoch::Halves;
use crate::error::SearchError;
use crate::evolution::{Evolution, Judge, Judged, Worth};
use crate::finalists::{
    Answer, FINALISTS_STREAM, Finalist, Finals, OnLook, SHORT_LIST, budget, front_of,
};
use crate::objective::{Goal, Objective};
use crate::supernet::CellSupernet;

impl Search<'_, '_> {
    /// Judges as many subnets as there may be finalists, `given` first. The best ones and the front are judged a second time with
    /// more images.
    pub(super) fn parts(
        &self,
        net: &CellSupernet,
        halves: &Halves,
        given: &Architecture,
        on_look: OnLook<'_>,
    ) -> Result<Finals, SearchError> {
        let rule = self.settings.bn_rule.parse().map_err(SearchError::Settings)?;
        let judge = Judge::new(
            (net, self.space.decisions()),
            &halves.images,
            (&halves.train, &halves.valid),
            self.settings.batch as usize,
            rule,
            self.device,
        );
        let mut rng = ChaCha8Rng::seed_from_u64(self.settings.seed);
        rng.set_stream(FINALISTS_STREAM);
        let objective = self.objective.as_ref();
        let mut evolution = Evolution::new(self.space, objective.map(Objective::cost), rng)?;
        let (budgets, free_cost) = self.looked_at(&mut evolution, given, &judge, on_look)?;
        let mut again: Vec<Judged> = Vec::new();
        let candidates = candidates(&evolution, &budgets, self.settings.finalists as usize);
        for (i, judged) in candidates.iter().copied().enumerate() {
            on_look(i, candidates.len());
            let worth = judge.second_look(&judged.architecture);
            again.push(Judged { worth, ..judged.clone() });
        }
        // The sort is stable: among equals the one that was better in the first round comes first.
        again.sort_by(|a, b| b.worth.total_cmp(&a.worth));
        let best = |budget: Option<f64>| {
            again.iter().find(|j| budget.is_none_or(|b| j.cost.is_none_or(|cost| cost <= b)))
        };
        let first = budgets.first().copied().flatten();
        let Some(winner) = best(first) else {
            // Not even the cheapest subnet is within the budget.
            return Ok(Finals { free_cost, budget: first, ..Finals::only(given.clone()) });
        };
        let answer = |target: &Option<f64>| {
            let (target, best) = target.and_then(|t| Some((t, best(Some(t))?)))?;
            Some(Answer { target, best: self.finalist(best) })
        };
        let answers =
            if budgets.len() > 1 { budgets.iter().filter_map(answer).collect() } else { vec![] };
        let all: Vec<Finalist> = again.iter().map(|judged| self.finalist(judged)).collect();
        let within = |f: &&Finalist| first.is_none_or(|b| f.cost.is_none_or(|cost| cost <= b));
        Ok(Finals {
            winner: winner.architecture.clone(),
            finalists: all.iter().filter(within).take(SHORT_LIST).cloned().collect(),
            front: front_of(&all),
            answers,
            free_cost,
            budget: first,
        })
    }

    /// Judges subnets under each budget in turn. Returns the budgets, and for a lambda or a product the cost of the best subnet
    /// without a budget.
    fn looked_at(
        &self,
        evolution: &mut Evolution<'_>,
        given: &Architecture,
        judge: &Judge<'_>,
        on_look: OnLook<'_>,
    ) -> Result<(Vec<Option<f64>>, Option<f64>), SearchError> {
        let (ending, n) = (self.settings.ending, self.settings.finalists as usize);
        let mut done = 0;
        let mut judging = |a: &Architecture| {
            on_look(done, n);
            done += 1;
            Ok(judge.first_look(a))
        };
        let given = std::slice::from_ref(given);
        let goal = self.objective.as_ref().map_or(Goal::Lambda(0.0), Objective::goal);
        let targets: Vec<f64> = match goal {
            Goal::Target(target) => [vec![target], self.more_targets.clone()].concat(),
            Goal::Lambda(0.0) => {
                evolution.run(ending, n, None, given, &mut judging)?;
                return Ok((vec![None], None));
            }
            // Lambda asks for a share of the cost that the task alone would take, which must be known first.
            Goal::Lambda(_) | Goal::Product(_) => {
                evolution.run(ending, n.div_ceil(2), None, given, &mut judging)?;
                let free_cost = evolution.best(None).first().and_then(|best| best.cost);
                let own = self.objective.as_ref().map(|o| o.cost().cost(&given[0])).transpose()?;
                let asked = free_cost.zip(own).and_then(|(free, own)| budget(goal, free, own));
                // A budget below the cheapest subnet seen in the first half cannot be met, so it is raised to that cost.
                let allowed = asked.map(|asked| evolution.least().map_or(asked, |l| asked.max(l)));
                evolution.run(ending, n / 2, allowed, &[], &mut judging)?;
                return Ok((vec![allowed], free_cost));
            }
        };
        let share = n.div_ceil(targets.len());
        for &target in &targets {
            evolution.run(ending, share, Some(target), given, &mut judging)?;
        }
        Ok((targets.into_iter().map(Some).collect(), None))
    }

    fn finalist(&self, judged: &Judged) -> Finalist {
        let Judged { architecture, cost, worth: Worth { accuracy, .. } } = judged;
        Finalist {
            architecture: self.space.format(architecture),
            cost: *cost,
            patterns: f64::NAN,
            correlation: f64::NAN,
            progressivity: f64::NAN,
            trainability: f64::NAN,
            score: accuracy / 100.0,
            inherited_accuracy: Some(*accuracy),
            measured: None,
        }
    }
}

/// The subnets worth judging a second time, of `n` judged: the best quarter within each budget, but at least 8 and at most
/// [`SHORT_LIST`], and the front of cost and accuracy.
fn candidates<'a>(
    evolution: &'a Evolution<'_>,
    budgets: &[Option<f64>],
    n: usize,
) -> Vec<&'a Judged> {
    let of_budget = (n / 4).clamp(8, SHORT_LIST);
    let of_budgets = budgets.iter().flat_map(|b| evolution.best(*b).into_iter().take(of_budget));
    let all = evolution.all();
    let points: Vec<(f64, f64)> =
        all.iter().map(|j| (j.cost.unwrap_or(f64::NAN), j.worth.accuracy)).collect();
    let on_front = crate::pareto::front(&points).into_iter().map(|i| &all[i]);
    let mut candidates: Vec<&Judged> = Vec::new();
    for judged in of_budgets.chain(on_front) {
        if !candidates.iter().any(|known| known.architecture == judged.architecture) {
            candidates.push(judged);
        }
    }
    candidates
}
