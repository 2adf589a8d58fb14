//! `FBNet`'s loss: the task's loss times a power of the cost's logarithm.
//!
//! Wu et al., 2018, arXiv 1812.03443, equation 2: `CE * alpha * (log LAT)^beta` with alpha 0.2 and beta 0.6. The public
//! reimplementation (<https://github.com/AnnaAraslanova/FBNet>) uses `alpha * CE * log(LAT^beta)`, in which beta is only a scale.

use lat_predictor::above_zero;
use serde::{Deserialize, Serialize};
use tch::Tensor;

use crate::error::SearchError;

/// The part that the exponent applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// (log LAT)^beta, as in the paper.
    #[default]
    Paper,
    /// log(LAT^beta), as in the public reimplementation.
    Code,
}

/// The factor by which a cost multiplies the task's loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Product {
    /// Scale of the factor, above 0.
    pub alpha: f64,
    /// The exponent, above 0.
    pub beta: f64,
    /// The part that the exponent applies to.
    pub reading: Reading,
}

impl Product {
    /// Checks that both numbers are above 0.
    pub(crate) fn check(self) -> Result<(), SearchError> {
        above_zero("alpha of a product", self.alpha)?;
        Ok(above_zero("beta of a product", self.beta)?)
    }

    /// The factor for a scalar cost in this unit, differentiable; logarithms are natural.
    ///
    /// # Errors
    /// [`SearchError::Settings`] if the cost is at most 1: its logarithm is then 0 or negative.
    pub fn factor(self, cost: &Tensor, unit: &str) -> Result<Tensor, SearchError> {
        above_one(cost.double_value(&[]), unit)?;
        let log = cost.log();
        Ok(match self.reading {
            Reading::Paper => log.pow_tensor_scalar(self.beta) * self.alpha,
            Reading::Code => log * (self.alpha * self.beta),
        })
    }
}

/// Checks that a product can take the logarithm of this cost.
///
/// # Errors
/// [`SearchError::Settings`] if it is not above 1.
pub fn above_one(cost: f64, unit: &str) -> Result<(), SearchError> {
    if cost > 1.0 {
        return Ok(());
    }
    Err(SearchError::Settings(format!(
        "expected costs above 1 {unit} for a product of loss and cost, which takes a power of the cost's logarithm; found {cost:.4} {unit}. \
         Search with --lambda or --target-ms, or for a target that counts in larger numbers"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    /// Latency, and for each reading: the loss, its derivative by the latency, and the sum of the magnitudes of its derivatives by
    /// the logits. Computed in double precision by the reimplementation itself and by the paper's formula, for a cross entropy of
    /// 3.847915709912739. `tch` computes logarithms of softmaxes in single precision.
    const GOLDEN: [(f64, [f64; 3], [f64; 3]); 3] = [
        (
            2.0,
            [0.320_060_631_043_000_25, 0.230_874_942_592_764_3, 0.161_921_480_989_966_23],
            [0.617_661_913_268_677_7, 0.267_329_333_765_613_13, 0.312_480_580_387_669_24],
        ),
        (
            23.1,
            [1.449_817_350_657_775, 0.019_989_172_519_027_213, 0.733_475_316_281_297],
            [1.528_971_688_475_335, 0.012_648_301_736_950_07, 0.773_520_190_167_949_8],
        ),
        (
            23100.0,
            [4.639_472_557_645_138, 1.998_917_251_902_721_3e-5, 2.347_149_866_880_313_7],
            [3.072_505_253_989_776, 7.942_735_320_601_949e-6, 1.554_407_361_674_660_5],
        ),
    ];

    #[test]
    fn both_readings_have_the_values_and_slopes_of_their_sources() {
        let logits = (Tensor::arange(40, (Kind::Double, tch::Device::Cpu)) + 1.0) * 7.0;
        for (latency, code, paper) in GOLDEN {
            for (reading, expected) in [(Reading::Code, code), (Reading::Paper, paper)] {
                let logits = (logits.sin() * 3.0).view([4, 10]).set_requires_grad(true);
                let latency = Tensor::from(latency).set_requires_grad(true);
                let product = Product { alpha: 0.2, beta: 0.6, reading };
                let labels = Tensor::from_slice(&[3i64, 7, 1, 9]);
                let loss = logits.cross_entropy_for_logits(&labels)
                    * product.factor(&latency, "ms").unwrap();
                loss.backward();
                let slopes = logits.grad().abs().sum(Kind::Double);
                let found = [&loss, &latency.grad(), &slopes].map(|t| t.double_value(&[]));
                for (found, expected) in found.iter().zip(expected) {
                    assert!(
                        (found / expected - 1.0).abs() < 1e-6,
                        "{reading:?} {found} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_cost_of_at_most_one_is_refused_with_its_unit() {
        let product = Product { alpha: 0.2, beta: 0.6, reading: Reading::Paper };
        for cost in [1.0, 0.5, f64::NAN] {
            let error = product.factor(&Tensor::from(cost), "ms").unwrap_err();
            assert!(error.is_bad_input() && error.to_string().contains("above 1 ms"), "{error}");
        }
        for wrong in [Product { alpha: 0.0, ..product }, Product { beta: f64::NAN, ..product }] {
            assert!(wrong.check().unwrap_err().to_string().contains("of a product must be"));
        }
    }
}
