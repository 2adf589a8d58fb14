//! Compares a step of Pi-NAS' first stage with the authors' own code: [`lat::methods::Method::step`] on the stand-in for a
//! backbone that `tests/parity/README.md` describes, with the same paths, weights, queue and views.

use std::collections::{HashSet, VecDeque};

use lat::methods::{Batch, Batches, Context, Method, Options, Preset, find_method};
use lat::supernet::{BuildMixedOp, Gating, Path, Supernet};
use lat_nn::{NnError, StaticNet};
use lat_space::{Architecture, Graph, find_space};
use tch::{Device, Kind, Tensor, nn};

use super::official::Scripted;
use super::read;
use crate::setup;
use crate::toy_net::{begin_with, parameter};

pub(super) const FILES: [&str; 2] = ["official_pi_nas_step", "official_pi_nas_loss"];

const BLOCKS: usize = 16;
const CANDIDATES: usize = 4;
/// Number of images, features, length of keys, and columns of the queue.
const N: i64 = 4;
const WIDTH: i64 = 6;
const OUT: i64 = 8;
const LENGTH: i64 = 12;
/// Relative to each array's largest value.
const TOLERANCE: f64 = 1e-5;

/// Element i is `scale * sin((i + 1) (1 + k / 10))`.
fn wave(k: usize, shape: &[i64], scale: f64) -> Tensor {
    let places = Tensor::arange(shape.iter().product::<i64>(), tch::kind::DOUBLE_CPU) + 1.0;
    ((places * (1.0 + k as f64 / 10.0)).sin() * scale).view(shape)
}

fn block(block: usize, candidate: usize) -> String {
    format!("blocks.{block}.{candidate}.weight")
}

/// A stem of two matrices, then per block `x + tanh(W x)`. In the first block the shared matrix times x replaces x.
#[derive(Debug)]
struct StandIn {
    weights: nn::VarStore,
}

impl StandIn {
    /// Names of its weights in the official order, with their shapes.
    fn names() -> Vec<(String, [i64; 2])> {
        let square = [WIDTH, WIDTH];
        let mut names =
            vec![("conv1.weight".to_owned(), [WIDTH, 3]), ("bn1.weight".into(), square)];
        for b in 0..BLOCKS {
            for c in 0..CANDIDATES {
                names.push((block(b, c), square));
                if (b, c) == (0, 0) {
                    names.push(("shared.weight".into(), square));
                }
            }
        }
        names
    }

    fn new(scale: f64) -> Self {
        setup::ready();
        let mut weights = nn::VarStore::new(Device::Cpu);
        for (name, shape) in Self::names() {
            let path = name.split('.').fold(weights.root(), |path, part| {
                if part == "weight" { path } else { path / part }
            });
            let _ = path.zeros("weight", &shape);
        }
        // The official numbers have double precision; rounding errors grow through sixteen blocks.
        weights.double();
        let mut all = weights.variables();
        for (j, (name, shape)) in Self::names().into_iter().enumerate() {
            let weight = all.get_mut(&name).unwrap();
            tch::no_grad(|| weight.copy_(&wave(j, &shape, scale)));
        }
        Self { weights }
    }

    /// The candidate of each block that is on.
    fn taken(gates: &dyn Gating) -> Vec<usize> {
        let on = |b| gates.gate(b, 0).paths.iter().position(|path| *path == Path::On).unwrap();
        (0..BLOCKS).map(on).collect()
    }
}

impl Supernet for StandIn {
    fn forward_t(&self, _: &Tensor, _: &dyn Gating, _: bool) -> Tensor {
        unreachable!("the first stage has no classifier")
    }

    fn classify(&self, _: &Tensor) -> Tensor {
        unreachable!("the first stage has no classifier")
    }

    fn features_t(&self, images: &Tensor, gates: &dyn Gating, train: bool) -> Tensor {
        assert!(train, "batch norm goes by the batch");
        let all = self.weights.variables();
        let times = |name: &str, x: &Tensor| x.matmul(&all[name].tr());
        let mut x = times("bn1.weight", &times("conv1.weight", &images.flatten(1, -1)));
        for (b, c) in Self::taken(gates).into_iter().enumerate() {
            let bent = times(&block(b, c), &x).tanh();
            x = bent + if b == 0 { times("shared.weight", &x) } else { x };
        }
        x.unsqueeze(-1).unsqueeze(-1)
    }

    fn width(&self) -> i64 {
        WIDTH
    }

    fn used(&self, gates: &dyn Gating) -> HashSet<String> {
        let common = ["conv1.weight", "bn1.weight", "shared.weight"].map(str::to_owned);
        let of_path = Self::taken(gates).into_iter().enumerate().map(|(b, c)| block(b, c));
        common.into_iter().chain(of_path).collect()
    }

    fn twin(&self, _: &dyn BuildMixedOp) -> Result<Box<dyn Supernet>, NnError> {
        let mut twin = Self::new(0.4);
        twin.weights.freeze();
        Ok(Box::new(twin))
    }

    fn extract(&self, _: &Architecture) -> Result<StaticNet, NnError> {
        unreachable!("it has no layers to cut out")
    }

    fn weights(&self) -> &nn::VarStore {
        &self.weights
    }

    fn sites(&self) -> Vec<(usize, u16)> {
        (0..BLOCKS).map(|d| (d, 0)).collect()
    }

    fn graph(&self) -> &Graph {
        unreachable!("nothing is counted")
    }
}

/// The official neck is one matrix M; here it is `[M, -M]` behind `relu([x, -x])`.
fn neck(scale: f64) -> [Tensor; 2] {
    let (one, m) = (Tensor::eye(WIDTH, tch::kind::DOUBLE_CPU), wave(67, &[OUT, WIDTH], scale));
    [Tensor::cat(&[&one, &-&one], 0), Tensor::cat(&[&m, &-&m], 1)]
}

/// Random numbers with which two draws without replacement from four give these choices.
fn script(choices: &Tensor) -> Scripted {
    // `gen_range(0..n)` takes the upper half of the number times n.
    let number = |c: i64, n: u128| ((c as u128) << 64).div_ceil(n) as u64;
    let pairs = Vec::<Vec<i64>>::try_from(choices).unwrap();
    let draws = pairs.iter().flat_map(|pair| {
        let rest = if pair[1] > pair[0] { pair[1] - 1 } else { pair[1] };
        [number(pair[0], 4), number(rest, 3)]
    });
    Scripted::of(draws.collect::<VecDeque<u64>>())
}

fn assert_close(name: &str, found: &Tensor, expected: &Tensor) {
    assert_eq!(found.size(), expected.size(), "{name}");
    let expected = expected.to_kind(Kind::Double);
    let largest = expected.abs().max().double_value(&[]);
    let error = (found.to_kind(Kind::Double) - expected).abs().max().double_value(&[]);
    // Written in this way so that NaN fails.
    assert!(error <= TOLERANCE * largest, "{name}: off by {error:e} of {largest:e}");
}

/// The method and its supernet after `n` steps on the same paths and views, and the last loss that it reported. The student does
/// not change.
fn stepped(n: usize) -> (Box<dyn Method>, StandIn, f64) {
    let file = read(FILES[0]);
    let space = find_space("pinas").unwrap();
    let options: Options = format!(
        "queue = {LENGTH}\nneck_hidden = {}\nneck_out = {OUT}\ndecay = 0.0\nlr = 0.0",
        2 * WIDTH
    )
    .parse()
    .unwrap();
    let entry = find_method("pi-nas").unwrap();
    let mut method = entry.build(Preset::Paper, &options, space.as_ref(), 1).unwrap();
    let net = StandIn::new(0.5);
    let ([w0, w2], [_, teachers]) = (neck(0.5), neck(0.4));
    let start = [
        ("neck.0.weight", w0.copy()),
        ("neck.2.weight", w2),
        ("teacher.neck.0.weight", w0),
        ("teacher.neck.2.weight", teachers),
        ("queue", file["queue_before"].copy()),
    ];
    begin_with(method.as_mut(), &net, &start);
    // Each image has four views; a batch is ordered by view.
    let views = wave(101, &[N, 4, 3], 1.0).transpose(0, 1).reshape([4 * N, 3, 1, 1]);
    let batch = |images| Batch { images, labels: Tensor::zeros([N], tch::kind::INT64_CPU) };
    let batches = Batches {
        train: batch(views),
        valid: batch(Tensor::zeros([N, 3, 1, 1], tch::kind::FLOAT_CPU)),
    };
    let mut loss = f64::NAN;
    for _ in 0..n {
        let (space, mut rng) = (space.as_ref(), script(&file["choices"]));
        let mut cx = Context { space, net: &net, objective: None, progress: 0.0, rng: &mut rng };
        loss = method.step(&mut cx, &batches).unwrap().train_loss.value();
        assert!(rng.is_done());
    }
    (method, net, loss)
}

#[test]
fn a_step_of_pi_nas_is_the_official_one() {
    let file = read(FILES[0]);
    let (method, net, loss) = stepped(1);
    assert_close("loss", &Tensor::from(loss), &file["loss"]);
    let mut names: Vec<String> = net.weights().variables().into_keys().collect();
    names.sort();
    // The momentum of the first step is the gradient.
    let gradient = |name: &str| {
        let place = names.iter().position(|n| n == name).unwrap();
        parameter(method.as_ref(), &format!("weights.momentum.{place}"))
    };
    for (official, ours) in [
        ("0.conv1.weight", "conv1.weight".to_owned()),
        ("0.blocks.0.0.shared.weight", "shared.weight".into()),
        ("0.blocks.0.0.own.weight", block(0, 0)),
        ("0.blocks.15.0.own.weight", block(15, 0)),
    ] {
        assert_close(official, &gradient(&ours), &file[&format!("grad/{official}")]);
    }
    let last = parameter(method.as_ref(), &format!("weights.momentum.{}", names.len() + 2));
    let of_m = last.narrow(1, 0, WIDTH) - last.narrow(1, WIDTH, WIDTH);
    assert_close("neck", &of_m, &file["grad/1.mlp.weight"]);
    assert_close("queue", &parameter(method.as_ref(), "queue"), &file["queue_after"]);
    let pointer = parameter(method.as_ref(), "pointer");
    assert_eq!(pointer, file["pointer_after"], "the pointer stands behind the batch");
    // The file contains the teacher after a second step of the same student.
    let (method, ..) = stepped(2);
    let teacher = |name: &str| parameter(method.as_ref(), &format!("teacher.{name}"));
    assert_close("stem", &teacher("conv1.weight"), &file["teacher_after/0.conv1.weight"]);
    let m = teacher("neck.2.weight").narrow(1, 0, WIDTH);
    assert_close("teacher's neck", &m, &file["teacher_after/1.mlp.weight"]);
}

/// Tests which of the teacher's weights moved, which moved twice, and which of the student's have a gradient, as in the official
/// code: weights that both paths use move twice, those that one path uses move once.
#[test]
fn pi_nas_moves_what_its_paths_use() {
    let choices = Vec::<Vec<i64>>::try_from(&read(FILES[0])["choices"]).unwrap();
    let (method, net, _) = stepped(1);
    let mut names: Vec<String> = net.weights().variables().into_keys().collect();
    names.sort();
    for (j, (name, shape)) in StandIn::names().into_iter().enumerate() {
        let is_taken =
            |(b, pair): (usize, &Vec<i64>)| pair.iter().any(|&c| name == block(b, c as usize));
        let times = match choices.iter().enumerate().any(is_taken) {
            true => 1,
            false if name.starts_with("blocks") => 0,
            false => 2,
        };
        let (mut expected, student) = (wave(j, &shape, 0.4), wave(j, &shape, 0.5));
        for _ in 0..times {
            expected = expected * 0.999 + &student * (1.0 - 0.999);
        }
        let found = parameter(method.as_ref(), &format!("teacher.{name}"));
        assert!(found == expected, "{name} follows {times} times");
        let place = names.iter().position(|n| *n == name).unwrap();
        let gradient = parameter(method.as_ref(), &format!("weights.momentum.{place}"));
        assert_eq!(gradient.abs().max().double_value(&[]) > 0.0, times > 0, "{name}");
    }
}
