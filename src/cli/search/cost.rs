//! Builds the cost model of a search: counted, added up from operations, or predicted.

use std::path::PathBuf;

use lat::cost_id::CostId;
use lat::objective::Goal;
use lat_predictor::{CostModel, CountCost, Predictor, PredictorCost};
use lat_space::{SearchSpace, Skeleton};

use super::args::Args;
use crate::cli::failure::bad;
use crate::cli::newest;
use crate::cli::op_costs::OpCosts;
use crate::cli::place::MeasuredCost;

/// A cost model, and the predictor file it came from, if there is one.
pub(super) struct Cost {
    pub(super) model: Box<dyn CostModel>,
    pub(super) predictor: Option<Predictor>,
    /// The predictor file.
    pub(super) file: Option<PathBuf>,
    pub(super) id: CostId,
    /// Where and how the model's training data was measured, as far as it is known.
    pub(super) measured: Option<MeasuredCost>,
}

/// Builds the cost model: by counting, from the named predictor, or from the newest. A search that ignores the cost can do without one.
pub(super) fn cost(
    args: &Args,
    space: &dyn SearchSpace,
    goal: Goal,
    skeleton: &Skeleton,
) -> anyhow::Result<(Option<Cost>, String)> {
    if args.predictor.is_none() && ["params", "multiply_adds"].contains(&args.target.as_str()) {
        if args.risk > 0.0 {
            return Err(bad(format!(
                "expected --risk with a predicted cost, found {}, which is counted and certain; leave --risk out",
                args.target
            )));
        }
        let model: Box<dyn CostModel> = Box::new(CountCost::new(space, skeleton, &args.target)?);
        let line = format!("{} counted at {skeleton}", args.target);
        let id = CostId {
            column: args.target.clone(),
            source: "counted".to_owned(),
            checksum: String::new(),
        };
        return Ok((Some(Cost { model, predictor: None, file: None, id, measured: None }), line));
    }
    if !args.per_op.is_empty() {
        let table = OpCosts::read(&args.per_op, space)?;
        let model = Box::new(table.costs.table(space)?);
        let line = table.line();
        let measured = table.header.as_ref().map(MeasuredCost::of_header);
        let id = CostId {
            column: model.column().to_owned(),
            source: table.source,
            checksum: table.checksum,
        };
        return Ok((Some(Cost { model, predictor: None, file: None, id, measured }), line));
    }
    let path = match &args.predictor {
        Some(path) => path.clone(),
        None => match newest::newest_predictor(space.id(), &args.target) {
            Ok(path) => path,
            Err(_) if goal == Goal::Lambda(0.0) && args.risk == 0.0 => {
                return Ok((None, "no predictor: searching for accuracy alone".to_owned()));
            }
            Err(error) => return Err(error),
        },
    };
    predicted(args, space, path)
}

/// The cost model from a predictor file.
fn predicted(
    args: &Args,
    space: &dyn SearchSpace,
    path: PathBuf,
) -> anyhow::Result<(Option<Cost>, String)> {
    let (predictor, checksum) = Predictor::load_with_checksum(&path)?;
    if predictor.label().declaration.is_some() {
        return Err(bad(format!(
            "expected a predictor for search space '{}', found {} for space '{}', which a file declares: such a space has no networks \
             to search, only architectures to predict (`lat predict`); name another with --predictor",
            space.id(),
            path.display(),
            predictor.label().space
        )));
    }
    let model = PredictorCost::new(&predictor, space, &args.target, tch::Device::Cpu)?
        .with_risk(args.risk)?;
    let line = match args.risk {
        0.0 => format!("predictor {}", path.display()),
        k => format!("predictor {}, plus {k} standard deviations", path.display()),
    };
    Ok((
        Some(Cost {
            model: Box::new(model),
            measured: MeasuredCost::of_label(predictor.label()),
            predictor: Some(predictor),
            id: CostId {
                column: args.target.clone(),
                source: format!("predictor {}", path.display()),
                checksum,
            },
            file: Some(path),
        }),
        line,
    ))
}
