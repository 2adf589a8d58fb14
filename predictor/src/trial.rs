use crate::*;
use ndarray::{Array1, Array2, s};
#[test]
#[ignore]
fn trial() {
    tch::set_num_threads(2);
    let sizes: Vec<usize> = std::env::var("TRIAL_N")
        .unwrap_or("100,900".into())
        .split(',')
        .map(|s| s.parse().unwrap())
        .collect();
    let only = std::env::var("TRIAL_ONLY").unwrap_or_default();
    let regs = std::env::var("TRIAL_REG").unwrap_or("linear,forest,mlp".into());
    let mut files: Vec<_> =
        std::fs::read_dir("/tmp/pred/d").unwrap().map(|f| f.unwrap().path()).collect();
    files.sort();
    for f in files {
        let name = f.file_stem().unwrap().to_str().unwrap().to_owned();
        if !name.contains(&only) {
            continue;
        }
        let text = std::fs::read_to_string(&f).unwrap();
        let mut lines = text.lines();
        let ties: Vec<Vec<usize>> = lines
            .next()
            .unwrap()
            .split(';')
            .map(|g| g.split(' ').map(|i| i.parse().unwrap()).collect())
            .collect();
        let mut y = vec![];
        let mut x = vec![];
        let mut p = 0;
        for l in lines {
            let (a, b) = l.split_once(' ').unwrap();
            y.push(a.parse::<f64>().unwrap());
            p = b.len();
            x.extend(b.bytes().map(|c| f32::from(c - b'0')));
        }
        let n = y.len();
        let y = Array1::from(y);
        let x = Array2::from_shape_vec((n, p), x).unwrap();
        let c = Array2::from_shape_fn((n, ties.len()), |(i, g)| {
            ties[g].iter().map(|&j| x[[i, j]]).sum()
        });
        for &k in &sizes {
            let mut out = format!("{name} n={k}:");
            for entry in REGRESSORS {
                let (x, lab) = if entry.encoding == "counts" {
                    (&c, "linear-counts")
                } else {
                    (&x, entry.name)
                };
                if !regs.contains(entry.name) && entry.name != "linear-counts" {
                    continue;
                }
                let mut r = (entry.build)(&Setup { seed: 1, ties: ties.clone() });
                let t = std::time::Instant::now();
                r.fit(x.slice(s![..k, ..]), y.slice(s![..k])).unwrap();
                let t = t.elapsed().as_secs_f64();
                let q = r.predict(x.slice(s![n - 1000.., ..])).unwrap();
                let m = Metrics::of(&y.slice(s![n - 1000..]).to_vec(), &q.to_vec()).unwrap();
                out += &format!(
                    "  {lab} {:.2}% (val {:.2}, tau {:.3}, {t:.1}s{})",
                    m.mape,
                    r.differentiable().map_or(0.0, |d| d.validation_error()),
                    m.kendall,
                    r.differentiable().map_or(String::new(), |d| format!(
                        " {:?}{}",
                        d.0.standard.scale,
                        if d.0.members.is_some() { "+m" } else { "" }
                    ))
                );
            }
            eprintln!("{out}");
        }
    }
}
#[test]
#[ignore]
fn trial_big() {
    tch::set_num_threads(2);
    let space = lat_space::Darts::new();
    let rows = crate::train::tests::synthetic(&space, 0..80000, |g| {
        let (a, b) = g.split_at(112);
        crate::train::tests::additive(a).max(crate::train::tests::additive(b))
    });
    let test = crate::train::tests::synthetic(&space, 80000..82000, |g| {
        let (a, b) = g.split_at(112);
        crate::train::tests::additive(a).max(crate::train::tests::additive(b))
    });
    let r =
        train(&space, &rows, &test, &TrainOptions { choice: Choice::Auto, compare: std::env::var("CMP").is_ok(), seed: 1 })
            .unwrap();
    for f in &r.fitted { eprintln!("n= {} {:?} {:?} {:.1}s", f.entry.name, f.validation_error, f.test, f.seconds); } eprintln!("n= {}", r.reason);
}
