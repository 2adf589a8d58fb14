//! Networks cut out of supernets: they compute the same as the supernet on their path, also as modules for other programs, and
//! their files contain everything needed.

use std::path::Path;

use lat::error::SearchError;
use lat::extracted::{Calibration, ExtractedNet};
use lat::methods::{METHODS, MethodEntry, Options, Preset, find_method};
use lat::search::OpenedSupernet;
use lat::supernet::{
    AllChannels, BuildMixedOp, CellSupernet, SharedGates, SharedSources, Supernet,
};
use lat_nn::{BnRule, DropPath, recalibrate};
use lat_space::{Architecture, SearchSpace, architecture_at, find_space};
use tch::{Device, Tensor};

use crate::toy::Plan;
use crate::{formula, setup, toy};

fn close(a: &Tensor, b: &Tensor) -> bool {
    let largest = b.abs().max().double_value(&[]);
    a.size() == b.size() && (a - b).abs().max().double_value(&[]) <= 1e-5 * largest
}

fn images(name: &str, n: i64, space: &dyn SearchSpace) -> Tensor {
    let side = i64::from(toy::skeleton(space).resolution);
    formula::tensor(name, &[n, 3, side, side])
}

/// Cuts an architecture out, recalibrates both networks by the rule, and compares logits of a batch in eval mode.
fn assert_extracts(space: &dyn SearchSpace, mixed_op: &dyn BuildMixedOp, seed: u64, rule: BnRule) {
    let graph = space.graph(&toy::skeleton(space));
    let net = CellSupernet::new(graph, mixed_op, Device::Cpu).unwrap();
    formula::fill(net.weights());
    let architecture = architecture_at(space, seed, 0).unwrap();
    let alone = net.extract(&architecture).unwrap();
    let batches = [images("a", 8, space), images("b", 4, space)];
    let gates = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
    net.recalibrate(&batches, &gates, rule);
    recalibrate(rule, &batches, |xs| drop(alone.forward_t(xs, true, DropPath::OFF)));
    let xs = images("x", 5, space);
    let (found, expected) = (alone.forward(&xs).unwrap(), net.forward_t(&xs, &gates, false));
    let what = format!("{} {rule} {}", space.id(), space.format(&architecture));
    assert!(expected.std(true).double_value(&[]) > 1e-4, "{what}: {expected}");
    assert!(close(&found, &expected), "{what}");
    // libtorch rounds differently for one image than for several.
    let expected = [1, 5].map(|n| alone.forward(&xs.narrow(0, 0, n)).unwrap());
    let module = alone.traced(toy::skeleton(space).resolution).unwrap();
    for expected in expected {
        let n = expected.size()[0];
        let found = module.forward_ts(&[xs.narrow(0, 0, n)]).unwrap();
        let off = (&found - &expected).abs().max().double_value(&[]);
        assert!(close(&found, &expected), "{what}: traced, {n} images, off by {off}");
    }
}

#[test]
fn a_network_cut_out_and_its_trace_compute_what_the_supernet_computes() {
    let _generator = setup::exclusive();
    for id in
        ["darts", "nasbench201", "nasbench-macro", "proxyless", "pinas", "ofa", "attentivenas"]
    {
        let space = find_space(id).unwrap();
        for (seed, rule) in [(1, BnRule::PerImage), (2, BnRule::PerBatch)] {
            assert_extracts(space.as_ref(), &AllChannels, seed, rule);
        }
    }
}

#[test]
fn edges_that_share_operations_each_take_a_copy() {
    let _generator = setup::exclusive();
    for id in ["darts", "nasbench201"] {
        let space = find_space(id).unwrap();
        for seed in 0..3 {
            assert_extracts(space.as_ref(), &SharedSources, seed, BnRule::PerImage);
        }
    }
}

/// Number of stages; None if the method does not search the space.
fn n_stages(entry: &MethodEntry, space: &dyn SearchSpace) -> Option<u32> {
    let method = entry.build(Preset::Quick, &Options::new(), space, 0).ok()?;
    Some(method.n_stages() as u32)
}

/// Runs a search with one epoch per stage; returns its opened supernet and the architecture that it found.
fn searched(
    entry: &MethodEntry,
    dir: &Path,
) -> Option<(Result<OpenedSupernet, SearchError>, Architecture)> {
    let space = find_space("darts").unwrap();
    let checkpoint = dir.join(entry.name);
    let plan = Plan::new(n_stages(entry, space.as_ref())?);
    let found = toy::search(space.as_ref(), entry, &plan, None, &checkpoint).unwrap();
    Some((OpenedSupernet::open(&checkpoint, Device::Cpu), found.architecture))
}

#[test]
fn networks_are_cut_out_of_the_supernet_of_every_method_that_keeps_operations_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (mut n_cut, mut n_refused) = (0, 0);
    for entry in METHODS {
        let Some((opened, architecture)) = searched(entry, dir.path()) else { continue };
        let _generator = setup::exclusive();
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                assert!(error.is_bad_input(), "{error}");
                let said = error.to_string();
                assert!(
                    said.contains("networks can be cut") && said.contains(entry.name),
                    "{said}"
                );
                n_refused += 1;
                continue;
            }
        };
        assert_eq!(Some(opened.n_epochs), n_stages(entry, opened.space.as_ref()), "{}", entry.name);
        let dataset = toy::digits();
        opened.check_images(dataset).unwrap();
        let space = opened.space.as_ref();
        let extracted = ExtractedNet::cut(&opened, &architecture, dataset, None).unwrap();
        let gates = SharedGates::hard(space.decisions(), &architecture, Device::Cpu);
        let xs = images("x", 4, space);
        let expected = opened.net.forward_t(&xs, &gates, false);
        assert!(close(&extracted.forward(&xs).unwrap(), &expected), "{}", entry.name);
        n_cut += 1;
    }
    assert!(n_cut >= 8 && n_refused >= 2, "{n_cut} {n_refused}");
}

#[test]
fn what_a_search_has_given_up_cannot_be_cut_out() {
    let dir = tempfile::tempdir().unwrap();
    let darts = find_space("darts").unwrap();
    let staged = METHODS.iter().find(|e| n_stages(e, darts.as_ref()).is_some_and(|n| n > 1));
    let (opened, _) = searched(staged.unwrap(), dir.path()).unwrap();
    let opened = opened.unwrap();
    let error = (0..20).find_map(|i| {
        let architecture = architecture_at(opened.space.as_ref(), 0, i).unwrap();
        opened.check(&architecture).err()
    });
    let said = error.expect("a stage that ends drops operations").to_string();
    assert!(said.contains("had not given up"), "{said}");
}

/// A file with a cut-out network that has recalibrated statistics.
fn saved(dir: &Path) -> (ExtractedNet, std::path::PathBuf) {
    let (opened, architecture) = searched(find_method("darts").unwrap(), dir).unwrap();
    let (opened, dataset) = (opened.unwrap(), toy::digits());
    let rule = BnRule::PerBatch;
    let calibration = Calibration::new(dataset, Device::Cpu, rule, (1000, 24), 3).unwrap();
    let sizes: Vec<i64> = calibration.batches.iter().map(|batch| batch.size()[0]).collect();
    assert_eq!(sizes, [24, 24, 16], "all 64 images");
    let extracted = ExtractedNet::cut(&opened, &architecture, dataset, Some(&calibration)).unwrap();
    let file = dir.join("net.safetensors");
    extracted.save(&file).unwrap();
    (extracted, file)
}

#[test]
fn a_network_comes_back_from_its_file_and_damage_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    let (extracted, file) = saved(dir.path());
    let _generator = setup::exclusive();
    let (back, _) = ExtractedNet::load(&file, Device::Cpu).unwrap();
    assert_eq!(back.label, extracted.label);
    let recalibration = back.label.recalibration.clone().unwrap();
    assert_eq!((recalibration.rule.as_str(), recalibration.n_images), ("per-batch", 64));
    let xs = images("x", 4, find_space("darts").unwrap().as_ref());
    assert_eq!(back.forward(&xs).unwrap(), extracted.forward(&xs).unwrap());

    let bytes = std::fs::read(&file).unwrap();
    let said = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let error = ExtractedNet::load(&file, Device::Cpu).unwrap_err();
        assert!(error.is_bad_input());
        error.to_string()
    };
    let mut damaged = bytes.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert!(said(&damaged).contains("it is damaged"));
    assert!(said(&bytes[..last]).contains("expected a whole safetensors file"));
    assert!(said(b"no network").contains("expected a whole safetensors file"));
    let checkpoint = std::fs::read(dir.path().join("darts")).unwrap();
    assert!(said(&checkpoint).contains("expected a network of `lat extract`"));
    // The reverse is also an error.
    std::fs::write(&file, &bytes).unwrap();
    let error = OpenedSupernet::open(&file, Device::Cpu).unwrap_err().to_string();
    assert!(error.contains("has no label"), "{error}");
}

#[test]
fn images_of_another_size_or_other_classes_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (extracted, _) = saved(dir.path());
    let digits = toy::digits();
    let same = extracted.label.normalised(digits.clone()).unwrap();
    assert_eq!((same.mean, same.std), (digits.mean, digits.std));
    let error = extracted.label.normalised(digits.resized(16).unwrap()).unwrap_err();
    assert!(error.to_string().contains("16x16 in 10"), "{error}");
}
