//! `lat count`: parameters, multiply-adds and memory of a network, by counting alone.

use std::path::PathBuf;

use lat_space::{Convention, LayerCost, Skeleton, peak_memory_bytes};
use serde::Serialize;

use super::architectures;
use super::output::{say, table, write_json};
use super::skeleton::SkeletonArgs;
use super::written::Written;

/// Count a network's parameters, multiply-adds and memory; nothing is built, trained or measured.
///
/// Multiply-adds are for one image, in two conventions. conv_linear: only convolutions and linear layers, which most papers call
/// FLOPs. ptflops: counts as the program of that name does, so it adds two per element for BN, one per output for ReLU, one per input
/// for pools, and the classifier's bias. The column multiply_adds of profiles is the ptflops count without that bias. Operations that do
/// not reach the output are counted, the auxiliary head is not.
///
/// Memory is the peak while the network runs: weights plus the feature maps that are alive at the same time.
///
/// Example: lat count --space nasbench-macro --arch 22212220
///
/// Example: lat count --space darts --arch runs/search-1/search.json --preset imagenet --layers-table
#[derive(clap::Args)]
pub(super) struct Args {
    /// Architecture text, or the search.json of a search.
    #[arg(long, value_name = "TEXT|FILE")]
    arch: String,
    /// Search space [default: that of the file, or the one that reads the text].
    #[arg(long, value_name = "NAME")]
    space: Option<String>,
    /// Skeleton: quick, cifar, imagenet or search.
    #[arg(long, value_name = "NAME", default_value = "cifar")]
    preset: String,
    #[command(flatten)]
    skeleton: SkeletonArgs,
    /// Images per batch, for the memory figure.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    batch: u32,
    /// Also list each layer, in the table and in the JSON.
    #[arg(long)]
    layers_table: bool,
    /// File for the result as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// The result as JSON.
#[derive(Serialize)]
struct Counted {
    space: String,
    architecture: String,
    skeleton: Skeleton,
    params: u64,
    /// For one image, convolutions and linear layers only.
    conv_linear: u64,
    /// For one image, as ptflops counts.
    ptflops: u64,
    /// For one image, as in the column `multiply_adds` of profiles.
    multiply_adds: u64,
    batch: u32,
    /// With 32-bit numbers.
    peak_memory_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    layers: Option<Vec<Layer>>,
}

/// One layer in the JSON result.
#[derive(Serialize)]
struct Layer {
    name: String,
    op: String,
    channels: u32,
    /// Height and width of the feature map.
    resolution: u16,
    params: u64,
    conv_linear: u64,
    ptflops: u64,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    Written::default().output("--json", args.json.as_deref()).inputs([&args.arch]).check()?;
    let named = architectures::read(&args.arch, args.space.as_deref())?;
    let space = named.space.as_ref();
    let skeleton = args.skeleton.skeleton(space, &args.preset)?;
    let graph = space.graph(&skeleton).derive(&named.architecture).without_auxiliary();
    let layers = graph.layers();
    let sum = |of: fn(&LayerCost) -> u64| layers.iter().map(of).sum();
    let counted = Counted {
        space: space.id().to_owned(),
        architecture: space.format(&named.architecture),
        skeleton,
        params: sum(|layer| layer.cost.params),
        conv_linear: sum(|layer| layer.multiply_adds(Convention::ConvLinear)),
        ptflops: sum(|layer| layer.multiply_adds(Convention::Ptflops)),
        multiply_adds: sum(|layer| layer.cost.multiply_adds),
        batch: args.batch,
        peak_memory_bytes: peak_memory_bytes(&graph, args.batch, 4),
        layers: args.layers_table.then(|| layers.iter().map(Layer::new).collect()),
    };
    if args.layers_table {
        say(counted.table())?;
    }
    say(counted.lines())?;
    args.json.iter().try_for_each(|path| write_json(path, &counted))
}

impl Counted {
    fn lines(&self) -> String {
        let of = |convention| match convention {
            Convention::ConvLinear => self.conv_linear,
            Convention::Ptflops => self.ptflops,
        };
        let mut lines = vec![
            format!("{} {}, {}", self.space, self.architecture, self.skeleton),
            format!("parameters {}", grouped(self.params)),
        ];
        for convention in Convention::ALL {
            let (name, what) = (convention.name(), convention.summary());
            lines.push(format!("multiply-adds {} ({name}: {what})", grouped(of(convention))));
        }
        let mib = self.peak_memory_bytes as f64 / f64::from(1 << 20);
        lines.push(format!("peak memory {mib:.2} MiB (batch {}, 32-bit numbers)", self.batch));
        lines.join("\n")
    }

    fn table(&self) -> String {
        let row = |layer: &Layer| {
            let Layer { name, op, channels, resolution, params, conv_linear, ptflops } = layer;
            let shape = format!("{channels}x{resolution}x{resolution}");
            let numbers = [params, conv_linear, ptflops].map(|&n| grouped(n));
            [vec![name.clone(), op.clone(), shape], numbers.to_vec()].concat()
        };
        let header = ["layer", "operation", "output", "parameters", "conv_linear", "ptflops"];
        table(&header, self.layers.iter().flatten().map(row))
    }
}

impl Layer {
    fn new(layer: &LayerCost) -> Self {
        Self {
            name: layer.name.clone(),
            op: layer.op.clone(),
            channels: layer.shape.c,
            resolution: layer.shape.hw,
            params: layer.cost.params,
            conv_linear: layer.multiply_adds(Convention::ConvLinear),
            ptflops: layer.multiply_adds(Convention::Ptflops),
        }
    }
}

/// A number with commas: `1,985,514`.
fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_grouped_by_thousands() {
        let found = [0, 999, 1000, 85_164_544].map(super::grouped);
        assert_eq!(found, ["0", "999", "1,000", "85,164,544"]);
    }
}
