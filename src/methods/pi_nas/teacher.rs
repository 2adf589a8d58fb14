//! The mean teacher: a copy of the network whose weights follow the student's.

use tch::Tensor;

use super::neck::{NAMES, Neck};
use crate::optimizer::named_weights;
use crate::supernet::{AllChannels, Gating, Supernet};

/// A second supernet and neck. Their weights are moving averages of the student's; batch norm uses each batch's own statistics.
#[derive(Debug)]
pub(super) struct Teacher {
    net: Box<dyn Supernet>,
    neck: Neck,
    /// For each weight of the supernet: its name, the student's tensor and the teacher's.
    pairs: Vec<(String, Tensor, Tensor)>,
    /// For each weight of the neck: the student's tensor and the teacher's.
    of_neck: Vec<(Tensor, Tensor)>,
}

impl Teacher {
    /// Starts as an exact copy of the student.
    ///
    /// # Panics
    /// If libtorch cannot create the weights.
    pub(super) fn new(student: &dyn Supernet, student_neck: &Neck) -> Self {
        let net = student.twin(&AllChannels).unwrap_or_else(|error| panic!("{error}"));
        let neck = student_neck.twin();
        let mut theirs = net.weights().variables();
        let pair = |(name, student)| {
            let teacher = theirs.remove(&name).expect("a twin has the same weights");
            (name, student, teacher)
        };
        let pairs = named_weights(student.weights()).into_iter().map(pair).collect();
        let of_neck = student_neck.weights().into_iter().zip(neck.weights()).collect();
        Self { net, neck, pairs, of_neck }
    }

    /// Its weights with their names in the state; they share memory with the teacher.
    pub(super) fn named(&self) -> Vec<(String, Tensor)> {
        let of_net = self.pairs.iter().map(|(name, _, teacher)| (name.as_str(), teacher));
        let of_neck = NAMES.into_iter().zip(self.of_neck.iter().map(|(_, teacher)| teacher));
        let named =
            |(name, teacher): (&str, &Tensor)| (format!("teacher.{name}"), teacher.shallow_clone());
        of_net.chain(of_neck).map(named).collect()
    }

    /// Keys `[n, out]` of images `[n, 3, h, w]` on a path, without gradients. Before that, the weights that the path uses follow the
    /// student: `m` of the teacher's plus `1 - m` of the student's. The others stay. So stem, neck and everything else that all
    /// paths share follow with every path.
    pub(super) fn keys(
        &self,
        student: &dyn Supernet,
        images: &Tensor,
        path: &dyn Gating,
        m: f64,
    ) -> Tensor {
        tch::no_grad(|| {
            let used = student.used(path);
            let of_path = self.pairs.iter().filter(|(name, ..)| used.contains(name));
            let of_net = of_path.map(|(_, student, teacher)| (student, teacher));
            let of_neck = self.of_neck.iter().map(|(student, teacher)| (student, teacher));
            for (student, teacher) in of_net.chain(of_neck) {
                let moved = teacher * m + student * (1.0 - m);
                teacher.shallow_clone().copy_(&moved);
            }
            self.neck.forward(&self.net.features_t(images, path, true))
        })
    }
}
